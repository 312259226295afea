"""Values that the suite writes, and the short ways to get a ledger into a state."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from remediator.core.alerts import Alert
from remediator.core.changes import Decided, DecisionRequest, Intake, IntentRequest, RunChange
from remediator.core.decide import Decision, DecisionKind
from remediator.core.episodes import Episode, observe
from remediator.core.events import Event
from remediator.core.guards import NO_LOOKBACK, GuardView, Lookback, Question, Verdict
from remediator.core.ids import EpisodeId, Owner, RulebookHash, RunId, Token, attempt_id
from remediator.core.leases import Lease
from remediator.core.notices import Envelope, Lane, Notice, NoticeKind, Tone
from remediator.core.ports.store import Store
from remediator.core.reasons import Reason
from remediator.core.rules import AlertTrigger, Mode, Rule, Rulebook
from remediator.core.runs import Attempt, Phase, Run, RunState
from remediator.core.targets import Target
from remediator.core.templates import TargetTemplate

START = datetime(2025, 3, 1, 11, 55, tzinfo=UTC)
CART = Target("default", "deployment", "shop", "cart")
NODE = Target("west", "node", "", "n1")
BOOK = RulebookHash("b" * 64)
TTL = timedelta(seconds=15)
CLAIM = timedelta(seconds=30)
NO_CLAIM = timedelta(0)
ME, PEER = Owner("me"), Owner("peer")


def an_alert(fingerprint: str = "f1", *, firing: bool = True, starts_at: datetime = START) -> Alert:
    return Alert(
        source="default",
        fingerprint=fingerprint,
        firing=firing,
        labels={"alertname": "ServiceDown", "job": "cart", "odd": "'; DROP TABLE runs; -- \x00 ☃ {{x}}"},
        annotations={"summary": "cart is down"},
        starts_at=starts_at,
        ends_at=None if firing else starts_at + timedelta(minutes=6),
        group={"alertname": "ServiceDown"},
    )


async def take(store: Store, *alerts: Alert) -> None:
    """Send one webhook with these alerts through the inbox."""
    await store.save_webhook("default", b"{}")
    newest = (await store.untaken_webhooks(1 << 20))[-1]
    await store.take_webhooks([Intake(newest.id, alerts)], observe)


async def due(store: Store) -> list[Episode]:
    """The episodes that are due now, without keeping them from anybody."""
    return [work.episode for work in await store.undecided(1000, NO_CLAIM)]


async def an_episode(store: Store, fingerprint: str = "f1") -> Episode:
    await take(store, an_alert(fingerprint))
    return next(episode for episode in await due(store) if episode.fingerprint == fingerprint)


def a_request(
    episode: Episode,
    rule: str = "rule",
    *,
    target: Target | None = CART,
    run: str = "r-none",
    last: bool = True,
    lookback: Lookback = NO_LOOKBACK,
) -> DecisionRequest:
    return DecisionRequest(episode, rule, target, "P1", BOOK, RunId(run), last=last, lookback=lookback)


def a_run(
    id_: str,
    episode: EpisodeId,
    now: datetime,
    *,
    rule: str = "rule",
    target: Target = CART,
    mode: Mode = Mode.LIVE,
) -> Run:
    return Run(
        id=RunId(id_),
        rule=rule,
        target=target,
        severity="P1",
        mode=mode,
        rulebook=BOOK,
        episode=episode,
        created_at=now,
        deadline_at=now + timedelta(minutes=12),
    )


def skipping(request: DecisionRequest, _view: GuardView) -> Decided:
    return Decided(Decision(DecisionKind.SKIP, Reason.NO_RULE, request.rule))


def deferring(not_before: datetime) -> Decision:
    return Decision(DecisionKind.DEFER, Reason.PARALLEL, not_before=not_before, expires=not_before)


def running(request: DecisionRequest, view: GuardView, mode: Mode = Mode.LIVE) -> Decided:
    assert request.target is not None
    run = a_run(
        request.run, request.episode.id, view.now, rule=request.rule, target=request.target, mode=mode
    )
    return Decided(Decision(DecisionKind.RUN, Reason.MATCHED, mode=mode), run=run)


async def begin(
    store: Store,
    id_: str = "r-1",
    *,
    rule: str = "rule",
    target: Target = CART,
    mode: Mode = Mode.LIVE,
) -> Run:
    """A pending run, made by a decision on an episode of its own."""
    episode = await an_episode(store, f"of-{id_}")
    request = a_request(episode, rule, target=target, run=id_)
    (decided,) = await store.decide([request], lambda asked, view: running(asked, view, mode))
    assert decided.run is not None
    return decided.run


async def lease(store: Store, run: Run, owner: Owner = ME, ttl: timedelta = TTL) -> Lease:
    taken = await store.acquire(run.id, owner, ttl)
    assert isinstance(taken, Lease), taken
    return taken


def to(run: Run, state: RunState, now: datetime | None = None) -> Run:
    """The run as it would be in that state, started and ended if the state says so."""
    changed = replace(run, state=state)
    if state is RunState.ACTING and run.started_at is None:
        changed = replace(changed, started_at=now)
    return replace(changed, ended_at=now) if state.is_final else changed


async def advanced(store: Store, token: Token, run: Run, state: RunState) -> Run:
    after = to(run, state, await store.now())
    assert await store.advance(token, RunChange(after, run.state)) is None
    return after


async def readied(store: Store) -> tuple[Run, Lease]:
    """A run that is under way with no step done, and the lease on it."""
    run = await begin(store)
    held = await lease(store, run)
    return await advanced(store, held.token, run, RunState.READY), held


def an_attempt(run: Run, token: Token, now: datetime, number: int = 1) -> Attempt:
    return Attempt(
        id=attempt_id(run.id, "undo", number),
        run=run.id,
        step="undo",
        phase=Phase.STEPS,
        position=0,
        number=number,
        action="kubernetes.rollout_undo",
        params={"to": None, "deep": [1, {"x": True}]},
        token=token,
        intended_at=now,
        deadline_at=now + timedelta(minutes=1),
        summary="undo the rollout",
        diff="-a\n+b\n",
        plan={"revision": 3},
    )


def an_intent(run: Run, *, first: bool = True, was: tuple[str, ...] = ()) -> IntentRequest:
    rule = Rule(run.rule, AlertTrigger(()), TargetTemplate(()), was=was)
    book = Rulebook(run.rulebook, (rule,))
    return IntentRequest(Question(rule, run.target, run.mode, (book,)), first)


@dataclass(frozen=True, slots=True)
class Intending:
    """The change of an intent: the run acts, with one attempt."""

    run: Run
    token: Token
    events: tuple[Event, ...] = ()

    def __call__(self, view: GuardView, _verdict: Verdict) -> RunChange:
        acting = to(self.run, RunState.ACTING, view.now)
        attempt = an_attempt(self.run, self.token, view.now)
        return RunChange(acting, self.run.state, attempt=attempt, events=self.events)


def agreeing(_request: IntentRequest, _view: GuardView) -> Verdict:
    return Verdict(())


def an_envelope(
    title: str = "one",
    *,
    channel: str = "slack:#a",
    thread: str = "t",
    key: str = "",
    lane: Lane = Lane.REPORTS,
) -> Envelope:
    return Envelope(
        channel=channel,
        thread=thread,
        notice=Notice(NoticeKind.RUN, title, Tone.GOOD, fields=(("target", "x"),), lines=("a", "b")),
        key=key,
        lane=lane,
    )
