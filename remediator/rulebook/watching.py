"""Notices that rule files changed: at once where the system tells, else by looking at them now and then.

What the system tells only wakes: whether the files are others is seen by looking. So nothing is missed that
it doesn't tell of, such as a change on a network's disk, and whatever else happens beside them does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

import structlog

from remediator.rulebook.source import SUFFIX, FileRules, Looks

if TYPE_CHECKING:
    from watchfiles import Change

_log = structlog.get_logger(__name__)
#: How long changed files have to stay as they are before they are read: one may be half written.
SETTLED = timedelta(seconds=1)
#: How often they are looked at where the system tells of changes, and where it doesn't.
_TOLD, _UNTOLD = timedelta(seconds=30), timedelta(seconds=2)
#: How long the system's news are collected, in milliseconds.
_COLLECTED = 200


class FileWatch:
    """Watches the files of a source, from its making on."""

    def __init__(self, source: FileRules) -> None:
        self._source = source
        self._seen = source.looks()
        self._told = True

    async def changed(self) -> None:
        """Return once the files look other than at the last return, and have looked so for a moment."""
        while (now := await self._looks()) == self._seen:
            await self._stirred()
        while (after := await self._later()) != now:
            now = after
        self._seen = now

    async def _stirred(self) -> None:
        """Wait until something happened near the files, or for a while."""
        if not self._told:
            await asyncio.sleep(_UNTOLD.total_seconds())
            return
        folders = await asyncio.to_thread(self._source.folders)
        news = asyncio.create_task(self._news(folders))
        try:
            await asyncio.sleep(0)  # by now the news are on
            if await self._looks() == self._seen:
                await asyncio.wait({news}, timeout=_TOLD.total_seconds())
        finally:
            news.cancel()
            await asyncio.wait({news})

    async def _news(self, folders: Iterable[Path]) -> None:
        """Return at the next piece of news, or once it is clear that there won't be any."""
        from watchfiles import awatch

        try:
            watching = awatch(*folders, watch_filter=self._matters, debounce=_COLLECTED, recursive=False)
            async with aclosing(watching) as news:
                await anext(news)
        except FileNotFoundError:
            await asyncio.sleep(_UNTOLD.total_seconds())  # a folder that goes, and may well come back
        except (OSError, RuntimeError) as error:
            self._told = False
            _log.warning("rule files are looked at every few seconds: no news of changes", error=str(error))

    def _matters(self, _: Change, path: str) -> bool:
        """Whether news may be of rule files, and not of a ledger or log beside them.

        Folders and links may be called anything, but seldom have a dot; a ConfigMap's begin with two.
        """
        name = PurePath(path).name
        return name.endswith(SUFFIX) or name.startswith("..") or "." not in name or name == self._source.name

    async def _later(self) -> Looks:
        await asyncio.sleep(SETTLED.total_seconds())
        return await self._looks()

    async def _looks(self) -> Looks:
        return await asyncio.to_thread(self._source.looks)
