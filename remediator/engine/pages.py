"""Pages: each calls one contact after the other, until somebody answers or it is over."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.paging import Page, PageChange, PageView, call_next, over, why_over
from remediator.core.ports.store import Topic
from remediator.engine.loops import Loop

_BATCH = 50


class PagesLoop(Loop):
    """Attends to open pages, on every replica: the ledger lets one of them at a page at a time."""

    name = "pages"
    topic = Topic.RUNS
    idle = timedelta(seconds=1)

    async def work(self) -> bool:
        return await self.store.attend_pages(attend, _BATCH) == _BATCH


def attend(page: Page, view: PageView) -> PageChange | None:
    """What becomes of a page now; pure."""
    why = why_over(page, view)
    return call_next(page, view.now) if why is None else over(page, why, view.now)
