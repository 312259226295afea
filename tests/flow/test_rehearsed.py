"""What `remediator test` says will be decided is what the daemon decides: one scenario file, both ways."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from remediator.cli.testing import kit
from remediator.rehearse.files import Story, load
from remediator.rehearse.models import Person
from remediator.rehearse.scenario import play
from remediator.rehearse.world import Firing, firings
from remediator.sandbox.alertmanager import Alert
from tests.support.daemon import ADAS, World
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, image

SCENARIO = Path(__file__).parents[1] / "data" / "rule_tests" / "same.yaml"

#: What is compared: kind, reason, rule, target; of runs rule, target, outcome, reason, steps, joins.
Decisions = list[tuple[str, str, str, str]]
Runs = list[tuple[str, str, str, str, list[str], int]]


async def test_the_daemon_decides_what_the_rehearsal_said_it_would(world: World) -> None:
    [story] = load(SCENARIO).stories
    rehearsed = await _rehearse(story)
    assert rehearsed[0]
    lived = await _live(world, story)
    assert lived == rehearsed
    assert len(world.applied()) == 1


async def _rehearse(story: Story) -> tuple[Decisions, Runs]:
    """In a thread of its own: it has an event loop of its own."""
    outcome = await asyncio.to_thread(play, story, kit())
    assert outcome.passed, outcome
    assert outcome.recording is not None
    decisions = [
        (row.decision.kind.value, row.decision.reason.value, row.rule, row.target)
        for row in outcome.recording.decisions
    ]
    runs = [
        (
            row.run.rule,
            str(row.run.target),
            row.run.state.value,
            row.run.reason.value if row.run.reason else "",
            [attempt.step for attempt in row.attempts],
            row.joined - 1,
        )
        for row in outcome.recording.runs
    ]
    return decisions, runs


async def _live(world: World, story: Story) -> tuple[Decisions, Runs]:
    """The same alerts and people, each once all before has come to rest."""
    for namespace in ("elsewhere", NAMESPACE):
        await world.break_service("cart", namespace=namespace)
    world.cluster.deploy(NAMESPACE, "mail", image("mail", 1), replicas=1)
    await world.cluster.settled()
    world.write_rules(story.rules.read_text())
    await world.start()
    began = datetime(2026, 1, 5, tzinfo=UTC)
    happens: list[tuple[datetime, Firing | Person]] = [
        (firing.begins, firing) for alert in story.test.alerts for firing in firings(alert, began)
    ]
    happens += [(began + person.at, person) for person in story.test.people]
    for _, some in groupby(sorted(happens, key=lambda each: each[0]), key=lambda each: each[0]):
        for _, each in some:
            if isinstance(each, Person):
                await _do(world, each)
            else:
                await _fire(world, each)
        await _at_rest(world)
    return await _decisions(world), await _runs(world)


async def _fire(world: World, firing: Firing) -> None:
    alert = Alert(labels=firing.labels)
    world.alertmanager.fire([alert])
    await world.fire(alert)
    if firing.model.resolved is not None and firing.labels["instance"] == "b":
        await eventually(world.applied, "it is repaired")
        both = [Alert(labels={**firing.labels, "instance": each}) for each in ("a", "b")]
        await world.resolve(*both)


async def _do(world: World, person: Person) -> None:
    if person.deny is not None:
        [run] = [run for run in await world.runs() if run["state"] == "asking"]
        path, body, token = f"/api/v1/runs/{run['id']}/deny", {"why": person.why}, {"token": ADAS}
        status, said = await world.ask("POST", path, body, **token)
    else:
        path = "/api/v1/pauses" if person.pause else "/api/v1/resume"
        status, said = await world.ask("POST", path, {"scope": "all", "value": "", "why": person.why})
    assert status < 300, said


async def _at_rest(world: World) -> None:
    async def nothing_waits() -> bool:
        backlog = (await world.get("/status"))["backlog"]
        busy = [run for run in await world.runs() if run["ended"] is None and run["state"] != "asking"]
        return not (backlog["webhooks"] or backlog["episodes"] or busy)

    await eventually(nothing_waits, "nothing waits but what asks", within=30)


async def _decisions(world: World) -> Decisions:
    rows: list[dict[str, Any]] = (await world.get("/decisions?limit=100"))[::-1]
    return [(row["kind"], row["reason"], row["rule"], row["target"]) for row in rows]


async def _runs(world: World) -> Runs:
    stories = [await world.story(run) for run in await world.runs()]
    return [
        (
            story["rule"],
            story["target"],
            story["state"],
            story["reason"] or "",
            [attempt["step"] for attempt in story["attempts"]],
            len(story["episodes"]) - 1,
        )
        for story in stories
    ]
