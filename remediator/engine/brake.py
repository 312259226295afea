"""The brake, as people hear of it: a page when it engages, and a summary, kept true until it is released."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from remediator.core.changes import BrakeRow, Release
from remediator.core.notices import Call, Envelope, Notice, NoticeKind, Tone
from remediator.core.paging import Audience, over_envelopes, page_envelopes
from remediator.core.ports.store import Topic
from remediator.engine.loops import Loop
from remediator.engine.parts import EngineParts

#: How many rules the summary tells by name.
_MOST_RULES = 8


class BrakeLoop(Loop):
    """Tells of each engaged brake, whichever replica engaged it; the ledger sees to it that one does."""

    name = "brake"
    topic = Topic.BRAKE
    #: The summary's pace: what is stopped meanwhile is one update.
    idle = timedelta(seconds=5)

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts

    async def work(self) -> bool:
        book = self._parts.rulebooks.active.rulebook
        found = await self.store.brakes(book.brake.longest_window)
        self.metrics.brakes(found)
        audience = self._parts.audience(book, None)
        for brake in found.rows:
            if brake.release is not None or brake.told != brake.alerts:
                await self.store.tell_brake(brake, tell_brake(brake, audience))
        return False


def tell_brake(brake: BrakeRow, audience: Audience) -> tuple[Envelope, ...]:
    """The summary as it is now; the page if nobody has heard of it yet, and its end once it is released.

    One that let go before anybody heard of it calls nobody any more: the summary tells what it stopped.
    """
    thread = f"brake:{brake.pause.id}"
    summary = _released(brake, brake.release) if brake.release else _engaged(brake)
    told = [Envelope(channel, thread, summary, key="summary") for channel in audience.reports]
    if brake.told is None and brake.release is None:
        told += page_envelopes(_page(brake), f"page:{thread}", Call(), audience)
    elif brake.told is not None and brake.release is not None:
        told += over_envelopes(summary, f"page:{thread}", audience)
    return tuple(told)


def _engaged(brake: BrakeRow) -> Notice:
    return Notice(
        NoticeKind.BRAKE,
        title=f"The brake is engaged: {_where(brake)} is stopped",
        tone=Tone.BAD,
        summary=f"{brake.pause.why}. What has not begun is not begun; {_until(brake)}.",
        fields=tuple(_fields(brake)),
        lines=tuple(_lines(brake)),
        commands=_commands(brake),
        count=0,
    )


def _page(brake: BrakeRow) -> Notice:
    return Notice(
        NoticeKind.BRAKE,
        title=f"The brake is engaged: {_where(brake)} is stopped",
        tone=Tone.BAD,
        summary=f"{brake.pause.why}. So much at once is an outage: repair it by hand; {_until(brake)}.",
        fields=(("Since", f"{brake.pause.at:%Y-%m-%d %H:%M:%S} UTC"),),
        commands=_commands(brake),
    )


def _released(brake: BrakeRow, release: Release) -> Notice:
    return Notice(
        NoticeKind.BRAKE,
        title=f"The brake is released: {_where(brake)} goes on",
        tone=Tone.QUIET,
        summary=f"by {release.who}: {release.why}. What was stopped stays a person's.",
        fields=(*_fields(brake), ("Released", f"{release.at:%Y-%m-%d %H:%M:%S} UTC")),
        lines=tuple(_lines(brake)),
        final=True,
        count=0,
    )


def _fields(brake: BrakeRow) -> Iterable[tuple[str, str]]:
    yield "Budget", brake.pause.brake.value if brake.pause.brake else ""
    yield "Since", f"{brake.pause.at:%Y-%m-%d %H:%M:%S} UTC"
    yield "Stopped", f"{_count(brake.alerts, 'alert')}, {_count(brake.distinct, 'target')}"
    for each in brake.stopped[:_MOST_RULES]:
        yield each.rule, f"{_count(each.alerts, 'alert')}, {_count(each.targets, 'target')}"
    if len(brake.stopped) > _MOST_RULES:
        yield "More rules", str(len(brake.stopped) - _MOST_RULES)


def _lines(brake: BrakeRow) -> Iterable[str]:
    for target in brake.targets:
        yield f"would have acted on {target}"
    if brake.distinct > len(brake.targets):
        yield f"and on {_count(brake.distinct - len(brake.targets), 'more target')}"


def _where(brake: BrakeRow) -> str:
    return brake.pause.value or "all automation"


def _until(brake: BrakeRow) -> str:
    if brake.pause.until is None:
        return "it waits for a person to resume it"
    return f"it lets go by itself at {brake.pause.until:%Y-%m-%d %H:%M:%S} UTC"


def _commands(brake: BrakeRow) -> tuple[str, ...]:
    where = f" --target {brake.pause.value}" if brake.pause.value else ""
    return "remediator status", f"remediator resume{where} --why '...'"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
