"""Critical sections: a pause waits for what must not be left half done, and people hear of it at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from remediator.core.changes import RunFilter
from remediator.core.events import Event, EventKind
from remediator.core.guards import PauseScope
from remediator.core.ids import RulebookHash
from remediator.core.notices import Lane
from remediator.core.ports.actions import ActionContext, Plan, Result
from remediator.core.ports.channels import RuleFiles
from remediator.core.rules import AlertTrigger, Mode, Rule, Rulebook, Step
from remediator.core.runs import Outcome, Run, RunState
from remediator.core.templates import target_template
from remediator.engine.dispatcher import DispatcherLoop
from remediator.engine.intake import IntakeLoop
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Rulebooks
from remediator.engine.runner import RunnerLoop
from tests.support.processes import eventually
from tests.unit.engine.actions import Acts, spec
from tests.unit.engine.parts import Parts, engine_parts, firing

FENCE, PROMOTE, TIDY = "test.fence", "test.promote", "test.tidy"
HASH = RulebookHash("d" * 64)


@dataclass
class OnePage:
    """A source of one rulebook, made by hand: its actions are this test's."""

    rule: Rule

    def read(self) -> RuleFiles:
        return RuleFiles({"rules.yaml": ""}, HASH)

    def compile(self, _files: RuleFiles) -> Rulebook:
        return Rulebook(HASH, (self.rule,))


class Held(Acts):
    """An action that says when it has been asked, and ends when it is let; the first time it may fail."""

    def __init__(self, name: str, *, critical: bool, fails: int = 0) -> None:
        super().__init__(spec(name, critical=critical), self._wait)
        self.asked, self.gate = asyncio.Event(), asyncio.Event()
        self.times = 0
        self._fails = fails

    async def _wait(self, _context: ActionContext) -> None:
        self.times += 1
        self.asked.set()
        await self.gate.wait()

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        done = await super().apply(context, plan)
        return Result(Outcome.FAILED, "it did not work") if self.times <= self._fails else done


@dataclass
class Scene:
    """A run under way, of a fence, a promotion and something that may wait."""

    parts: Parts
    engine: EngineParts
    fence: Held
    promote: Held
    tidy: Held

    async def pause(self) -> None:
        await self.parts.store.pause(PauseScope.ALL, "", "looking", "kim", None)

    async def run(self) -> Run:
        (run,) = await self.parts.store.history(RunFilter())
        return run

    async def events(self, kind: EventKind) -> list[Event]:
        return [each for each in await self.parts.store.events(0, 1000) if each.kind is kind]

    async def waits(self) -> None:
        """Return once the run waits for the pause."""

        async def paused() -> bool:
            run = await self.run()
            return run.state is RunState.READY and run.detail.startswith("pause: paused by kim")

        await eventually(paused, "the run waits for the pause")

    async def told(self) -> list[str]:
        """What is on its way in the lane of pages."""
        found = await self.parts.store.due_envelopes(Lane.PAGES, 99, self.engine.lease_ttl)
        return [each.envelope.notice.title for each in found]


@asynccontextmanager
async def a_run(folder: Path, *, fence_fails: int = 0, promote_fails: int = 0) -> AsyncIterator[Scene]:
    fence = Held(FENCE, critical=True, fails=fence_fails)
    promote = Held(PROMOTE, critical=True, fails=promote_fails)
    tidy = Held(TIDY, critical=False)
    steps = tuple(Step(name.partition(".")[2], name, retry=1) for name in (FENCE, PROMOTE, TIDY))
    rule = Rule(
        "failover", AlertTrigger(()), target_template("deployment/shop/cart"), steps=steps, mode=Mode.LIVE
    )
    async with engine_parts(folder) as parts:
        rulebooks = Rulebooks(parts.store, OnePage(rule))
        await rulebooks.reload("test")
        actions = {each.spec.name: each for each in (fence, promote, tidy)}
        engine = replace(parts.engine, rulebooks=rulebooks, actions=actions, mode=Mode.LIVE)
        await parts.send(firing())
        await IntakeLoop(engine, parts.alarms).work()
        await DispatcherLoop(engine, parts.alarms).work()
        driving = asyncio.create_task(RunnerLoop(engine).run())
        try:
            yield Scene(parts, engine, fence, promote, tidy)
        finally:
            await ended(driving)


async def ended(driving: asyncio.Task[None]) -> None:
    others = [each for each in asyncio.all_tasks() if each.get_name().startswith(("run ", "pauses "))]
    for task in (driving, *others):
        task.cancel()
    await asyncio.gather(driving, *others, return_exceptions=True)


async def reached(event: asyncio.Event) -> None:
    async with asyncio.timeout(10):
        await event.wait()


async def test_a_pause_that_comes_within_a_section_waits_for_its_end_and_people_hear_of_it_at_once(
    tmp_path: Path,
) -> None:
    async with a_run(tmp_path) as scene:
        await reached(scene.fence.asked)
        await scene.pause()

        async def heard() -> bool:
            return bool(await scene.events(EventKind.RUN_PAUSE_WAITS))

        # While the step is still under way, not when the next one begins.
        await eventually(heard, "the pause is noticed")
        run = await scene.run()
        assert await scene.told() == [f"cart: the pause waits for {run.id}"]
        scene.fence.gate.set()
        await reached(scene.promote.asked)
        (asked,) = (await scene.events(EventKind.GUARDS_ASKED))[1:]
        answers: Any = asked.data["answers"]
        (said,) = [each for each in answers if each["guard"] == "pause"]
        assert said["answer"] == "allows"
        assert "paused by kim: looking; it waits until the critical section is over" in said["detail"]
        scene.promote.gate.set()
        await scene.waits()
        assert not scene.tidy.asked.is_set()
        (told,) = await scene.events(EventKind.RUN_PAUSE_WAITS)
        assert "kim (looking)" in str(told.data["detail"])
        await scene.parts.store.resume(PauseScope.ALL, "", "done", "kim")
        await reached(scene.tidy.asked)


async def test_a_section_is_not_begun_while_paused(tmp_path: Path) -> None:
    async with a_run(tmp_path, fence_fails=1) as scene:
        await reached(scene.fence.asked)
        await scene.pause()
        # It is proven not to have happened: nothing is half done, so that its next try waits.
        scene.fence.gate.set()
        await scene.waits()
        assert scene.fence.times == 1
        assert not scene.promote.asked.is_set()


async def test_what_failed_within_a_section_is_tried_again_though_paused(tmp_path: Path) -> None:
    async with a_run(tmp_path, promote_fails=1) as scene:
        scene.fence.gate.set()
        await reached(scene.promote.asked)
        await scene.pause()
        scene.promote.gate.set()
        await eventually(lambda: scene.promote.times == 2, "it is tried again")
        await scene.waits()
        assert not scene.tidy.asked.is_set()


async def test_whoever_takes_a_run_over_is_in_the_same_section(tmp_path: Path) -> None:
    async with a_run(tmp_path) as scene:
        scene.fence.gate.set()
        await reached(scene.promote.asked)
        (run_task,) = [each for each in asyncio.all_tasks() if each.get_name().startswith("run ")]
        await scene.pause()
        run_task.cancel()
        # Its promotion is probed, found not to have happened, and made again.
        scene.promote.gate.set()
        await eventually(lambda: scene.promote.times == 2, "it is made again")
        await scene.waits()
        assert not scene.tidy.asked.is_set()


async def test_a_pause_of_another_rule_makes_no_noise(tmp_path: Path) -> None:
    async with a_run(tmp_path) as scene:
        await reached(scene.fence.asked)
        await scene.parts.store.pause(PauseScope.RULE, "another", "looking", "kim", None)
        scene.fence.gate.set()
        await reached(scene.promote.asked)
        scene.promote.gate.set()
        await reached(scene.tidy.asked)
        assert await scene.events(EventKind.RUN_PAUSE_WAITS) == []
