"""Alertmanager's API v2: which alerts are active, and since when it has been there to know.

From Alertmanager's `api/v2/openapi.yaml`: `GET /alerts` leaves out what has ended, and lists silenced and
inhibited alerts too unless told otherwise; `GET /status` holds the start of the process as `uptime`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from remediator import __version__

LONGEST_MESSAGE = 200

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Active:
    """What one Alertmanager says: the fingerprints of its active alerts, and since when it is up."""

    url: str
    fingerprints: frozenset[str]
    up_since: datetime


@dataclass(frozen=True, slots=True)
class Silent:
    """One Alertmanager that couldn't be asked, or whose answer makes no sense."""

    url: str
    why: str


class _Alert(msgspec.Struct):
    fingerprint: str


class _Status(msgspec.Struct):
    uptime: str


class AlertmanagerClient:
    """Asks every Alertmanager of a cluster, all at once.

    ``urls`` are base URLs, with the path prefix if there is one; credentials in them are used as basic
    authentication and never shown. ``timeout`` is in seconds, for each request.
    """

    def __init__(self, urls: Sequence[str], *, timeout: float = 10.0) -> None:
        self._urls = [URL(url.rstrip("/")) for url in urls]
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def firing(self, alertnames: Collection[str]) -> list[Active | Silent]:
        """What is active, silenced and inhibited alerts included; a single name narrows what is asked for."""
        return list(await asyncio.gather(*(self._ask(url, alertnames) for url in self._urls)))

    async def close(self) -> None:
        """Close every connection; a later call opens them again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, url: URL, alertnames: Collection[str]) -> Active | Silent:
        shown = str(url.with_user(None))
        try:
            # in this order: a restart in between makes the process too young to be believed, not its answer
            alerts = await self._get(url / "api/v2/alerts", list[_Alert], _query(alertnames))
            status = await self._get(url / "api/v2/status", _Status)
            return Active(
                shown,
                frozenset(alert.fingerprint for alert in alerts),
                datetime.fromisoformat(status.uptime),
            )
        except TimeoutError:
            return Silent(shown, f"no answer within {self._timeout.total:g} s")
        except (msgspec.MsgspecError, ValueError) as error:
            return Silent(shown, _short(f"its answer is not Alertmanager's: {error}"))
        except (aiohttp.ClientError, OSError) as error:
            return Silent(shown, _short(str(error) or type(error).__name__))

    async def _get(self, url: URL, shape: type[Answer], query: Sequence[tuple[str, str]] = ()) -> Answer:
        if self._session is None:
            headers = {"User-Agent": f"remediator/{__version__}"}
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=headers)
        async with self._session.get(url, params=list(query)) as answer:
            content = await answer.read()
            if answer.status != HTTPStatus.OK:
                said = content[:LONGEST_MESSAGE].decode(errors="replace")
                raise aiohttp.ClientError(f"{answer.status}: {said or answer.reason}")
        return msgspec.json.decode(content, type=shape)


def _query(alertnames: Collection[str]) -> list[tuple[str, str]]:
    query = [(kind, "true") for kind in ("active", "silenced", "inhibited", "unprocessed")]
    if len(alertnames) == 1 and (name := next(iter(alertnames))):
        escaped = name.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
        query.append(("filter", f'alertname="{escaped}"'))
    return query


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"
