"""Approvals: what a person is asked about a run, what they may answer, and what their answer binds (law 7).

A request shows what each step would do and is named by the digest of that. Whoever approves it approves that
digest: at the first intent the steps are planned anew, and only the same digest acts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from remediator.core.ids import PlanDigest, RulebookHash, RunId
from remediator.core.rules import Otherwise
from remediator.core.runs import Phase
from remediator.core.targets import Target

#: How often one run asks at most: a world that keeps changing is a person's to look at.
MOST_REQUESTS = 3
_TICKET = re.compile(r"([A-Za-z0-9-]{1,40}) ([0-9a-f]{64})")
#: The names of the two answers, as channels send them back.
APPROVE, DENY = "remediator.approve", "remediator.deny"


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """What one step would do, as it is shown to people.

    ``data`` binds the run's first intent; ``goal``, the part of it that says where it leads, binds a later
    step, whose start earlier steps change. A step that can't be planned before, as one that needs an earlier
    step's results, is ``open``: bound is what is written. All mappings are JSON-able.
    """

    step: str
    action: str
    params: Mapping[str, object]
    summary: str
    diff: str = ""
    data: Mapping[str, object] = field(default_factory=dict)
    goal: Mapping[str, object] = field(default_factory=dict)
    open: bool = False

    @property
    def bound(self) -> object:
        """What of it an approval binds, as plain JSON."""
        return _plain({"step": self.step, "action": self.action, "params": self.params, "data": self.data})


@dataclass(frozen=True, slots=True)
class Proposal:
    """All that a run would do: the steps of its phase, planned, and what it would fall back to."""

    rulebook: RulebookHash
    rule: str
    target: Target
    phase: Phase
    steps: tuple[PlannedStep, ...]
    fallback: tuple[PlannedStep, ...] = ()

    @property
    def digest(self) -> PlanDigest:
        """SHA-256 (hex) of the proposal's canonical form, which is JSON with sorted keys."""
        form = {
            "rulebook": self.rulebook,
            "rule": self.rule,
            "target": str(self.target),
            "phase": self.phase.value,
            "steps": [step.bound for step in self.steps],
            "fallback": [step.bound for step in self.fallback],
        }
        return PlanDigest(sha256(_canonical(form)).hexdigest())


def _canonical(value: object) -> bytes:
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


class Settled(StrEnum):
    """How a request ended: by a person, by the time, or because nothing was left to approve."""

    GRANTED = "granted"
    DENIED = "denied"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"

    @property
    def word(self) -> str:
        """For people, before who it was."""
        return {"granted": "approved", "lapsed": "answered"}.get(self.value, self.value)


class How(StrEnum):
    """By which way an answer came; ``NOBODY`` is the clock's, or the alert's own end."""

    API = "api"
    SLACK = "slack"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Approval:
    """One request of a run, and its end once it has one.

    ``number`` counts the run's requests from 1; ``asked`` are the names of those who may answer. ``until`` is
    when it lapses, of the store's clock: at that very moment no answer counts any more. ``who`` is empty for
    nobody.
    """

    run: RunId
    number: int
    digest: PlanDigest
    proposal: Proposal
    asked: tuple[str, ...]
    asked_at: datetime
    until: datetime
    otherwise: Otherwise
    settled: Settled | None = None
    settled_at: datetime | None = None
    who: str = ""
    why: str = ""
    how: How | None = None

    @property
    def ticket(self) -> str:
        """What an answer has to show, so that it counts for this request alone."""
        return f"{self.run} {self.digest}"

    @property
    def granted(self) -> bool:
        return self.settled is Settled.GRANTED

    @property
    def outcome(self) -> str:
        """How it ended, for people: who, when and why."""
        if self.settled is None or self.settled_at is None:
            return "not answered yet"
        why = f": {self.why}" if self.why else ""
        return f"{self.settled.word} by {self.by} at {self.settled_at:%H:%M:%S} UTC{why}"

    @property
    def by(self) -> str:
        """Who settled it and by which way; nobody where it was the clock, or the alert's end."""
        if not self.who or self.how is None:
            return "nobody"
        return f"{self.who} ({self.how.value})"


def settle(
    approval: Approval,
    settled: Settled,
    now: datetime,
    *,
    who: str = "",
    why: str = "",
    how: How = How.NOBODY,
) -> Approval:
    """The request with its end."""
    return replace(approval, settled=settled, settled_at=now, who=who, why=why, how=how)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a person says to a run's request: to that of ``digest`` (or its beginning), else to the latest."""

    granted: bool
    who: str
    why: str
    how: How
    digest: PlanDigest | None = None


def read_ticket(text: str) -> tuple[RunId, PlanDigest] | None:
    """The run and the plan of a :attr:`Approval.ticket`; ``None`` if it is none."""
    found = _TICKET.fullmatch(text)
    return None if found is None else (RunId(found[1]), PlanDigest(found[2]))


class Obstacle(StrEnum):
    """Why an answer does not count."""

    NOTHING_ASKED = "nothing_asked"
    ANSWERED = "answered"
    REPEATED = "repeated"
    TOO_LATE = "too_late"
    OTHER_PLAN = "other_plan"


@dataclass(frozen=True, slots=True)
class Objection:
    """An answer that does not count, and why, for whoever gave it."""

    obstacle: Obstacle
    detail: str


NOTHING_ASKED = Objection(Obstacle.NOTHING_ASKED, "nobody was asked about this run")


def judge(latest: Approval | None, answer: Answer, now: datetime) -> Approval | Objection:
    """Settle a run's latest request by an answer: the first counts, in time and to the very plan it saw."""
    if latest is None:
        return NOTHING_ASKED
    if answer.digest is not None and not latest.digest.startswith(answer.digest):
        detail = "the plan has changed since: look at the newest request, it shows what would be done now"
        return Objection(Obstacle.OTHER_PLAN, detail)
    wanted = Settled.GRANTED if answer.granted else Settled.DENIED
    if latest.settled is not None:
        same = (latest.settled, latest.who, latest.how) == (wanted, answer.who, answer.how)
        return Objection(Obstacle.REPEATED if same else Obstacle.ANSWERED, f"already {latest.outcome}")
    if now >= latest.until:
        return Objection(Obstacle.TOO_LATE, f"it could be answered until {latest.until:%H:%M:%S} UTC")
    return settle(latest, wanted, now, who=answer.who, why=answer.why, how=answer.how)


def lapse(latest: Approval | None, now: datetime) -> Approval | None:
    """Settle a request that nobody answered in time, as it says; ``None`` while it may still be answered."""
    if latest is None or latest.settled is not None or now < latest.until:
        return None
    if latest.otherwise is Otherwise.RUN:
        return settle(latest, Settled.GRANTED, now, why="nobody answered in time, and the rule then goes on")
    return settle(latest, Settled.LAPSED, now)


def difference(before: Proposal, after: Proposal) -> str:
    """In which steps two proposals of one run differ, for people; empty if they are the same."""
    if before.phase is not after.phase:
        return f"it would begin with {after.steps[0].action}, which is what it falls back to"
    pairs = zip(before.steps, after.steps, strict=True)
    return "; ".join([_changed(old, new) for old, new in pairs if old.bound != new.bound])


def _changed(old: PlannedStep, new: PlannedStep) -> str:
    if old.summary != new.summary:
        return f"{new.step}: “{old.summary}” has become “{new.summary}”"
    names = sorted(name for name in {*old.data, *new.data} if old.data.get(name) != new.data.get(name))
    return f"{new.step}: {', '.join(names) or 'its parameters'} changed"


def departure(approved: PlannedStep, planned: PlannedStep) -> str:
    """How a later step's plan departs from what was approved of it; empty if it leads where it should."""
    if (approved.step, approved.action) != (planned.step, planned.action):
        return f"{planned.step} ({planned.action}) is not the step that was approved"
    if approved.open:
        return ""
    if _plain(approved.params) != _plain(planned.params):
        return f"{planned.step}: its parameters are not those that were approved"
    if _plain(approved.goal) != _plain(planned.goal):
        return f"{planned.step}: “{approved.summary}” has become “{planned.summary}”"
    return ""
