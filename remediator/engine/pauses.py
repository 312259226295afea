"""Pauses without an end, as people are reminded of them: once for all replicas, at growing intervals."""

from __future__ import annotations

from datetime import timedelta

from remediator.core.guards import Pause, PauseScope
from remediator.core.notices import Envelope, Notice, NoticeKind, Tone
from remediator.core.paging import Audience
from remediator.core.ports.store import Topic
from remediator.core.reminders import reminders_due
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts


class PausesLoop(Loop):
    """Reminds people of what they have stopped; the ledger sees to it that one replica does."""

    name = "pauses"
    topic = Topic.BRAKE
    idle = timedelta(seconds=15)

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts

    async def work(self) -> bool:
        now = await self.store.now()
        for pause in await self.store.pauses():
            due = reminders_due(pause, now)
            if due > pause.reminded:
                # What was missed while nobody was there is made up for by one.
                await self.store.remind(pause, due, tell_reminder(pause, self._audience(pause)))
        return False

    def _audience(self, pause: Pause) -> Audience:
        book = self._parts.rulebooks.active.rulebook
        rule = book.rule(pause.value) if pause.scope is PauseScope.RULE else None
        return self._parts.audience(book, rule)


def tell_reminder(pause: Pause, audience: Audience) -> tuple[Envelope, ...]:
    """That it is still paused, where the reports go."""
    notice = Notice(
        NoticeKind.ALARM,
        title=f"Still paused: {what_of(pause)}",
        tone=Tone.UNSURE,
        summary=f"{pause.why}. Nothing ends it but a person.",
        fields=(("Paused by", pause.by), ("Since", f"{pause.at:%Y-%m-%d %H:%M} UTC")),
        commands=(f"remediator resume --id {pause.id} --why '...'",),
        final=True,
        count=0,
    )
    return tuple(
        Envelope(channel, f"pause:{pause.id}", notice, key="reminder", standalone=True)
        for channel in audience.reports
    )


def what_of(pause: Pause) -> str:
    """What a pause stops, for people."""
    return "everything" if pause.scope is PauseScope.ALL else f"{pause.scope.value} {pause.value}"
