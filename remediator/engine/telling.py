"""What people are told: runs, decisions and their stories as notices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from remediator.core.approvals import Approval
from remediator.core.changes import DecisionRequest
from remediator.core.checks import Fact
from remediator.core.decide import Decision, DecisionKind
from remediator.core.durations import format_duration
from remediator.core.episodes import Episode
from remediator.core.events import Event, EventKind
from remediator.core.guards import GuardAnswer, Pause
from remediator.core.notices import Call, Envelope, Lane, Notice, NoticeKind, Tone
from remediator.core.paging import Audience, page_envelopes
from remediator.core.reasons import Reason
from remediator.core.runs import Attempt, Run, RunState

#: The latest lines of a run's story that its message holds.
_MOST_LINES = 100
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
    RunState.ASKING: "waits for approval",
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
#: Ends of which the reason says more than the state, and that call for nobody.
_QUIET_ENDS = {
    Reason.DENIED: "denied, nothing was changed",
    Reason.LAPSED: "not approved in time, nothing was changed",
    Reason.BRAKE: "stopped by the brake before it began",
    Reason.PREEMPTED: "cancelled, another run that may preempt it took its target",
}
#: Ends that want a person at once.
_PAGED = frozenset({RunState.FAILED, RunState.UNKNOWN, RunState.REFUSED, RunState.EXPIRED})
#: Events that a person wants to read as the story of a run; the rest is for `explain`.
_STORY: dict[EventKind, str] = {
    EventKind.RUN_CREATED: "decided",
    EventKind.RUN_JOINED: "joined by",
    EventKind.RUN_ASKED: "asking",
    EventKind.RUN_APPROVED: "",
    EventKind.RUN_DENIED: "",
    EventKind.RUN_LAPSED: "",
    EventKind.RUN_WAITING: "waiting for",
    EventKind.RUN_PAUSE_WAITS: "goes on though it is paused",
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
    """A run with what led to it and what came of it so far.

    ``episodes`` are the first of those that ``joined`` it; ``firing`` says whether any of all is open.
    """

    run: Run
    summary: str
    audience: Audience
    episodes: tuple[Episode, ...] = ()
    facts: tuple[Fact, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    events: tuple[Event, ...] = ()
    plan: str = ""
    joined: int = 1
    firing: bool = True
    answers: tuple[GuardAnswer, ...] = ()
    approvals: tuple[Approval, ...] = ()

    @property
    def has_begun(self) -> bool:
        """Whether there is more to tell of it than that people are asked, which the request itself tells."""
        leased = any(event.kind is EventKind.RUN_LEASED for event in self.events)
        return leased or not self.approvals or any(approval.granted for approval in self.approvals)


def tell_run(story: Story) -> tuple[Envelope, ...]:
    """The run's head message in each of its channels, once it has begun, and a page if it ended badly.

    What the brake stopped is in its own page.
    """
    run, notice = story.run, _run_notice(story)
    channels = story.audience.reports if story.has_begun else ()
    heads = [Envelope(each, f"run:{run.id}", notice, key="head") for each in channels]
    if run.state not in _PAGED or run.reason in _QUIET_ENDS:
        return tuple(heads)
    call = Call(run.id, run.episode, run.rule, str(run.target), held=run.state is RunState.UNKNOWN)
    page = replace(notice, evidence=tuple(_evidence(story)), count=1)
    return (*heads, *page_envelopes(page, f"page:{run.id}", call, story.audience))


def tell_waiting_pause(story: Story, pause: Pause) -> tuple[Envelope, ...]:
    """That a pause waits for a run, told ahead of all reports: whoever paused it believes that it stopped."""
    run = story.run
    action = story.attempts[-1].action
    notice = Notice(
        NoticeKind.ALARM,
        title=f"{run.target.name}: the pause waits for {run.id}",
        tone=Tone.BAD,
        severity=run.severity,
        summary=f"It is in a critical section ({action}), which must not be left half done. It goes on until"
        f" that is over, and stops then. Paused by {pause.by}: {pause.why}.",
        fields=tuple(situation(story)),
        commands=_commands(run)[:1],
        final=True,
        count=0,
    )
    thread = f"pause:{pause.id}:{run.id}"
    return tuple(
        Envelope(channel, thread, notice, key="waits", lane=Lane.PAGES, standalone=True)
        for channel in story.audience.reports
    )


def _run_notice(story: Story) -> Notice:
    run = story.run
    return Notice(
        NoticeKind.RUN,
        title=f"{run.target.name}: {_word(run)}",
        tone=Tone.QUIET if run.reason in _QUIET_ENDS else _TONES.get(run.state, Tone.WORKING),
        severity=run.severity,
        summary=_summary(story),
        fields=tuple(_fields(story)),
        lines=tuple(_lines(story))[-_MOST_LINES:],
        diff=_diff(story),
        commands=_commands(run),
        run=run.id,
        final=run.state.is_final,
        count=0,
    )


def _evidence(story: Story) -> Iterable[tuple[str, tuple[str, ...]]]:
    yield "facts", tuple(fact.line for fact in story.facts)
    asked = [event.data for event in story.events if event.kind is EventKind.GUARDS_ASKED]
    yield "guards", tuple(_told_guards(asked[-1])) if asked else _guards(story.answers)


def _guards(answers: Iterable[GuardAnswer]) -> tuple[str, ...]:
    return tuple(f"{each.guard.value} {each.answer.value}: {each.detail}" for each in answers)


def _told_guards(asked: Mapping[str, object]) -> Iterable[str]:
    """The guards' answers as the event of their asking has them."""
    answers = asked.get("answers")
    for each in answers if isinstance(answers, list) else ():
        yield f"{each['guard']} {each['answer']}: {each['detail']}"


def _word(run: Run) -> str:
    said = _QUIET_ENDS.get(run.reason) if run.reason else None
    return said or _WORDS[run.state]


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
    yield from situation(story)
    if story.approvals and story.approvals[-1].settled is not None:
        yield "Approval", story.approvals[-1].outcome
    if run.reason is not None:
        yield "Reason", f"{run.reason.value}: {run.reason.meaning}"
    if run.ended_at is not None:
        yield "Took", format_duration(run.ended_at - run.created_at)
    else:
        yield "Deadline", f"{run.deadline_at:%H:%M:%S} UTC"


def situation(story: Story) -> Iterable[tuple[str, str]]:
    """What the run is about: the rule, the target, the alert and the facts."""
    run = story.run
    yield "Rule", run.rule
    yield "Target", str(run.target)
    if story.episodes:
        first = story.episodes[0]
        more = f" and {story.joined - 1} more" if story.joined > 1 else ""
        yield "Alert", f"{first.alertname or 'without a name'}{more}"
        text = first.annotations.get("summary") or first.annotations.get("description")
        if text:
            yield "Says", text
    for fact in story.facts:
        yield f"{fact.check}: {fact.answer.said.value}", fact.answer.detail


def _lines(story: Story) -> Iterable[str]:
    for event in story.events:
        word = _STORY.get(event.kind)
        if word is not None:
            detail = str(event.data.get("detail") or "")
            yield f"{event.at:%H:%M:%S} {word}{': ' if word and detail else ''}{detail}"


def _diff(story: Story) -> str:
    return story.attempts[-1].diff if story.attempts else story.plan


def _commands(run: Run) -> tuple[str, ...]:
    commands = [f"remediator explain {run.id}"]
    if run.state is RunState.UNKNOWN:
        commands.append(f"remediator clear {run.target} --why '...'")
    elif not run.state.is_final:
        commands.append(f"remediator pause --target {run.target} --why '...'")
    return tuple(commands)


def tell_decision(decision: Decision, request: DecisionRequest, audience: Audience) -> tuple[Envelope, ...]:
    """A decision by which nothing runs; many alike become one message with a count."""
    if not decision.report:
        return ()
    episode, rule, target = request.episode, request.rule, str(request.target or "")
    notice = Notice(
        NoticeKind.DECISION,
        title=_decision_title(decision, episode, rule),
        tone=Tone.BAD if decision.page else Tone.QUIET,
        severity=request.severity,
        summary=decision.detail or decision.reason.meaning,
        fields=tuple(_decision_fields(decision, episode, rule, target)),
        lines=(_decision_line(episode, target),),
        commands=(f"remediator explain {decision.run}",) if decision.run else (),
        run=decision.run,
        final=True,
    )
    alike = f"{rule or 'no rule'}:{decision.reason.value}"
    if decision.page:
        facts = tuple(fact.line for fact in request.facts)
        page = replace(notice, evidence=(("facts", facts), ("guards", _guards(decision.answers))))
        # One page for all the targets that are too many.
        about = "" if decision.reason is Reason.TARGETS else target
        thread = ":".join([Lane.PAGES.value, alike, *([about] if about else [])])
        return page_envelopes(page, thread, Call(None, episode.id, rule, about), audience)
    thread = f"{Lane.REPORTS.value}:{alike}"
    return tuple(
        Envelope(channel, thread, notice, key="digest", standalone=True) for channel in audience.reports
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
