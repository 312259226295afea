"""Alertmanager's API v2: which alerts are active, and since when it has been there to know.

From Alertmanager's `api/v2/openapi.yaml`: `GET /alerts` leaves out what has ended, and lists silenced and
inhibited alerts too unless told otherwise; `GET /status` holds the start of the process as `uptime`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

import aiohttp
import msgspec
from yarl import URL

from remediator import __version__
from remediator.core.answers import AlertState, Answer, Heard, Listed, Silent
from remediator.core.matchers import Matcher

LONGEST_MESSAGE = 200
#: Go's zero time, which stands for one that is not known.
_ZERO = datetime(1, 1, 1, tzinfo=UTC)

Shape = TypeVar("Shape")


class _State(msgspec.Struct):
    state: str = AlertState.ACTIVE.value


class _Alert(msgspec.Struct, rename="camel"):
    fingerprint: str
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    starts_at: datetime = _ZERO
    status: _State = msgspec.field(default_factory=_State)


class _Status(msgspec.Struct):
    uptime: datetime


class AlertmanagerClient:
    """Asks every Alertmanager of a cluster, all at once.

    ``urls`` are base URLs, with the path prefix if there is one; credentials in one are used as basic
    authentication, those without get ``token`` as a bearer's, if there is one. Neither is ever shown. ``ca``
    is a file of certificates (PEM) to trust instead of the system's. ``timeout`` is in seconds, for each
    request.

    Raises:
        OSError: ``ca`` can't be used.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        token: str | None = None,
        ca: Path | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._urls = [URL(url.rstrip("/")) for url in urls]
        self._bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._tls = True if ca is None else ssl.create_default_context(cafile=ca)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, matchers: Sequence[Matcher] = (), receiver: str = "") -> list[Heard]:
        query = [(kind, "true") for kind in ("active", "silenced", "inhibited", "unprocessed")]
        query += [("filter", str(matcher)) for matcher in matchers]
        query += [("receiver", receiver)] if receiver else []
        return list(await asyncio.gather(*(self._ask(url, query) for url in self._urls)))

    async def close(self) -> None:
        """Close every connection; a later call opens them again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _ask(self, url: URL, query: Sequence[tuple[str, str]]) -> Heard:
        shown = str(url.with_user(None))
        try:
            # in this order: a restart in between makes the process too young to be believed, not its answer
            alerts = await self._get(url / "api/v2/alerts", list[_Alert], query)
            status = await self._get(url / "api/v2/status", _Status)
            return Answer(shown, _aware(status.uptime), tuple(map(_listed, alerts)))
        except TimeoutError:
            return Silent(shown, f"no answer within {self._timeout.total:g} s")
        except (msgspec.MsgspecError, ValueError) as error:
            return Silent(shown, _short(f"its answer is not Alertmanager's: {error}"))
        except (aiohttp.ClientError, OSError) as error:
            return Silent(shown, _short(str(error) or type(error).__name__))

    async def _get(self, url: URL, shape: type[Shape], query: Sequence[tuple[str, str]] = ()) -> Shape:
        headers = self._bearer if url.user is None else {}
        async with self._opened().get(url, params=list(query), headers=headers) as answer:
            content = await answer.read()
            if answer.status != HTTPStatus.OK:
                said = content[:LONGEST_MESSAGE].decode(errors="replace")
                raise aiohttp.ClientError(f"{answer.status}: {said or answer.reason}")
        return msgspec.json.decode(content, type=shape)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                headers={"User-Agent": f"remediator/{__version__}"},
                connector=aiohttp.TCPConnector(ssl=self._tls),
            )
        return self._session


def _listed(alert: _Alert) -> Listed:
    # A state that a later Alertmanager may have is not taken for firing.
    known = alert.status.state in set(AlertState)
    state = AlertState(alert.status.state) if known else AlertState.UNPROCESSED
    return Listed(alert.fingerprint, state, alert.labels, alert.annotations, _aware(alert.starts_at))


def _aware(told: datetime) -> datetime:
    if told.tzinfo is None:
        raise ValueError(f"time {told.isoformat()} has no offset")
    return told.astimezone(UTC)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 1] + "…"
