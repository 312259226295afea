"""Consent: asking people what a run may do, and holding it to what they approved (law 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from remediator.core.approvals import MOST_REQUESTS, Approval, PlannedStep, Proposal, departure, difference
from remediator.core.checks import Fact, Said
from remediator.core.durations import format_duration
from remediator.core.events import EventKind
from remediator.core.ids import Token
from remediator.core.ports.actions import Refusal
from remediator.core.reasons import Reason
from remediator.core.rules import ApprovalTerms, Rule, Step
from remediator.core.runs import Move, Run
from remediator.engine.acting import Acting
from remediator.engine.facts import Facts, of_run
from remediator.engine.journal import Journal
from remediator.engine.parts import EngineParts
from remediator.engine.planning import Planned, as_proposed, plan_steps, proposal_of


class Consent:
    """One run's dealings with the people who have to approve it."""

    def __init__(self, parts: EngineParts, journal: Journal, rule: Rule, acting: Acting) -> None:
        self._parts = parts
        self._journal = journal
        self._rule = rule
        self._acting = acting
        self._facts = Facts(parts.store, parts.checks)

    @property
    def latest(self) -> Approval | None:
        """The run's latest request, if it ever asked."""
        approvals = self._journal.story.approvals
        return approvals[-1] if approvals else None

    @property
    def granted(self) -> bool:
        return self.latest is not None and self.latest.granted

    async def look_ahead(
        self, steps: Sequence[Step], values: Mapping[str, object]
    ) -> tuple[Planned, Proposal]:
        """The plan of the next step, and all that the run would do.

        What can't be looked at for a moment is no other plan: a step of which that is so takes the place of
        the next, so that it is waited for.
        """
        run = self._journal.run
        planned = await plan_steps(self._acting, self._parts.store, run, steps, values)
        return _blind(planned) or planned[0], proposal_of(run, self._rule, planned)

    async def ask(self, token: Token | None, proposal: Proposal, terms: ApprovalTerms) -> None:
        """Ask for approval of this, or, where what was approved keeps changing, ask no more and end.

        Raises:
            LostTheRunError: another replica went on with the run.
        """
        latest, number = self.latest, len(self._journal.story.approvals) + 1
        changed = "" if latest is None else difference(latest.proposal, proposal)
        if number > MOST_REQUESTS:
            detail = f"asked {MOST_REQUESTS} times, and each time the plan changed meanwhile: {changed}"
            await self._journal.move(token, Move.REFUSE, reason=Reason.OUTDATED, detail=detail)
            return
        asked = self._request(proposal, terms, number, await self._parts.store.now())
        detail = f"{', '.join(asked.asked) or 'nobody there'}, for {format_duration(terms.within)}"
        if changed:
            detail += f", once more, since what was approved is not what would be done now: {changed}"
        await self._journal.move(
            token,
            Move.ASK,
            run=replace(self._journal.run, deadline_at=asked.until),
            approval=asked,
            detail=detail,
            data={"digest": asked.digest, "until": asked.until, "difference": changed},
        )

    def _request(self, proposal: Proposal, terms: ApprovalTerms, number: int, now: datetime) -> Approval:
        run = self._journal.run
        asked = self._parts.approvers(run.target)
        until = now + terms.within
        return Approval(run.id, number, proposal.digest, proposal, asked, now, until, terms.otherwise)

    async def changed_fact(self, values: Mapping[str, object]) -> tuple[Reason, str] | None:
        """Why what was approved must not be done after all: a fact no longer holds, or can't be had."""
        run = self._journal.run
        concerned = of_run(self._parts.store, run.id)
        facts = await self._facts.gather(self._rule.only_if, run.target, concerned, values)
        for fact in facts:
            await self._journal.note(EventKind.RUN_CHECKED, fact.line, {"check": fact.check})
        return next((_why_not(fact) for fact in facts if not fact.holds), None)

    def departure(self, planned: Planned) -> str:
        """How a step departs from what was approved of it; empty if it doesn't, or nobody approved it."""
        approved = self._approved(self._journal.run)
        if approved is None:
            return ""
        now = as_proposed(planned)
        first = self._journal.run.position == 0 and not approved.open
        if first and approved.bound != now.bound:
            return f"{now.step}: “{approved.summary}” has become “{now.summary}”"
        return departure(approved, now)

    def _approved(self, run: Run) -> PlannedStep | None:
        latest = self.latest
        if latest is None or not latest.granted:
            return None
        proposal = latest.proposal
        steps = proposal.steps if proposal.phase is run.phase else proposal.fallback
        return steps[run.position]


def _blind(planned: Sequence[Planned]) -> Planned | None:
    blind = (one for one in planned if isinstance(one.plan, Refusal) and one.plan.temporary)
    return next(blind, None)


def _why_not(fact: Fact) -> tuple[Reason, str]:
    if fact.answer.said is Said.ERROR:
        return Reason.FACT_ERROR, f"{fact.check}: {fact.answer.detail}"
    return Reason.OUTDATED, f"since it was asked for, {fact.line}"
