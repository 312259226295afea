"""PagerDuty's Events API v2: what it answers becomes a value, and no routing key leaves this module.

Nothing is retried here: the outbox owns retrying. An event names its incident by a key of ours, so that one
which is sent twice changes nothing.

Answers, retries and limits: https://developer.pagerduty.com/docs/events-api-v2-overview.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec

from remediator import __version__
from remediator.clients.answers import is_url, kind_of, retry_after
from remediator.clients.proxies import proxy_for
from remediator.core.ports.channels import Delivered, Delivery, Rejected, TryAgain

API_URL = "https://events.pagerduty.com/v2/enqueue"
TIMEOUT = timedelta(seconds=10)
#: Of an answer that is not PagerDuty's, what is read of it.
_LONGEST_ANSWER = 64 * 1024
_LONGEST_COMPLAINT = 300
_MASK = "***"
_URL = "mend REMEDIATOR_PAGERDUTY_URL: it is the whole enqueue URL, such as " + API_URL
_SIZE = "please report it: Remediator should have made the event smaller"
_KEY = "mend REMEDIATOR_PAGERDUTY_ROUTING_KEY: it is the integration key of an Events API v2 integration"
_REMEDIES: Mapping[int, str] = {400: _KEY, 413: _SIZE}

Event = Mapping[str, Any]


class PagerDuty:
    """Sends events to ``url``, the whole enqueue URL; one takes at most ``timeout``."""

    def __init__(self, url: str = API_URL, *, timeout: timedelta = TIMEOUT) -> None:
        self._url = url
        self._timeout = timeout

    async def send(self, event: Event, routing_key: str) -> Delivery:
        """Send one event, as :mod:`remediator.notify.incidents` makes them, to a routing key's service."""
        if not is_url(self._url):
            return Rejected(f"PagerDuty's address is no URL: {_URL}")
        body = msgspec.json.encode({"routing_key": routing_key, **event})
        try:
            async with asyncio.timeout(self._timeout.total_seconds()):
                answer = await self._post(body)
        except TimeoutError:
            return TryAgain(f"PagerDuty did not answer within {self._timeout.total_seconds():g} s")
        except aiohttp.InvalidURL:
            return Rejected(f"PagerDuty's address is no URL: {_URL}")
        except (aiohttp.ClientError, OSError) as error:
            return TryAgain(f"PagerDuty can't be reached ({kind_of(error)})")
        return answer.meaning(routing_key)

    async def _post(self, body: bytes) -> _Answer:
        headers = {"Content-Type": "application/json", "User-Agent": f"remediator/{__version__}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(self._url, data=body, proxy=proxy_for(self._url), allow_redirects=False) as answer,
        ):
            content = await answer.content.read(_LONGEST_ANSWER)
            return _Answer(answer.status, dict(answer.headers), _said(content))


class _Said(msgspec.Struct):
    """PagerDuty's words, in an answer of any status."""

    status: str = ""
    message: str = ""
    dedup_key: str = ""
    errors: list[str] = []


@dataclass(frozen=True, slots=True)
class _Answer:
    """An HTTP answer, whatever sent it; ``said`` is ``None`` if it is not in PagerDuty's words."""

    status: int
    headers: Mapping[str, str]
    said: _Said | None

    def meaning(self, routing_key: str) -> Delivery:
        """What the answer means for the event."""
        if self.status == 202 and self.said is not None:
            return Delivered(self.said.dedup_key)
        told = f"PagerDuty says {self._complaint(routing_key)}"
        if self.status in (408, 429, *range(500, 600)):
            return TryAgain(told, retry_after(self.headers))
        if self.status < 300:
            return TryAgain(f"{told}, which are not its words for success: something else answers")
        return Rejected(f"{told}: {_REMEDIES.get(self.status, _URL)}")

    def _complaint(self, routing_key: str) -> str:
        said = self.said or _Said()
        words = "; ".join(said.errors) or said.message or said.status
        quoted = words.replace(routing_key, _MASK) if routing_key else words
        return f"HTTP {self.status}" + (f" ({quoted[:_LONGEST_COMPLAINT]})" if quoted else "")


def _said(content: bytes) -> _Said | None:
    try:
        return msgspec.json.decode(content, type=_Said)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
