"""An attempt's deadline is a hard one: nothing begins or goes on after it, and nothing is taken for done."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
import uvloop

from remediator.core.ids import AttemptId, Token
from remediator.core.ports.actions import ActionContext, Fence, Plan, Result
from remediator.core.runs import Attempt, Outcome, Phase
from remediator.engine.acting import Acting
from tests.unit.core.values import NOW, run
from tests.unit.engine.actions import Acts, Applies, spec
from tests.unit.engine.fast import in_no_time, passed

TIMEOUT = timedelta(seconds=10)


def an_attempt() -> Attempt:
    return Attempt(
        id=AttemptId("r-1/act/1"),
        run=run().id,
        step="act",
        phase=Phase.STEPS,
        position=0,
        number=1,
        action="test.act",
        params={},
        token=Token(1),
        intended_at=NOW,
        deadline_at=NOW + TIMEOUT,
    )


async def applied(applies: Applies, over_at: float) -> Result:
    acting = Acting({"test.act": Acts(spec(), applies)})
    return await acting.apply(run(), an_attempt(), Plan("", ""), over_at, {"tier": "web"})


def test_what_answers_in_time_has_its_outcome_and_knows_its_deadline() -> None:
    told: list[ActionContext] = []

    async def applies(context: ActionContext) -> None:
        told.append(context)
        await asyncio.sleep(9.9)

    assert in_no_time(applied(applies, 10)).outcome is Outcome.SUCCEEDED
    assert [(each.now, each.deadline, each.labels) for each in told] == [
        (NOW, NOW + TIMEOUT, {"tier": "web"})
    ]


def test_what_does_not_is_cancelled_at_its_deadline_and_unknown() -> None:
    ended: list[float] = []

    async def applies(_: ActionContext) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(passed())

    result = in_no_time(applied(applies, 10))
    assert (result.outcome, result.detail) == (Outcome.UNKNOWN, "no answer within 10s")
    assert ended == [10]


def test_what_would_begin_after_its_deadline_is_not_begun_and_has_failed() -> None:
    async def applies(_: ActionContext) -> None:
        raise AssertionError

    result = in_no_time(applied(applies, 0))
    assert result.outcome is Outcome.FAILED
    assert "not begun" in result.detail


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_stalls_past_its_deadline_takes_no_further_step(
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    """What its target can't fence has nothing else that keeps it from a takeover's way."""
    steps: list[str] = []

    async def scene() -> Result:
        due = asyncio.Event()

        async def applies(_: ActionContext) -> None:
            await due.wait()
            steps.append("wrote")

        def stall() -> None:
            due.set()
            time.sleep(0.2)

        here = asyncio.get_running_loop()
        here.call_later(0.02, stall)
        return await applied(applies, here.time() + 0.1)

    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(scene()).outcome is Outcome.UNKNOWN
    assert steps == []


@pytest.mark.parametrize("fence", Fence)
def test_whether_a_target_fences_is_what_its_action_says(fence: Fence) -> None:
    async def applies(_: ActionContext) -> None:
        raise AssertionError

    acting = Acting({"test.act": Acts(spec(fence=fence), applies)})
    assert acting.fences("test.act") is (fence is Fence.TARGET)
