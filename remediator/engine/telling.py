"""What people are told: runs, decisions and their stories as notices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from remediator.core.checks import Fact
from remediator.core.decide import Decision, DecisionKind
from remediator.core.durations import format_duration
from remediator.core.episodes import Episode
from remediator.core.events import Event, EventKind
from remediator.core.notices import Envelope, Lane, Notice, NoticeKind, Tone
from remediator.core.reasons import Reason
from remediator.core.runs import Attempt, Run, RunState

_TONES = {
    RunState.SUCCEEDED: Tone.GOOD,
    RunState.FAILED: Tone.BAD,
    RunState.UNKNOWN: Tone.UNSURE,
    RunState.REFUSED: Tone.BAD,
    RunState.EXPIRED: Tone.BAD,
    RunState.OBSERVED: Tone.QUIET,
    RunState.CANCELLED: Tone.QUIET,
}
_WORDS = {
    RunState.PENDING: "decided, about to begin",
    RunState.READY: "under way",
    RunState.ACTING: "acting",
    RunState.PROBING: "finding out whether the change was made",
    RunState.VERIFYING: "done, now proving it",
    RunState.SUCCEEDED: "repaired and verified",
    RunState.FAILED: "FAILED",
    RunState.UNKNOWN: "UNKNOWN: not proven either way",
    RunState.OBSERVED: "observed only, nothing was changed",
    RunState.CANCELLED: "cancelled, the alert resolved by itself",
    RunState.REFUSED: "refused by a guard",
    RunState.EXPIRED: "expired before it could begin",
}
#: Ends that want a person at once.
_PAGED = frozenset({RunState.FAILED, RunState.UNKNOWN, RunState.REFUSED, RunState.EXPIRED})
#: Events that a person wants to read as the story of a run; the rest is for `explain`.
_STORY: dict[EventKind, str] = {
    EventKind.RUN_CREATED: "decided",
    EventKind.RUN_JOINED: "joined by",
    EventKind.RUN_WAITING: "waiting for",
    EventKind.RUN_PLANNED: "planned",
    EventKind.STEP_FAILED: "step failed",
    EventKind.ATTEMPT_INTENDED: "acting",
    EventKind.ATTEMPT_SUCCEEDED: "done",
    EventKind.ATTEMPT_FAILED: "attempt failed",
    EventKind.ATTEMPT_LOST: "outcome lost, probing",
    EventKind.ATTEMPT_TAKEN_OVER: "taken over",
    EventKind.RUN_DISPROVEN: "not repaired",
    EventKind.RUN_FALLING_BACK: "falling back to",
    EventKind.RUN_SUCCEEDED: "verified",
}


@dataclass(frozen=True, slots=True)
class Story:
    """A run with what led to it and what came of it so far."""

    run: Run
    summary: str
    channels: tuple[str, ...]
    episodes: tuple[Episode, ...] = ()
    facts: tuple[Fact, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    events: tuple[Event, ...] = ()
    plan: str = ""


def tell_run(story: Story) -> tuple[Envelope, ...]:
    """The run's head message in each of its channels, and a page if it ended badly."""
    notice = _run_notice(story)
    thread = f"run:{story.run.id}"
    heads = [Envelope(channel, thread, notice, key="head") for channel in story.channels]
    if story.run.state not in _PAGED:
        return tuple(heads)
    page = _paged(notice)
    pages = [
        Envelope(channel, f"page:{story.run.id}", page, lane=Lane.PAGES, standalone=True)
        for channel in story.channels
    ]
    return (*heads, *pages)


def _run_notice(story: Story) -> Notice:
    run = story.run
    return Notice(
        NoticeKind.RUN,
        title=f"{run.target.name}: {_WORDS[run.state]}",
        tone=_TONES.get(run.state, Tone.WORKING),
        severity=run.severity,
        summary=_summary(story),
        fields=tuple(_fields(story)),
        lines=tuple(_lines(story)),
        diff=_diff(story),
        commands=_commands(run),
        run=run.id,
        final=run.state.is_final,
        count=0,
    )


def _paged(notice: Notice) -> Notice:
    return Notice(
        NoticeKind.RUN,
        title=notice.title,
        tone=notice.tone,
        severity=notice.severity,
        summary=notice.summary,
        fields=notice.fields,
        lines=notice.lines[-5:],
        commands=notice.commands,
        run=notice.run,
        final=True,
        page=True,
    )


def _summary(story: Story) -> str:
    """Why it ended as it did; for a repair, and while it goes on, what was done."""
    run = story.run
    if run.state.is_final and run.state is not RunState.SUCCEEDED and run.detail:
        return run.detail
    if story.attempts:
        return story.attempts[-1].summary
    return story.summary or f"{run.rule} on {run.target}"


def _fields(story: Story) -> Iterable[tuple[str, str]]:
    run = story.run
    yield "Rule", run.rule
    yield "Target", str(run.target)
    if story.episodes:
        first = story.episodes[0]
        more = f" and {len(story.episodes) - 1} more" if len(story.episodes) > 1 else ""
        yield "Alert", f"{first.alertname or 'without a name'}{more}"
        text = first.annotations.get("summary") or first.annotations.get("description")
        if text:
            yield "Says", text
    for fact in story.facts:
        yield f"{fact.check}: {fact.answer.said.value}", fact.answer.detail
    if run.reason is not None:
        yield "Reason", f"{run.reason.value}: {run.reason.meaning}"
    if run.ended_at is not None:
        yield "Took", format_duration(run.ended_at - run.created_at)
    else:
        yield "Deadline", f"{run.deadline_at:%H:%M:%S} UTC"


def _lines(story: Story) -> Iterable[str]:
    for event in story.events:
        word = _STORY.get(event.kind)
        if word is not None:
            detail = str(event.data.get("detail") or "")
            yield f"{event.at:%H:%M:%S} {word}{': ' if detail else ''}{detail}"


def _diff(story: Story) -> str:
    return story.attempts[-1].diff if story.attempts else story.plan


def _commands(run: Run) -> tuple[str, ...]:
    commands = [f"remediator explain {run.id}"]
    if run.state is RunState.UNKNOWN:
        commands.append(f"remediator clear {run.target} --why '...'")
    elif not run.state.is_final:
        commands.append(f"remediator pause --target {run.target} --why '...'")
    return tuple(commands)


def tell_decision(
    decision: Decision, episode: Episode, rule: str, target: str, severity: str, channels: Sequence[str]
) -> tuple[Envelope, ...]:
    """A decision by which nothing runs; many alike become one message with a count."""
    if not decision.report:
        return ()
    lane = Lane.PAGES if decision.page else Lane.REPORTS
    thread = f"{lane.value}:{rule or 'no rule'}:{decision.reason.value}"
    if decision.page and decision.reason is not Reason.TARGETS:
        thread += f":{target}"
    notice = Notice(
        NoticeKind.DECISION,
        title=_decision_title(decision, episode, rule),
        tone=Tone.BAD if decision.page else Tone.QUIET,
        severity=severity,
        summary=decision.detail or decision.reason.meaning,
        fields=tuple(_decision_fields(decision, episode, rule, target)),
        lines=(_decision_line(episode, target),),
        commands=(f"remediator explain {decision.run}",) if decision.run else (),
        run=decision.run,
        final=True,
        page=decision.page,
    )
    return tuple(
        Envelope(channel, thread, notice, key="digest", lane=lane, standalone=True) for channel in channels
    )


def _decision_line(episode: Episode, target: str) -> str:
    who = episode.labels.get("instance") or target or episode.fingerprint
    return f"{episode.first_seen:%H:%M:%S} {episode.alertname} {who}"


def _decision_title(decision: Decision, episode: Episode, rule: str) -> str:
    name = episode.alertname or "an alert without a name"
    if decision.reason is Reason.PAGE_ONLY:
        return f"{name}: {rule} wants a person"
    if decision.kind is DecisionKind.JOIN:
        return f"{name} belongs to a run that did not succeed"
    return f"{name}: not acted on ({decision.reason.value})"


def _decision_fields(
    decision: Decision, episode: Episode, rule: str, target: str
) -> Iterable[tuple[str, str]]:
    yield "Reason", f"{decision.reason.value}: {decision.reason.meaning}"
    if rule:
        yield "Rule", rule
    if target:
        yield "Target", target
    for name in ("summary", "description", "runbook_url"):
        if episode.annotations.get(name):
            yield name.replace("_url", "").capitalize(), episode.annotations[name]
    labels = ", ".join(f"{name}={value}" for name, value in sorted(episode.labels.items()))
    yield "Labels", labels
