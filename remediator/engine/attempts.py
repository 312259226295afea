"""Attempts: a step's intent, act and outcome, and the look for one whose outcome was lost (laws 4 and 5)."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from remediator.core.changes import IntentRequest
from remediator.core.guards import Guard, Verdict
from remediator.core.leases import Held
from remediator.core.ports.actions import Plan, Sighting
from remediator.core.ports.store import Topic
from remediator.core.rules import Step
from remediator.core.runs import Attempt, Move, Outcome, Run
from remediator.engine.acting import Acting, step_key
from remediator.engine.asking import Guards
from remediator.engine.journal import Journal, LostTheRunError, ended
from remediator.engine.leases import Holder
from remediator.engine.parts import EngineParts

#: How long a run rests before it looks again whether what it waits for has come.
WAIT = timedelta(seconds=1)
#: How long a probe is repeated before the attempt is given up as unknown.
PROBE_FOR = timedelta(seconds=60)
_LONGEST_PAUSE = 10.0


class Attempts:
    """The attempts of one run, under its lease."""

    def __init__(
        self, parts: EngineParts, journal: Journal, holder: Holder, acting: Acting, stopping: asyncio.Event
    ) -> None:
        self._parts = parts
        self._journal = journal
        self._holder = holder
        self._acting = acting
        self._stopping = stopping
        self._doubt_is_ours = False

    @property
    def _run(self) -> Run:
        return self._journal.run

    async def make(
        self, step: Step, plan: Plan, params: Mapping[str, object], request: IntentRequest
    ) -> Verdict:
        """Write the intent, act, and write what came of it; nothing of that if the guards object.

        Raises:
            LostTheRunError: the store refused the intent.
            PreemptedError: another run is to have the target.
        """
        token, run = self._holder.token, self._run

        def intended(intending: Run, now: datetime) -> Attempt:
            return Attempt(
                id=step_key(run, step),
                run=run.id,
                step=step.id,
                phase=run.phase,
                position=run.position,
                number=intending.attempts,
                action=step.action,
                params=params,
                token=token,
                intended_at=now,
                deadline_at=min(now + step.timeout, run.deadline_at),
                summary=plan.summary,
                diff=plan.diff,
                plan=plan.data,
                fenced=self._acting.fences(step.action),
            )

        asked_at = asyncio.get_running_loop().time()
        verdict = await self._journal.intend(token, request, Guards.ask, intended)
        if not verdict.allows:
            return verdict
        attempt = self._journal.last_attempt
        if request.first:
            self._parts.metrics.slot_taken(run.rule)
            self._parts.metrics.intended(attempt.intended_at - self._journal.story.episodes[0].first_seen)
        # Counted from before the intent was asked for, it is over before the deadline in the ledger's time.
        over_at = asked_at + (attempt.deadline_at - attempt.intended_at).total_seconds()
        await self._apply(step, attempt, plan, over_at, request.question.labels_judged)
        return verdict

    async def _apply(
        self, step: Step, attempt: Attempt, plan: Plan, over_at: float, labels: Mapping[str, str | None]
    ) -> None:
        result = await self._acting.apply(self._run, attempt, plan, over_at, labels)
        if result.outcome is Outcome.SUCCEEDED:
            await self._done(step, attempt, result.detail, result.values)
        elif result.outcome is Outcome.FAILED:
            await self._fail(step, attempt, result.detail, counted=True)
        else:
            self._doubt_is_ours = True
            await self._journal.move(self._holder.token, Move.LOSE, attempt=attempt, detail=result.detail)

    async def _done(self, step: Step, attempt: Attempt, detail: str, values: Mapping[str, object]) -> None:
        run = self._run
        after = replace(
            run,
            position=run.position + 1,
            tries=0,
            attempts=0,
            results={**run.results, step.id: dict(values)},
        )
        done = ended(attempt, Outcome.SUCCEEDED, detail, await self._parts.store.now())
        await self._journal.move(self._holder.token, Move.SUCCEED, run=after, attempt=done, detail=detail)
        self._parts.metrics.attempt_ended(done)

    async def _fail(self, step: Step, attempt: Attempt, detail: str, *, counted: bool) -> None:
        """Note an attempt that is proven not to have worked, and rest before the next, if there is one."""
        await self.miss(step, detail, counted=counted, attempt=attempt)
        if not self._run.broken:
            await pause(self._stopping, self._run.tries)

    async def miss(
        self,
        step: Step,
        detail: str,
        *,
        counted: bool,
        attempt: Attempt | None = None,
        hopeless: bool = False,
    ) -> None:
        """A try is proven not to have worked; a takeover's is not counted, since it may never have begun.

        After a ``hopeless`` one trying again would meet the same.
        """
        tries = self._run.tries + counted
        after = replace(self._run, tries=tries, broken=hopeless or tries > step.retry)
        failed = ended(attempt, Outcome.FAILED, detail, await self._parts.store.now()) if attempt else None
        await self._journal.move(self._holder.token, Move.MISS, run=after, attempt=failed, detail=detail)
        if failed is not None:
            self._parts.metrics.attempt_ended(failed)

    async def probe(self, step: Step) -> None:
        """Look on the target, with a token that makes every earlier one useless, until it can be told.

        Raises:
            LostTheRunError: another holder went on with the run.
        """
        attempt = self._journal.last_attempt
        held = await self._holder.acquire()
        if isinstance(held, Held):
            await self._wait_out(held)
            return
        now = await self._parts.store.now()
        # However often its prober dies, and another begins anew: there is an end to it.
        until = min(now, self._run.deadline_at) + PROBE_FOR
        for count in itertools.count():
            probe = await self._acting.probe(self._run, attempt, self._holder.token, now)
            if probe.sighting is Sighting.HAPPENED:
                await self._done(step, attempt, f"it did happen: {probe.detail}", probe.values)
                return
            if probe.sighting is Sighting.NOT_HAPPENED:
                detail = f"it did not happen: {probe.detail}"
                await self._fail(step, attempt, detail, counted=self._doubt_is_ours)
                return
            if now >= until:
                await self._give_up(attempt, probe.detail)
                return
            if self._stopping.is_set():
                return
            await pause(self._stopping, count)
            now = await self._parts.store.now()

    async def _wait_out(self, held: Held) -> None:
        """What our own attempt's target can't fence may still take effect: nobody looks before it can't."""
        if (held.run, held.owner) != (self._run.id, self._parts.owner):
            raise LostTheRunError(self._run.id)
        detail = f"{Guard.LEASE.value}: until {held.until:%H:%M:%S} UTC it may still take effect"
        await self._journal.waiting(self._holder.token, detail)
        await self._parts.store.wait(Topic.RUNS, WAIT)

    async def _give_up(self, attempt: Attempt, detail: str) -> None:
        unknown = ended(attempt, Outcome.UNKNOWN, detail, await self._parts.store.now())
        told = f"{attempt.action} may or may not have happened: {detail}"
        await self._journal.move(
            self._holder.token, Move.GIVE_UP, attempt=unknown, detail=told, quarantine=True
        )
        self._parts.metrics.attempt_ended(unknown)


async def pause(stopping: asyncio.Event, count: int) -> None:
    """Wait a little longer each time, but not when we are asked to stop."""
    try:
        async with asyncio.timeout(min(0.5 * 2 ** min(count, 10), _LONGEST_PAUSE)):
            await stopping.wait()
    except TimeoutError:
        return
