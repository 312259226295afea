"""The driver: takes one run from state to state until it ends, is parked, or is lost (laws 3, 4, 7, 9)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from remediator.core.approvals import Proposal
from remediator.core.changes import IntentRequest
from remediator.core.checks import Fact, these
from remediator.core.durations import format_duration
from remediator.core.episodes import Episode
from remediator.core.events import Event, EventKind
from remediator.core.guards import Answer, Guard, Question, Verdict, overspent
from remediator.core.ids import Token
from remediator.core.leases import Held
from remediator.core.ports.actions import Plan, Refusal
from remediator.core.ports.store import Topic
from remediator.core.reasons import Reason
from remediator.core.rules import Rule, Step
from remediator.core.runs import Move, Outcome, Phase, Run, RunState
from remediator.engine.acting import Acting, values_of
from remediator.engine.asking import Guards
from remediator.engine.attempts import WAIT, Attempts, pause
from remediator.engine.consent import Consent
from remediator.engine.counting import count_deployments, with_count
from remediator.engine.coverage import Coverer
from remediator.engine.facts import Facts, of_run
from remediator.engine.journal import Journal, LostTheRunError
from remediator.engine.leases import Holder
from remediator.engine.parts import EngineParts
from remediator.engine.planning import Planned
from remediator.engine.proof import Proof, Proven
from remediator.engine.sections import Sections

#: Why a run may not act before a person approves what it would do now.
_TO_BE_APPROVED = frozenset({Reason.UNAPPROVED, Reason.OUTDATED})
#: Moves that follow at once upon a look at the run's story, which is not read again for them.
_AT_ONCE = frozenset({(RunState.PENDING, RunState.READY), (RunState.READY, RunState.VERIFYING)})
#: How long a step is planned anew while its target can't be looked at, before a person is called.
BLIND_FOR = timedelta(seconds=15)


class Driver:
    """Drives one live run under its lease. Every move goes through the journal; refused, it stops at once."""

    def __init__(
        self,
        parts: EngineParts,
        journal: Journal,
        rule: Rule,
        guards: Guards,
        holder: Holder,
        stopping: asyncio.Event,
    ) -> None:
        self._parts = parts
        self._journal = journal
        self._rule = rule
        self._guards = guards
        self._holder = holder
        self._coverer = Coverer(parts.actions, parts.places)
        self._stopping = stopping
        self._acting = Acting(parts.actions, guards.objection)
        self._facts = Facts(parts.store, parts.checks)
        self._consent = Consent(parts, journal, rule, self._acting)
        self._sections = Sections(parts, journal, rule, guards)
        self._attempts = Attempts(parts, journal, holder, self._acting, stopping)
        self._blind_since: datetime | None = None
        self._looks = 0
        self._handlers: Mapping[RunState, Callable[[], Awaitable[None]]] = {
            RunState.PENDING: self._begin,
            RunState.READY: self._go_on,
            RunState.ACTING: self._take_over,
            RunState.PROBING: self._probe,
            RunState.VERIFYING: self._verify,
        }

    @property
    def _run(self) -> Run:
        return self._journal.run

    @property
    def _token(self) -> Token:
        return self._holder.token

    async def drive(self) -> None:
        """Go on until the run has ended, a person has to be asked, or we are asked to stop.

        Raises:
            LostTheRunError: another holder went on with it.
        """
        if self._run.state is not RunState.PENDING:
            # It was read before the lease was ours: whoever had it may have gone on meanwhile.
            await self._journal.refresh()
            if self._run.state in self._handlers:
                self._parts.metrics.taken_over(self._run.state)
        async with self._sections.watched():
            while self._run.state in self._handlers and not self._stopping.is_set():
                was = self._run.state
                await self._handlers[was]()
                if (was, self._run.state) not in _AT_ONCE:
                    await self._journal.refresh()

    async def _begin(self) -> None:
        await self._journal.move(self._token, Move.LEASE)

    async def _take_over(self) -> None:
        """An intent without outcome that we did not write: its writer is gone, so look before all else."""
        attempt = self._journal.last_attempt
        detail = "its holder is gone; looking on the target whether it happened"
        await self._journal.note(EventKind.ATTEMPT_TAKEN_OVER, attempt.id)
        await self._journal.move(self._token, Move.LOSE, attempt=attempt, detail=detail)

    async def _go_on(self) -> None:
        """Between steps: end, fall back, verify, or take the next step."""
        run, now = self._run, await self._parts.store.now()
        if now >= run.deadline_at and not run.broken:
            await self._end_late()
        elif not run.reached_intent and not self._journal.story.firing:
            await self._cancel()
        elif run.broken:
            await self._fall_back_or_fail()
        elif run.position >= len(self._steps):
            await self._journal.move(self._token, Move.VERIFY, run=replace(run, verifying_since=now))
        else:
            await self._step(self._steps[run.position])

    async def _end_late(self) -> None:
        length = format_duration(self._rule.deadline)
        if self._run.reached_intent:
            await self._unproven(f"its deadline of {length} was over before it was done", Reason.EXPIRED)
        else:
            detail = f"could not begin within {length}: {self._run.detail or 'it had to wait'}"
            await self._journal.move(self._token, Move.EXPIRE, reason=Reason.EXPIRED, detail=detail)

    async def _unproven(
        self, detail: str, reason: Reason | None = None, also: tuple[Event, ...] = ()
    ) -> None:
        """Nothing says that the world got better, nor that it did not: quarantine, and a person decides."""
        await self._journal.move(
            self._token, Move.GIVE_UP, reason=reason, detail=detail, quarantine=True, also=also
        )

    async def _fall_back_or_fail(self) -> None:
        run = self._run
        in_time = await self._parts.store.now() < run.deadline_at
        if run.phase is Phase.STEPS and self._rule.on_failure and in_time:
            falling = replace(
                run,
                phase=Phase.ON_FAILURE,
                position=0,
                tries=0,
                attempts=0,
                broken=False,
                verifying_since=None,
            )
            detail = ", ".join(step.action for step in self._rule.on_failure)
            await self._journal.move(self._token, Move.FALL_BACK, run=falling, detail=detail)
        else:
            await self._journal.move(self._token, Move.FAIL, detail=run.detail)

    async def _step(self, step: Step) -> None:
        if not await self._is_covered():
            return
        critical = self._sections.holds(step)
        request = self._guards.request(self._run, self._holder.demand.covers, critical=critical)
        seen = await self._parts.store.view(self._run, request.question.lookback)
        verdict = self._guards.ask_before_plan(request, seen)
        if not verdict.allows:
            if verdict.tripped:
                await self._engage(request)
            await self._heed(verdict)
            return
        planned, proposal = await self._plan(step, request)
        if isinstance(planned.plan, Refusal):
            await self._refused_by_plan(step, planned.plan, await self._parts.store.now())
            return
        self._blind_since, self._looks = None, 0
        if not await self._is_as_approved(planned, request):
            return
        counted = await self._counted(request)
        if counted is not None:
            await self._attempt(step, planned.plan, planned.params, proposal, counted.deployments)

    async def _engage(self, request: IntentRequest) -> None:
        """Engage the brake that refuses this run, in a transaction that sees what all others demand."""
        question = request.question
        await self._parts.store.engage_brake(partial(overspent, question), question.lookback.brake)

    async def _counted(self, request: IntentRequest) -> Question | None:
        """What is asked, at the first intent with the count that a share is of; ``None`` if that ended it."""
        question = request.question
        if not (request.first and question.uncounted):
            return question
        fact = await count_deployments(self._facts, question, these(*self._episodes))
        await self._journal.note(EventKind.RUN_CHECKED, fact.line, {"check": fact.check})
        if not fact.holds:
            await self._refused(Reason.FACT_ERROR, f"{fact.check}: {fact.answer.detail}")
            return None
        return with_count(question, fact)

    async def _plan(self, step: Step, request: IntentRequest) -> tuple[Planned, Proposal | None]:
        """The step's plan; where a person has to approve it first, with all that would follow."""
        if request.first and request.question.approval is not None:
            return await self._consent.look_ahead(self._steps, self._values)
        now = await self._parts.store.now()
        earlier = self._journal.last_attempt if self._run.attempts else None
        plan, params = await self._acting.plan(self._run, step, self._values, self._token, now, earlier)
        return Planned(step, plan, params), None

    async def _is_as_approved(self, planned: Planned, request: IntentRequest) -> bool:
        """Whether what was approved may be done, and is what would be done; else the run goes no further.

        Of a run's first step that is asked with its intent, so that it may be approved anew.
        """
        if not self._consent.granted:
            return True
        if request.first:
            changed = await self._consent.changed_fact(self._values)
        else:
            departure = self._consent.departure(planned)
            changed = (Reason.OUTDATED, departure) if departure else None
        if changed is not None:
            await self._refused(*changed)
        return changed is None

    async def _is_covered(self) -> bool:
        """Look again what acting on the target concerns: the lease has to cover it before a step begins."""
        coverage = await self._coverer.coverage(self._run.target, self._rule, self._guards.books)
        if coverage.lacks:
            await self._wait(f"{Guard.LEASE.value}: {coverage.lacks}")
            return False
        if coverage.demand.covers <= self._holder.demand.covers:
            return True
        if isinstance(await self._holder.acquire(coverage.demand), Held):
            # It has to be had as a whole: who waited for the rest with a part in hand could wait for ever.
            raise LostTheRunError(self._run.id)
        return True

    async def _wait(self, detail: str, verdict: Verdict | None = None) -> None:
        await self._journal.waiting(self._token, detail, verdict)
        await self._parts.store.wait(Topic.RUNS, WAIT)

    async def _heed(self, verdict: Verdict) -> None:
        objection = verdict.objection
        if objection is None:
            return
        detail = f"{objection.guard.value}: {objection.detail}"
        if objection.answer is Answer.WAITS:
            await self._wait(detail, verdict)
            return
        asked = (self._journal.asked(verdict, await self._parts.store.now()),)
        if objection.reason is Reason.RESOLVED:
            await self._cancel(asked)
        else:
            await self._refused(objection.reason, detail, asked)

    async def _cancel(self, also: tuple[Event, ...] = ()) -> None:
        detail = "resolved by itself"
        await self._journal.move(self._token, Move.CANCEL, reason=Reason.RESOLVED, detail=detail, also=also)

    async def _refused(self, reason: Reason | None, detail: str, also: tuple[Event, ...] = ()) -> None:
        """A run that has changed something and may not go on has proven nothing."""
        if self._has_changed_something:
            await self._unproven(detail, reason, also)
        else:
            await self._journal.move(self._token, Move.REFUSE, reason=reason, detail=detail, also=also)

    @property
    def _has_changed_something(self) -> bool:
        return any(attempt.outcome is Outcome.SUCCEEDED for attempt in self._journal.story.attempts)

    async def _refused_by_plan(self, step: Step, refusal: Refusal, now: datetime) -> None:
        if refusal.reason is not None:
            await self._refused(refusal.reason, refusal.detail)
        elif refusal.temporary:
            await self._wait_for_a_plan(step, refusal, now)
        else:
            await self._attempts.miss(step, refusal.detail, counted=True, hopeless=True)

    async def _wait_for_a_plan(self, step: Step, refusal: Refusal, now: datetime) -> None:
        """What can't be looked at is not proven to have failed: no other step follows from it (law 6)."""
        self._blind_since = self._blind_since or now
        if now - self._blind_since < min(BLIND_FOR, step.timeout):
            await self._journal.waiting(self._token, refusal.detail)
            await pause(self._stopping, self._looks)
            self._looks += 1
        elif self._has_changed_something:
            await self._unproven(refusal.detail)
        else:
            detail = f"not begun, nothing was changed: {refusal.detail}"
            await self._journal.move(self._token, Move.FAIL, detail=detail)

    async def _attempt(
        self,
        step: Step,
        plan: Plan,
        params: Mapping[str, object],
        proposal: Proposal | None,
        deployments: int | None,
    ) -> None:
        digest = proposal.digest if proposal else None
        critical = self._sections.holds(step)
        request = self._guards.request(self._run, self._holder.demand.covers, digest, critical=critical)
        seen = replace(request.question, sight=plan.sight, deployments=deployments)
        verdict = await self._attempts.make(step, plan, params, replace(request, question=seen))
        terms, objection = seen.approval, verdict.objection
        if proposal and terms and objection and objection.reason in _TO_BE_APPROVED:
            await self._consent.ask(self._token, proposal, terms)
        elif objection is not None:
            await self._heed(verdict)

    async def _probe(self) -> None:
        await self._attempts.probe(self._steps[self._run.position])

    async def _verify(self) -> None:
        verify = self._rule.verify
        if verify is None:
            await self._unproven("the rule names nothing that could prove the repair")
            return
        proof = Proof(self._parts.store, self._facts, self._tell_answer)
        concerned = of_run(self._parts.store, self._run.id)
        finding = await proof.watch(self._run, verify, concerned, self._values, self._stopping)
        if finding.verdict is Proven.PROVEN:
            await self._journal.move(self._token, Move.PROVE, detail=finding.detail)
        elif finding.verdict is Proven.DISPROVEN:
            broken = replace(self._run, broken=True)
            await self._journal.move(self._token, Move.DISPROVE, run=broken, detail=finding.detail)
        elif finding.verdict is Proven.UNPROVEN:
            await self._unproven(finding.detail)

    async def _tell_answer(self, fact: Fact) -> None:
        await self._journal.note(EventKind.RUN_CHECKED, fact.line, {"check": fact.check})

    @property
    def _episodes(self) -> tuple[Episode, ...]:
        return self._journal.story.episodes

    @property
    def _steps(self) -> tuple[Step, ...]:
        return self._rule.steps if self._run.phase is Phase.STEPS else self._rule.on_failure

    @property
    def _values(self) -> dict[str, object]:
        return values_of(self._rule, self._run, self._episodes)
