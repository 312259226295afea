"""What came of a rehearsal, as entries on a timeline that expectations are held against."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from remediator.core.changes import DecisionRow, RunRow
from remediator.core.decide import DecisionKind
from remediator.core.events import Event, EventKind
from remediator.core.ids import RunId
from remediator.core.rules import Rulebook
from remediator.rehearse.rehearsal import Recording


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that happened. ``what`` is what its kind is of: a run's rule, a skip's reason, and so on.

    ``steps`` are those that were tried, ``joins`` how many alerts joined; of a run alone, like ``outcome``,
    ``reason`` and ``ends``.
    """

    at: datetime
    kind: str
    what: str
    rule: str = ""
    target: str = ""
    detail: str = ""
    outcome: str = ""
    reason: str = ""
    steps: tuple[str, ...] = ()
    joins: int = 0
    ends: datetime | None = None
    channel: str = ""

    @property
    def shown(self) -> str:
        """The entry on one line."""
        if self.kind == "told":
            return f"told {self.channel}: {self.what.partition(chr(10))[0]}"
        words = [f"{self.kind} {self.what}"]
        if self.rule not in ("", self.what):
            words.append(f"of {self.rule}")
        if self.target not in ("", self.what):
            words.append(f"on {self.target}")
        line = " ".join(words)
        if self.kind == "run":
            line += f": {self.outcome}{f' ({self.reason})' if self.reason else ''}"
            line += f", steps {', '.join(self.steps)}" if self.steps else ""
            line += f", {self.joins} joined" if self.joins else ""
        return line


def entries(recording: Recording, rulebook: Rulebook) -> tuple[Entry, ...]:
    """Everything that can be expected, in order."""
    found = [
        *map(_run, recording.runs),
        *_decisions(recording.decisions),
        *_events(recording.events, rulebook),
        *_told(recording),
    ]
    numbers = {row.run.id: f"run {number}" for number, row in enumerate(recording.runs, 1)}
    return tuple(sorted((_numbered(each, numbers) for each in found), key=lambda entry: entry.at))


def _numbered(entry: Entry, numbers: Mapping[RunId, str]) -> Entry:
    """With runs by number: their ids are others each time."""
    if "r-" not in entry.detail:
        return entry
    detail = entry.detail
    for run, number in numbers.items():
        detail = detail.replace(run, number)
    return replace(entry, detail=detail, what=detail if entry.kind == "told" else entry.what)


def _run(row: RunRow) -> Entry:
    run = row.run
    return Entry(
        run.created_at,
        "run",
        run.rule,
        run.rule,
        str(run.target),
        run.detail,
        run.state.value,
        run.reason.value if run.reason else "",
        tuple(attempt.step for attempt in row.attempts),
        max(row.joined - 1, 0),
        run.ended_at,
    )


def _decisions(rows: Sequence[DecisionRow]) -> Iterator[Entry]:
    kinds = {DecisionKind.SKIP: "skip", DecisionKind.DEFER: "wait"}
    for row in rows:
        decision = row.decision
        kind = kinds.get(decision.kind)
        if kind is not None:
            yield Entry(row.at, kind, decision.reason.value, row.rule, row.target, decision.detail)


def _events(events: Sequence[Event], rulebook: Rulebook) -> Iterator[Entry]:
    calls: dict[object, int] = {}
    for event in events:
        said = str(event.data.get("detail", ""))
        rule, target = event.rule or "", event.target or ""
        page = event.data.get("page")
        if event.kind is EventKind.PAGE_OPENED:
            of_brake = str(event.data.get("thread", "")).startswith("page:brake:")
            yield Entry(event.at, "page", "brake" if of_brake else rule, rule, target, said)
        if event.kind in (EventKind.PAGE_OPENED, EventKind.PAGE_CALLED):
            calls[page] = calls.get(page, -1) + 1
            chain = rulebook.chain_of(rulebook.rule(rule))
            if chain:
                yield Entry(event.at, "call", chain[calls[page] % len(chain)].name, rule, target, said)
        elif event.kind is EventKind.BRAKE_ENGAGED:
            where = str(event.data.get("value") or "all")
            yield Entry(event.at, "brake", where, detail=str(event.data.get("why", "")))
        elif event.kind is EventKind.TARGET_QUARANTINED:
            held = said.partition(":")[0]
            yield Entry(event.at, "quarantine", held, rule, held, said)


def _told(recording: Recording) -> Iterator[Entry]:
    for told in recording.notices:
        notice = told.envelope.notice
        text = "\n".join((notice.title, notice.summary, *notice.lines))
        yield Entry(told.at, "told", text, channel=told.envelope.channel, detail=text)
