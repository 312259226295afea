"""Requests: what people are asked about a run, and afterwards who said what, as notices. Pure.

Each request is a message of its own, so that it rings; its end takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from remediator.core.approvals import APPROVE, DENY, Approval, Settled, difference
from remediator.core.notices import Choice, Envelope, Notice, NoticeKind, Tone
from remediator.core.rules import Otherwise
from remediator.engine.telling import Story, situation

_TITLES = {
    Settled.DENIED: "denied",
    Settled.LAPSED: "not approved in time",
    Settled.WITHDRAWN: "nothing to approve any more",
}
_OTHERWISE = {
    Otherwise.ESCALATE: "then it ends and pages",
    Otherwise.RUN: "then it goes on as if approved",
    Otherwise.SKIP: "then it ends",
}


def tell_request(story: Story) -> tuple[Envelope, ...]:
    """The run's latest request in each of its channels, open or with its end."""
    latest = story.approvals[-1]
    notice = Notice(
        NoticeKind.RUN,
        title=f"{story.run.target.name}: {_title(latest)}",
        tone=Tone.ASKING if latest.settled is None else Tone.QUIET,
        severity=story.run.severity,
        summary=story.run.detail if latest.settled is Settled.WITHDRAWN else _plan(latest),
        fields=(*situation(story), *_changes(story.approvals), *_terms(latest)),
        diff="\n".join(step.diff for step in latest.proposal.steps if step.diff),
        commands=(f"remediator explain {story.run.id}",),
        run=story.run.id,
        final=latest.settled is not None,
        count=0,
        choices=_choices(latest) if latest.settled is None else (),
    )
    thread = f"request:{latest.run}:{latest.number}"
    return tuple([Envelope(channel, thread, notice, key="request") for channel in story.audience.reports])


def _title(latest: Approval) -> str:
    if latest.settled is None:
        return "wants approval" if latest.number == 1 else "the plan changed, wants approval anew"
    if latest.settled is Settled.GRANTED:
        return f"approved by {latest.who}" if latest.who else "goes on, though nobody answered"
    return _TITLES[latest.settled] + (f" by {latest.who}" if latest.who else "")


def _plan(latest: Approval) -> str:
    steps = [step.summary for step in latest.proposal.steps]
    return steps[0] if len(steps) == 1 else "; ".join(f"{n}. {step}" for n, step in enumerate(steps, 1))


def _changes(approvals: Sequence[Approval]) -> Iterable[tuple[str, str]]:
    """In what a plan that is asked about anew differs from the one before it."""
    for before, latest in zip(approvals[-2:-1], approvals[-1:], strict=False):
        yield "Changed", difference(before.proposal, latest.proposal)


def _terms(latest: Approval) -> Iterable[tuple[str, str]]:
    for step in latest.proposal.fallback:
        yield "Falls back to", step.summary
    if latest.settled is None:
        yield "May approve", ", ".join(latest.asked) or "nobody: no operator of OPERATORS_FILE may act on it"
        yield "Until", f"{latest.until:%H:%M:%S} UTC, {_OTHERWISE[latest.otherwise]}"
    else:
        yield "Answer", latest.outcome


def _choices(latest: Approval) -> tuple[Choice, ...]:
    command = f"{latest.run} --digest {latest.digest[:12]} --why '...'"
    return (
        Choice(APPROVE, "Approve", latest.ticket, f"remediator approve {command}", urgent=True),
        Choice(DENY, "Deny", latest.ticket, f"remediator deny {command}"),
    )
