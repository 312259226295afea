"""Acting: planning, applying and probing one step's action, with everything that may go wrong as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from remediator.core.durations import format_duration
from remediator.core.episodes import Episode
from remediator.core.ids import AttemptId, Token, attempt_id
from remediator.core.ports.actions import (
    Action,
    ActionContext,
    Fence,
    ParameterError,
    Plan,
    Probe,
    Refusal,
    Result,
    Sighting,
)
from remediator.core.rules import Rule, Step
from remediator.core.runs import Attempt, Outcome, Phase, Run
from remediator.core.templates import TemplateError
from remediator.core.triggers import in_scope
from remediator.engine.facts import render
from remediator.engine.steady import StoppedError, steady

_log = structlog.get_logger(__name__)
_LOOK_TIMEOUT = 20.0


class Acting:
    """Calls actions. Nothing but cancellation leaves it as an exception.

    ``objection`` is what may be held against a plan for what it saw of its target.
    """

    def __init__(
        self,
        actions: Mapping[str, Action],
        objection: Callable[[Run, Plan, datetime], Refusal | None] = lambda _run, _plan, _now: None,
    ) -> None:
        self._actions = actions
        self._objection = objection

    async def plan(
        self,
        run: Run,
        step: Step,
        values: Mapping[str, object],
        token: Token,
        now: datetime,
        earlier: Attempt | None = None,
    ) -> tuple[Plan | Refusal, Mapping[str, object]]:
        """What the step would do, with its rendered parameters; ``earlier`` is its try before this one."""
        try:
            params = render(step.params, values)
            context = self._context(run, step_key(run, step), step.action, params, token, now, step.timeout)
        except (TemplateError, ParameterError) as error:
            return Refusal(f"parameters of {step.id}: {error}"), {}
        except KeyError:
            return Refusal(f"this daemon has no action {step.action}"), {}
        try:
            async with asyncio.timeout(_LOOK_TIMEOUT):
                told = replace(context, earlier=earlier.plan if earlier else None)
                plan = await self._actions[step.action].plan(told)
        except TimeoutError:
            return Refusal(f"no plan within {_LOOK_TIMEOUT:.0f} s", temporary=True), params
        except Exception as error:  # noqa: BLE001 - an action's bug is an unknown outcome, not the engine's end
            _log.exception("plan failed", action=step.action, run=run.id)
            return Refusal(f"{type(error).__name__} while planning {step.action}"), params
        objection = None if isinstance(plan, Refusal) else self._objection(run, plan, now)
        return objection or plan, params

    def fences(self, action: str) -> bool:
        """Whether the action's target refuses late writers by itself."""
        return self._actions[action].spec.fence is Fence.TARGET

    async def apply(
        self, run: Run, attempt: Attempt, plan: Plan, over_at: float, labels: Mapping[str, str | None]
    ) -> Result:
        """Do it; what does not answer before ``over_at``, in the loop's time, is cancelled and unknown.

        ``labels`` are those that the target has to bear still.
        """
        loop = asyncio.get_running_loop()
        length = format_duration(attempt.deadline_at - attempt.intended_at)
        if loop.time() >= over_at:
            return Result(Outcome.FAILED, f"not begun: writing its intent took all of its {length}")
        context = self._context_of(run, attempt, attempt.token, attempt.intended_at)
        context = replace(context, labels=labels)
        work = self._actions[attempt.action].apply(context, plan)
        try:
            async with asyncio.timeout_at(over_at):
                return await steady(work, lambda: loop.time() < over_at)
        except (TimeoutError, StoppedError):
            return Result(Outcome.UNKNOWN, f"no answer within {length}")
        except Exception as error:  # noqa: BLE001 - an action's bug is an unknown outcome, not the engine's end
            _log.exception("apply failed", action=attempt.action, attempt=attempt.id)
            return Result(Outcome.UNKNOWN, f"{type(error).__name__} in {attempt.action}")

    async def probe(self, run: Run, attempt: Attempt, token: Token, now: datetime) -> Probe:
        """Find out whether an attempt happened, with a token newer than the attempt's."""
        plan = Plan(attempt.summary, attempt.diff, attempt.plan)
        try:
            context = self._context_of(run, attempt, token, now)
            async with asyncio.timeout(_LOOK_TIMEOUT):
                return await self._actions[attempt.action].probe(context, plan)
        except TimeoutError:
            return Probe(Sighting.UNPROVABLE, f"no answer within {_LOOK_TIMEOUT:.0f} s")
        except (KeyError, ParameterError) as error:
            return Probe(Sighting.UNPROVABLE, f"{attempt.action} can't be probed: {error}")
        except Exception as error:  # noqa: BLE001 - an action's bug is an unknown outcome, not the engine's end
            _log.exception("probe failed", action=attempt.action, attempt=attempt.id)
            return Probe(Sighting.UNPROVABLE, f"{type(error).__name__} while probing {attempt.action}")

    def _context_of(self, run: Run, attempt: Attempt, token: Token, now: datetime) -> ActionContext:
        timeout = attempt.deadline_at - attempt.intended_at
        return self._context(run, attempt.id, attempt.action, attempt.params, token, now, timeout)

    def _context(
        self,
        run: Run,
        attempt: AttemptId,
        action: str,
        params: Mapping[str, object],
        token: Token,
        now: datetime,
        timeout: timedelta,
    ) -> ActionContext:
        parsed = self._actions[action].spec.parse(params, False)
        cause = f"remediator {run.id}: {action} for {run.rule}"
        return ActionContext(run.target, parsed, run.id, attempt, token, cause, now, now + timeout)


def step_key(run: Run, step: Step) -> AttemptId:
    """The id that the step's next attempt will have."""
    name = step.id if run.phase is Phase.STEPS else f"{run.phase.value}.{step.id}"
    return attempt_id(run.id, name, run.attempts + 1)


def values_of(rule: Rule, run: Run, episodes: tuple[Episode, ...]) -> dict[str, object]:
    """What the templates of a run's steps see: the episode it was begun for, and earlier steps' results.

    Raises:
        LookupError: that episode is not among these, and another's labels are not its own.
    """
    first = next((each for each in episodes if each.id == run.episode), None)
    if first is None:
        message = f"episode {run.episode}, for which {run.id} was begun, can't be read"
        raise LookupError(message)
    return in_scope(rule, first, run.results)
