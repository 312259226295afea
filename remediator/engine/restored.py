"""A ledger that was put back: people are called, and told once somebody has looked and resumed."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.changes import Restoration
from remediator.core.notices import Call, Envelope, Notice, NoticeKind, Tone
from remediator.core.paging import Audience, over_envelopes, page_envelopes
from remediator.core.ports.store import Topic
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts


class RestoredLoop(Loop):
    """Tells of each time that the ledger was found to be an older one; everything is paused by then."""

    name = "restored"
    topic = Topic.BRAKE
    idle = timedelta(seconds=5)

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts

    async def work(self) -> bool:
        audience = self._parts.audience(self._parts.rulebooks.active.rulebook, None)
        for each in await self.store.restorations():
            if not each.told or each.release is not None:
                await self.store.tell_restoration(each, tell_restoration(each, audience))
        return False


def tell_restoration(restoration: Restoration, audience: Audience) -> tuple[Envelope, ...]:
    """The page, or its end; of one that was resumed before anybody heard of it there is nothing to tell."""
    thread = f"page:restored:{restoration.pause}"
    if restoration.release is None:
        return page_envelopes(_page(restoration), thread, Call(), audience)
    if not restoration.told:
        return ()
    notice = Notice(
        NoticeKind.ALARM,
        title="Remediator goes on with its restored ledger",
        tone=Tone.QUIET,
        summary=f"by {restoration.release.who}: {restoration.release.why}",
        final=True,
    )
    return over_envelopes(notice, thread, audience)


def _page(restoration: Restoration) -> Notice:
    return Notice(
        NoticeKind.ALARM,
        title="Remediator is paused: its ledger was put back from a copy",
        tone=Tone.BAD,
        summary=f"{restoration.why}. What was done since is not in it; what was under way then is probed.",
        fields=(("Since", f"{restoration.at:%Y-%m-%d %H:%M:%S} UTC"),),
        commands=("remediator status", "remediator resume --why '...'"),
    )
