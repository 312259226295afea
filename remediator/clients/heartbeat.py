"""Heartbeats: a GET of one URL, as dead man's switches take it. The URL is a secret and told to nobody."""

from __future__ import annotations

from http import HTTPStatus

import aiohttp

from remediator import __version__
from remediator.clients.proxies import proxy_for


class HeartbeatClient:
    """Asks for one URL, time and again; credentials in it are used as basic authentication.

    ``timeout`` is in seconds.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        self._url = url
        self._proxy = proxy_for(url)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def beat(self) -> str:
        headers = {"Cache-Control": "no-cache"}
        try:
            async with self._opened().get(self._url, proxy=self._proxy, headers=headers) as answer:
                if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    return ""
                return f"it was answered with {answer.status}"
        except TimeoutError:
            return f"no answer within {self._timeout.total:g} s"
        except aiohttp.ClientConnectorError as error:
            return f"no connection: {error.os_error}"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Whatever else these say may hold the URL.
            return type(error).__name__

    async def close(self) -> None:
        """Close the connection; a later beat opens it again."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            headers = {"User-Agent": f"remediator/{__version__}"}
            self._session = aiohttp.ClientSession(timeout=self._timeout, headers=headers)
        return self._session
