"""A rehearsal is the real engine: what it does does not hang on how often anybody looks."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.checks import CheckAnswer, CheckContext, Said
from remediator.core.ports.actions import (
    ActionContext,
    ActionSpec,
    CheckSpec,
    Plan,
    Probe,
    Result,
    Sighting,
)
from remediator.core.runs import Outcome
from remediator.rehearse.clockwork import Clockwork
from remediator.rehearse.rehearsal import Recording, Rehearsal, Surroundings
from remediator.rulebook.source import FileRules
from remediator.store.sqlite.memory import MemoryStore

MONDAY = datetime(2026, 1, 5, 12, tzinfo=UTC)
RULES = """
rules:
  - name: restart
    when: {matchers: ['alertname="Down"'], firing_for: 30s}
    target: deployment/shop/{{ labels.job }}
    limits: {cooldown: 15m}
    approval: {within: 10m, otherwise: run}
    steps: [{action: kubernetes.rollout_restart}]
    verify: {within: 2m, stable_for: 1m, checks: [{check: kubernetes.rolled_out}]}
    escalate: [lead, chief]
    mode: live
contacts: {lead: {wait: 30s}, chief: {wait: 30s}}
"""


@dataclass
class Works:
    """An action that does what it should at once."""

    spec: ActionSpec

    async def plan(self, context: ActionContext) -> Plan:
        del context
        return Plan("it would", "")

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        del context, plan
        return Result(Outcome.SUCCEEDED, "it did")

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        del context, plan
        return Probe(Sighting.HAPPENED, "it did")


@dataclass
class Yes:
    """A check that says yes."""

    spec: CheckSpec

    async def look(self, context: CheckContext) -> CheckAnswer:
        del context
        return CheckAnswer(Said.YES, "so it is")


def body(job: str, starts: datetime, ends: datetime | None = None) -> bytes:
    alert = {
        "status": "resolved" if ends else "firing",
        "labels": {"alertname": "Down", "job": job},
        "startsAt": starts.isoformat(),
        "endsAt": ends.isoformat() if ends else "0001-01-01T00:00:00Z",
    }
    return json.dumps({"version": "4", "alerts": [alert]}).encode()


def rehearse(folder: Path, hours: float, *, patient: bool = True) -> Recording:
    """One fault every two hours: each asks, goes on without an answer, and is told to be over later."""
    (folder / "rules.yaml").write_text(RULES)
    around = Surroundings(
        {name: Works(spec) for name, spec in ACTIONS.items()},
        {name: Yes(spec) for name, spec in CHECKS.items()},
    )
    make = partial(MemoryStore, patient=patient)
    rehearsal = Rehearsal(
        Clockwork(MONDAY),
        lambda clock, monotonic: make(clock=clock, monotonic=monotonic),
        FileRules(folder),
        around,
    )
    for hour in range(0, math.ceil(hours), 2):
        begins = MONDAY + timedelta(hours=hour)
        rehearsal.post(begins, body("cart", begins))
        again = begins + timedelta(minutes=20)
        rehearsal.post(again - timedelta(minutes=1), body("cart", begins, again - timedelta(minutes=1)))
        rehearsal.post(again, body("cart", again))
        rehearsal.post(begins + timedelta(hours=1), body("cart", again, begins + timedelta(hours=1)))
    return rehearsal.play(MONDAY + timedelta(hours=hours))


def shown(recording: Recording) -> list[tuple[float, str, str | None]]:
    return [(round((e.at - MONDAY).total_seconds(), 2), e.kind.value, e.rule) for e in recording.events]


def test_hours_are_played_by_the_real_engine_without_waiting_for_it(tmp_path: Path) -> None:
    recording = rehearse(tmp_path, 6)
    assert not recording.problems
    assert [row.run.state.value for row in recording.runs] == ["succeeded"] * 3
    taken = [(row.decision.kind.value, row.decision.reason.value) for row in recording.decisions]
    assert taken.count(("skip", "cooldown")) == 3
    assert recording.ended - recording.began == timedelta(hours=6)
    assert any(told.envelope.notice.page for told in recording.notices)


def test_who_looks_only_when_something_falls_due_sees_the_same(tmp_path: Path) -> None:
    """Through a wait, an unanswered request, a run, a cooldown and a call of the second contact."""
    patient, hasty = [rehearse(tmp_path, 26 / 60, patient=patient) for patient in (True, False)]
    assert shown(patient) == shown(hasty)
    assert {"run.asked", "run.succeeded", "page.called"} <= {kind for _, kind, _ in shown(patient)}
