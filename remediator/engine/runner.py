"""The runner: finds runs that nobody drives and drives them, each in a task of its own."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta
from functools import partial

import structlog

from remediator.core.events import EventKind
from remediator.core.guards import failures_spent
from remediator.core.ids import RunId, Token
from remediator.core.leases import Demand, Held, Lease
from remediator.core.manual import override_of
from remediator.core.ports.actions import Refusal
from remediator.core.ports.store import StoreError, StoreUnavailableError, Topic
from remediator.core.reasons import Reason
from remediator.core.rules import Mode, Rule, Rulebook
from remediator.core.runs import TRANSITIONS, Move, Outcome, Run, RunState
from remediator.engine.acting import Acting, values_of
from remediator.engine.answers import Answers
from remediator.engine.asking import Guards
from remediator.engine.consent import Consent
from remediator.engine.coverage import Coverer
from remediator.engine.driver import Driver
from remediator.engine.journal import Journal, LostTheRunError, ended, story_of
from remediator.engine.leases import Holder, LeaseLostError, PreemptedError
from remediator.engine.loops import Loop
from remediator.engine.manual import conclude
from remediator.engine.observing import observe
from remediator.engine.parts import EngineParts
from remediator.engine.stuck import Stuck

_log = structlog.get_logger(__name__)
#: Runs driven at once by one replica, unless the brake allows more: it bounds the live ones far below.
_AT_ONCE = 64


class RunnerLoop(Loop):
    """Starts a task for each run that has not ended and that nobody drives."""

    name = "runner"
    topic = Topic.RUNS
    idle = timedelta(milliseconds=500)

    def __init__(self, parts: EngineParts) -> None:
        super().__init__(parts.store, parts.metrics)
        self._parts = parts
        self._coverer = Coverer(parts.actions, parts.places)
        self._tasks: dict[RunId, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._stuck = Stuck(parts)
        self._answers = Answers(parts.store, parts.rulebooks, parts.audience)

    async def work(self) -> bool:
        at_once = max(_AT_ONCE, self._parts.rulebooks.active.rulebook.brake.everywhere.parallel or 0)
        if len(self._tasks) >= at_once or self._stopping.is_set():
            return False
        for run in await self.store.runnable(at_once * 2, self._stuck.left_alone):
            if run not in self._tasks and len(self._tasks) < at_once:
                self._tasks[run] = asyncio.create_task(self._drive(run), name=f"run {run}")
        return False

    async def stop(self, grace: timedelta) -> None:
        """Begin nothing new, let what acts finish within ``grace``, and leave the rest to be taken over."""
        self._stopping.set()
        tasks = set(self._tasks.values())
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=grace.total_seconds())
        for task in late:
            task.cancel()
        if late:
            _log.warning("runs parked while acting, they will be probed", count=len(late))
            await asyncio.wait(late, timeout=1)

    async def _drive(self, run: RunId) -> None:
        try:
            await self._drive_safely(run)
        finally:
            del self._tasks[run]

    async def _drive_safely(self, run: RunId) -> None:
        try:
            await self._drive_by_mode(run)
        except (LostTheRunError, LeaseLostError):
            _log.info("run left to another holder", run=run)
        except StoreUnavailableError as error:
            self.metrics.store_failed()
            _log.error("ledger unavailable, run left as it is", run=run, error=str(error))
            await asyncio.sleep(1)
        except Exception as error:  # noqa: BLE001 - one bad run never stops the others
            _log.exception("run failed to go on", run=run)
            await self._stuck.failed(run, f"{type(error).__name__}: {error}")
        else:
            self._stuck.went_on(run)

    async def _drive_by_mode(self, run: RunId) -> None:
        journal, pinned = await self._open(run)
        if journal.run.state.is_final:
            return
        rule = journal.rule
        if rule is None or pinned is None:
            await self._end_without_rule(journal)
        elif journal.run.mode is Mode.OBSERVE:
            await observe(self._parts, journal, rule, self._guards(journal, rule, pinned))
        elif journal.run.state is RunState.ASKING:
            await self._asked_in_vain(journal)
        elif not await self._asked_first(journal, rule, pinned):
            await self._drive_live(journal, rule, pinned)
        if journal.run.state.is_final:
            self.metrics.run_ended(journal.run)
            if journal.run.state in (RunState.FAILED, RunState.UNKNOWN):
                await self._look_at_failures()
            for episode in journal.story.episodes:
                await conclude(self.store, episode)
            _log.info(
                "run ended",
                run=run,
                rule=journal.run.rule,
                target=str(journal.run.target),
                outcome=journal.run.state.value,
                detail=journal.run.detail,
            )

    async def _look_at_failures(self) -> None:
        """Engage the brake if too many have failed, before the next demand has to find out."""
        book = self._parts.rulebooks.active.rulebook
        await self.store.engage_brake(partial(failures_spent, (book,)), book.brake.longest_window)

    async def _open(self, run: RunId) -> tuple[Journal, Rulebook | None]:
        row = (await self.store.run_row(run))[0]
        active = self._parts.rulebooks.active.rulebook
        pinned = await self._parts.rulebooks.pinned(row.run.rulebook)
        rule = pinned.rule(row.run.rule) if pinned else None
        audience = self._parts.audience(pinned or active, rule)
        return Journal(self.store, story_of(row, rule, audience), rule), pinned

    def _guards(self, journal: Journal, rule: Rule, pinned: Rulebook) -> Guards:
        override = override_of(journal.story.episodes)
        return Guards(self._parts.rulebooks, self._parts.mode, rule, pinned, override)

    async def _asked_in_vain(self, journal: Journal) -> None:
        """Nothing is left to approve, or nobody answered in time."""
        if not journal.story.firing:
            await journal.move(None, Move.CANCEL, reason=Reason.RESOLVED, detail="resolved by itself")
        elif await self._answers.let_lapse(journal.run.id) is not None:
            await journal.refresh()
        if journal.story.approvals[-1].settled is not None:
            self.metrics.approval_settled(journal.story.approvals[-1])

    async def _asked_first(self, journal: Journal, rule: Rule, pinned: Rulebook) -> bool:
        """Ask a person, if one has to be asked and was not; nothing is held meanwhile.

        What can't be planned now goes the way of any run, by which it waits, or fails.
        """
        guards = self._guards(journal, rule, pinned)
        terms = guards.request(journal.run).question.approval
        acting = Acting(self._parts.actions, guards.objection)
        consent = Consent(self._parts, journal, rule, acting)
        if terms is None or journal.run.state is not RunState.PENDING or consent.granted:
            return False
        if await self._stopped_by_brake(journal, guards):
            return True
        values = values_of(rule, journal.run, journal.story.episodes)
        planned, proposal = await consent.look_ahead(rule.steps, values)
        if isinstance(planned.plan, Refusal):
            return False
        await consent.ask(None, proposal, terms)
        return True

    async def _drive_live(self, journal: Journal, rule: Rule, pinned: Rulebook) -> None:
        parts = self._parts
        guards = self._guards(journal, rule, pinned)
        holder = Holder(self.store, parts.owner, journal.run.id, parts.lease_ttl)
        held = await holder.acquire(await self._demand(journal.run, rule, guards))
        if isinstance(held, Held):
            await self._while_held(journal, guards, held)
            return
        driver = Driver(parts, journal, rule, guards, holder, self._stopping)
        try:
            await holder.keep_during(driver.drive())
        except LeaseLostError:
            if not await self._has_ended(journal):
                await self._tell_lost(journal)
                raise
        except PreemptedError as preempted:
            await self._give_way(journal, holder.lease, preempted.by)
        finally:
            with contextlib.suppress(StoreError):
                await asyncio.shield(holder.release())

    async def _has_ended(self, journal: Journal) -> bool:
        """Whether the lease is gone because its run is: whoever renews it at that moment finds none."""
        with contextlib.suppress(StoreError):
            await journal.refresh()
        return journal.run.state.is_final

    async def _tell_lost(self, journal: Journal) -> None:
        self.metrics.lease_lost()
        _log.error("lease lost, work cancelled", run=journal.run.id)
        with contextlib.suppress(StoreError):
            await journal.note(EventKind.LEASE_LOST, "it could not be renewed in time, or is another's")

    async def _demand(self, run: Run, rule: Rule, guards: Guards) -> Demand:
        """What its lease has to cover; whoever may not act yet makes nobody give way."""
        demand = (await self._coverer.coverage(run.target, rule, guards.books)).demand
        if demand.preempts:
            request = guards.request(run, demand.covers)
            view = await self.store.view(run, request.question.lookback)
            return replace(demand, preempts=guards.ask_before_plan(request, view).allows)
        return demand

    async def _give_way(self, journal: Journal, lease: Lease | None, by: RunId) -> None:
        """End a run whose place another takes; it left its target as it was, so nothing is in doubt."""
        self.metrics.lease_preempted()
        await journal.refresh()
        if lease is None or (journal.run.state, Move.YIELD) not in TRANSITIONS:
            return
        detail = f"{by} may preempt it, and takes {journal.run.target}"
        attempt = await self.store.attempt_in_doubt(journal.run.id)
        cut = attempt and ended(attempt, Outcome.UNKNOWN, detail, await self.store.now())
        await journal.move(lease.token, Move.YIELD, attempt=cut, reason=Reason.PREEMPTED, detail=detail)
        if cut is not None:
            self.metrics.attempt_ended(cut)

    async def _while_held(self, journal: Journal, guards: Guards, held: Held) -> None:
        """A run that can't have its target yet still ends when its time is over or its alerts resolve."""
        run = journal.run
        if run.state is not RunState.PENDING:
            await self._stuck.end_if_overdue(run.id, f"{run.target} was held by {held.run} meanwhile")
            return
        if await self._stopped_by_brake(journal, guards):
            return
        if await self.store.now() >= run.deadline_at:
            detail = f"{run.target} was held by {held.run} until the deadline"
            await journal.move(None, Move.EXPIRE, reason=Reason.LEASE, detail=detail)
        elif not journal.story.firing:
            await journal.move(None, Move.CANCEL, reason=Reason.RESOLVED, detail="resolved by itself")

    async def _stopped_by_brake(self, journal: Journal, guards: Guards) -> bool:
        """Refuse a run that waits for its target or for people, once the brake would not let it begin."""
        if all(pause.brake is None for pause in await self.store.pauses()):
            return False
        request = guards.request(journal.run)
        view = await self.store.view(journal.run, request.question.lookback)
        objection = guards.ask_before_plan(request, view).objection
        if objection is None or objection.reason is not Reason.BRAKE:
            return False
        detail = f"{objection.guard.value}: {objection.detail}"
        await journal.move(None, Move.REFUSE, reason=Reason.BRAKE, detail=detail)
        return True

    async def _end_without_rule(self, journal: Journal) -> None:
        """A run whose rulebook this version can't read goes no further, and a person hears of it."""
        run = journal.run
        detail = f"rule {run.rule} of rulebook {run.rulebook[:12]} can't be read any more"
        if run.state in (RunState.PENDING, RunState.ASKING):
            await journal.move(None, Move.REFUSE, reason=Reason.RULE_GONE, detail=detail)
            return
        parts = self._parts
        holder = Holder(self.store, parts.owner, run.id, parts.lease_ttl)
        books = (self._parts.rulebooks.active.rulebook,)
        lease = await holder.acquire((await self._coverer.coverage(run.target, None, books)).demand)
        if isinstance(lease, Lease):
            try:
                await self._give_up(journal, lease.token, detail)
            finally:
                await holder.release()
        else:
            await self._stuck.end_if_overdue(run.id, detail)

    async def _give_up(self, journal: Journal, token: Token, detail: str) -> None:
        """What it did so far is not proven, and can't be: unknown, with its open attempt left to probes."""
        attempt = await self.store.attempt_in_doubt(journal.run.id)
        if attempt is not None and journal.run.state is RunState.ACTING:
            await journal.move(token, Move.LOSE, attempt=attempt, detail=detail)
        unknown = attempt and ended(attempt, Outcome.UNKNOWN, detail, await self.store.now())
        await journal.move(
            token, Move.GIVE_UP, attempt=unknown, reason=Reason.RULE_GONE, detail=detail, quarantine=True
        )
