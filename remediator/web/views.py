"""From the ledger's values to what is told on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from remediator.core.approvals import Approval, PlannedStep
from remediator.core.changes import (
    Asking,
    Backlog,
    BrakeRow,
    DecisionRow,
    Past,
    RulebookRow,
    RunRow,
    Unreadable,
)
from remediator.core.checks import Fact
from remediator.core.episodes import Episode
from remediator.core.events import Event
from remediator.core.guards import GuardAnswer, Pause, Quarantine
from remediator.core.paging import Page
from remediator.core.runs import Attempt, Run
from remediator.web import models


def _maybe(at: datetime | None) -> str | None:
    return None if at is None else models.instant(at)


def run(it: Run) -> models.RunView:
    """A run by itself."""
    return models.RunView(**_run_fields(it))


def story(row: RunRow) -> models.RunStory:
    """A run with all that belongs to it."""
    return models.RunStory(**story_fields(row))


def story_fields(row: RunRow) -> Mapping[str, Any]:
    """What a run's story is made of."""
    return {
        **_run_fields(row.run),
        "joined": row.joined,
        "episodes": [episode(each) for each in row.episodes],
        "decisions": [decision(each) for each in row.decisions],
        "attempts": [attempt(each) for each in row.attempts],
        "events": [event(each) for each in row.events],
        "approvals": [approval(each) for each in row.approvals],
        "pruned": row.pruned,
    }


def _run_fields(it: Run) -> Mapping[str, Any]:
    return {
        "id": it.id,
        "rule": it.rule,
        "target": str(it.target),
        "outcome": it.state if it.state.is_final else None,
        "started": models.instant(it.created_at),
        "ended": _maybe(it.ended_at),
        "state": it.state,
        "severity": it.severity,
        "mode": it.mode.word,
        "acted": _maybe(it.started_at),
        "deadline": models.instant(it.deadline_at),
        "phase": it.phase,
        "position": it.position,
        "reason": it.reason,
        "detail": it.detail,
        "rulebook": it.rulebook,
        "episode": it.episode,
    }


def episode(it: Episode) -> models.EpisodeView:
    """An episode."""
    return models.EpisodeView(**episode_fields(it))


def episode_fields(it: Episode) -> Mapping[str, Any]:
    """What an episode's view is made of."""
    return {
        "id": it.id,
        "source": it.source,
        "fingerprint": it.fingerprint,
        "alertname": it.alertname,
        "labels": dict(it.labels),
        "annotations": dict(it.annotations),
        "group": dict(it.group),
        "starts_at": models.instant(it.starts_at),
        "ended_at": _maybe(it.ended_at),
        "first_seen": models.instant(it.first_seen),
        "last_seen": models.instant(it.last_seen),
        "closed": it.closed,
        "closed_at": _maybe(it.closed_at),
        "repeats": it.repeats,
    }


def decision(row: DecisionRow) -> models.DecisionView:
    """A decision with its facts and guards."""
    it = row.decision
    return models.DecisionView(
        id=row.id,
        episode=row.episode,
        rule=row.rule,
        target=row.target,
        at=models.instant(row.at),
        kind=it.kind,
        reason=it.reason,
        meaning=it.reason.meaning,
        detail=it.detail,
        mode=it.mode.word,
        run=it.run,
        not_before=_maybe(it.not_before),
        expires=_maybe(it.expires),
        rulebook=row.rulebook,
        facts=[fact(each) for each in row.facts],
        guards=[guard(each) for each in it.answers],
        passed=[
            models.PassedOverView(each.rule, each.target, [fact(known) for known in each.facts])
            for each in it.passed
        ],
    )


def past(it: Past) -> models.PastView:
    """A page of episodes with the decisions on them."""
    return models.PastView(
        episodes=[
            models.PastEpisodeView(
                **episode_fields(each.episode), decisions=[decision(row) for row in each.decisions]
            )
            for each in it.episodes
        ],
        before=it.before,
    )


def guard(it: GuardAnswer) -> models.GuardView:
    """A guard's answer."""
    return models.GuardView(guard=it.guard, answer=it.answer, detail=it.detail, reason=it.reason)


def fact(it: Fact) -> models.FactView:
    """A fact."""
    return models.FactView(
        check=it.check,
        params=dict(it.params),
        expect=it.expect,
        said=it.answer.said,
        holds=it.holds,
        detail=it.answer.detail,
        evidence=dict(it.answer.evidence),
        at=models.instant(it.at),
    )


def attempt(it: Attempt) -> models.AttemptView:
    """An attempt."""
    return models.AttemptView(
        id=it.id,
        step=it.step,
        phase=it.phase,
        number=it.number,
        action=it.action,
        params=dict(it.params),
        fencing_token=it.token,
        intended=models.instant(it.intended_at),
        deadline=models.instant(it.deadline_at),
        ended=_maybe(it.ended_at),
        outcome=it.outcome,
        summary=it.summary,
        diff=it.diff,
        detail=it.detail,
    )


def approval(it: Approval) -> models.ApprovalView:
    """A request for approval, with its end if it has one."""
    return models.ApprovalView(
        run=it.run,
        number=it.number,
        rule=it.proposal.rule,
        target=str(it.proposal.target),
        digest=it.digest,
        steps=[_planned(each) for each in it.proposal.steps],
        fallback=[_planned(each) for each in it.proposal.fallback],
        asked=list(it.asked),
        asked_at=models.instant(it.asked_at),
        until=models.instant(it.until),
        otherwise=it.otherwise,
        outcome=it.settled,
        settled=_maybe(it.settled_at),
        who=it.who,
        why=it.why,
        how=it.how,
    )


def _planned(it: PlannedStep) -> models.PlannedStepView:
    return models.PlannedStepView(
        step=it.step,
        action=it.action,
        params=dict(it.params),
        summary=it.summary,
        diff=it.diff,
        planned=not it.open,
    )


def asking(it: Asking) -> models.AskingView:
    """A run that waits for a person."""
    return models.AskingView(
        run=it.run.id,
        rule=it.run.rule,
        target=str(it.run.target),
        severity=it.run.severity,
        summary="; ".join(step.summary for step in it.approval.proposal.steps),
        asked=list(it.approval.asked),
        until=models.instant(it.approval.until),
        otherwise=it.approval.otherwise,
    )


def event(it: Event) -> models.EventView:
    """An event."""
    return models.EventView(
        id=it.id,
        kind=it.kind,
        at=models.instant(it.at),
        version=it.version,
        data=dict(it.data),
        episode=it.episode,
        run=it.run,
        rule=it.rule,
        target=it.target,
    )


def pause(it: Pause) -> models.PauseView:
    """A pause."""
    return models.PauseView(
        id=it.id,
        scope=it.scope,
        value=it.value,
        why=it.why,
        who=it.who,
        name=it.name,
        at=models.instant(it.at),
        until=_maybe(it.until),
        brake=it.brake,
    )


def brake(it: BrakeRow) -> models.BrakeView:
    """An engaged brake."""
    return models.BrakeView(
        pause=pause(it.pause),
        alerts=it.alerts,
        targets=it.distinct,
        rules=[models.StoppedView(each.rule, each.alerts, each.targets) for each in it.stopped],
        examples=list(it.targets),
    )


def page(it: Page) -> models.PageView:
    """A page."""
    return models.PageView(
        id=it.id,
        run=it.call.run,
        rule=it.call.rule,
        target=it.call.target,
        title=it.notice.title,
        severity=it.notice.severity,
        opened=models.instant(it.opened_at),
        called=it.called,
        next=_maybe(it.next_at),
        acknowledged=_maybe(it.acknowledged_at),
        acknowledged_by=it.acknowledged_by,
        acknowledged_why=it.acknowledged_why,
    )


def quarantine(it: Quarantine) -> models.QuarantineView:
    """A quarantine."""
    return models.QuarantineView(
        target=str(it.target), run=it.run, attempt=it.attempt, why=it.why, at=models.instant(it.at)
    )


def unreadable(it: Unreadable) -> models.UnreadableView:
    """A row that can't be read."""
    return models.UnreadableView(
        table=it.table, id=it.id, why=it.why, newer=it.newer, met=models.instant(it.met_at)
    )


def rulebook(row: RulebookRow | None) -> models.RulebookView | None:
    """A rulebook, if there is one."""
    return (
        None if row is None else models.RulebookView(hash=row.hash, first_seen=models.instant(row.first_seen))
    )


def backlog(it: Backlog) -> models.BacklogView:
    """A backlog."""
    return models.BacklogView(
        webhooks=it.webhooks,
        episodes=it.episodes,
        outbox=it.outbox,
        parked_notices=it.parked_notices,
        unfinished_runs=it.unfinished_runs,
        oldest_undecided=_maybe(it.oldest_undecided),
        oldest_unsent=_maybe(it.oldest_unsent),
        inquiries=it.inquiries,
        oldest_inquiry=_maybe(it.oldest_inquiry),
    )
