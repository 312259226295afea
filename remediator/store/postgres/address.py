"""The ledger's URI: what may be shown of it, and what asyncpg is to make of it."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from remediator.core.ports.store import StoreError

SCHEMES = ("postgresql", "postgres")


def shown(url: str) -> str:
    """The URI as logs and errors may show it: where the ledger is, never how one gets in."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    hosts = ",".join(parse_qs(parts.query).get("host", ()))
    return f"{parts.scheme}://{where}{parts.path}" + (f"?host={hosts}" if hosts else "")


def checked(url: str) -> str:
    """The URI, if it can be one.

    Raises:
        StoreError: it can't; nothing of it is shown, since a password may sit anywhere in it.
    """
    try:
        parts = urlsplit(url)
        unreadable = (
            parts.scheme not in SCHEMES
            or bool(parts.fragment)
            or "@" in parts.path + parts.query
            or not all(map(_has_port_or_none, parts.netloc.rpartition("@")[2].split(",")))
        )
    except ValueError:
        unreadable = True
    if unreadable:
        message = (
            "the PostgreSQL URI can't be read: write postgresql://user:password@host:5432/database, with"
            " / : @ # ? % of a password percent-encoded"
        )
        raise StoreError(message)
    return url


def servers(url: str) -> tuple[str, ...]:
    """The URI once for each of its hosts, so that one which swallows everything takes no other's time."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    return tuple(parts._replace(netloc=f"{login}{at}{host}").geturl() for host in hosts.split(","))


def _has_port_or_none(host: str) -> bool:
    _, colon, port = host.rpartition("]")[2].rpartition(":")
    return not colon or port.isdigit()
