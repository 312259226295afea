"""Whatever is written and dropped in whatever order: the guards see what they would see had nothing gone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test

from remediator.core.changes import Decided, DecisionRequest, Intake, RunChange
from remediator.core.episodes import observe
from remediator.core.guards import BudgetKey, GuardView, Lookback, PastRun, PauseScope, Quarantine, Tripped
from remediator.core.ids import EpisodeId, RunId
from remediator.core.leases import Lease
from remediator.core.notices import Lane
from remediator.core.ports.store import Store
from remediator.core.retention import Shelf
from remediator.core.runs import Outcome, Run, RunState
from remediator.core.targets import Target
from tests.store.backends import BACKENDS, SqliteBackend
from tests.store.machines import Machine
from tests.store.values import (
    CART,
    CLAIM,
    NODE,
    Intending,
    a_request,
    a_run,
    advanced,
    agreeing,
    an_alert,
    an_envelope,
    an_episode,
    an_intent,
    lease,
    running,
    to,
)

pytestmark = pytest.mark.timeout(300)

#: As far as any guard looks back, and for how long what nothing needs is kept.
KEPT = timedelta(hours=1)
FOR_LONG = timedelta(days=1000)
RULES, TARGETS = ("a", "b"), (CART, replace(CART, name="pay"), NODE)
SHOP = "namespace/shop"
IN_SHOP = Tripped(PauseScope.TARGET, SHOP, BudgetKey.FAILURES, "1 failed run", timedelta(minutes=30))

ids = st.sampled_from([f"r-{number}" for number in range(1, 6)])
rules, targets = st.sampled_from(RULES), st.sampled_from(TARGETS)
scopes = st.sampled_from([(PauseScope.ALL, ""), (PauseScope.RULE, "a"), (PauseScope.TARGET, SHOP)])


def lookback(name: str) -> Lookback:
    return Lookback(frozenset({name}), KEPT, KEPT)


@dataclass(slots=True)
class Side:
    """One of the two ledgers, with the runs that are under way in it and their leases."""

    store: Store
    runs: dict[str, Run] = field(default_factory=dict)
    leases: dict[str, Lease] = field(default_factory=dict)

    async def begin(self, id_: str, name: str, target: Target) -> GuardView:
        """Decide on a new alert; gives what the decision's guards saw."""
        seen: list[GuardView] = []

        def judge(request: DecisionRequest, view: GuardView) -> Decided:
            seen.append(view)
            return running(request, view)

        episode = await an_episode(self.store, f"of-{id_}")
        asked = a_request(episode, name, target=target, run=id_, lookback=lookback(name))
        (decided,) = await self.store.decide([asked], judge)
        assert decided.run is not None
        self.runs[id_] = decided.run
        return seen[0]

    async def act(self, id_: str) -> None:
        run = self.runs[id_]
        held = await lease(self.store, run, ttl=FOR_LONG)
        ready = await advanced(self.store, held.token, run, RunState.READY)
        await self.store.intend(held.token, an_intent(ready), agreeing, Intending(ready, held.token))
        acting = await self.store.run(run.id)
        assert acting is not None
        self.runs[id_], self.leases[id_] = acting, held

    async def end(self, id_: str, state: RunState) -> None:
        run, held, now = self.runs.pop(id_), self.leases.pop(id_), await self.store.now()
        attempt = await self.store.attempt_in_doubt(run.id)
        assert attempt is not None
        done = replace(attempt, outcome=Outcome.SUCCEEDED, ended_at=now)
        unknown = state is RunState.UNKNOWN
        quarantine = Quarantine(run.target, run.id, None, "no proof", now) if unknown else None
        change = RunChange(to(run, state, now), run.state, attempt=done, quarantine=quarantine)
        assert await self.store.advance(held.token, change) is None

    async def resolve(self, id_: str) -> None:
        await self.store.save_webhook("default", b"{}")
        newest = (await self.store.untaken_webhooks(1 << 20))[-1]
        await self.store.take_webhooks([Intake(newest.id, (an_alert(f"of-{id_}", firing=False),))], observe)

    async def deliver(self) -> list[str]:
        items = await self.store.due_envelopes(Lane.REPORTS, 9, CLAIM)
        for item in items:
            await self.store.sent(item, "ref")
        return [item.envelope.notice.title for item in items]

    async def view(self, name: str, target: Target) -> GuardView:
        """What the guards of a run see that was not begun yet."""
        run = a_run("r-none", EpisodeId(0), await self.store.now(), rule=name, target=target)
        return await self.store.view(run, lookback(name))


def seen(view: GuardView) -> GuardView:
    """What guards that look back so far may judge by; what is older is as good as not there."""

    def recent(past: PastRun | None) -> PastRun | None:
        lately = past is not None and past.ended_at is not None and past.ended_at > view.now - KEPT
        return past if lately else None

    return replace(
        view,
        last=recent(view.last),
        last_acted=recent(view.last_acted),
        last_on_target=recent(view.last_on_target),
        slots=tuple(sorted(view.slots, key=lambda slot: slot.run)),
        busy=tuple(sorted(view.busy)),
        quarantines=tuple(sorted(view.quarantines, key=lambda each: each.target)),
        failed=tuple(sorted(view.failed, key=lambda mark: (mark.at, mark.target))),
        released={place: at for place, at in view.released.items() if at > view.now - KEPT},
    )


class PruningMachine(Machine):
    """Model: a ledger that is written to alike, and of which nothing is ever dropped."""

    def __init__(self) -> None:
        super().__init__()
        kept = self.folder / "kept"
        kept.mkdir()
        self.model = Side(SqliteBackend(kept, self.clock).make())
        self.do(self.model.store.open())
        self.side = Side(self.store)
        self.number = 0
        self.waiting: dict[str, Target] = {}
        self.acting: dict[str, Target] = {}
        self.firing: set[str] = set()
        self.along: dict[Shelf, int | None] = {}

    def both(self, work: Callable[[Side], Awaitable[object]]) -> tuple[object, object]:
        async def done(side: Side) -> object:
            return await work(side)

        return self.do(done(self.side)), self.do(done(self.model))

    @rule(passed=st.sampled_from([1.0, 1200.0, 3600.0, 3600.000001]))
    def hours_pass(self, passed: float) -> None:
        self.clock.advance(passed)

    @rule(name=rules, on=targets)
    def begin(self, name: str, on: Target) -> None:
        self.number += 1
        id_ = f"r-{self.number}"
        mine, other = self.both(lambda side: side.begin(id_, name, on))
        assert isinstance(mine, GuardView)
        assert isinstance(other, GuardView)
        assert seen(mine) == seen(other)
        self.waiting[id_] = on
        self.firing.add(id_)

    @property
    def free(self) -> list[str]:
        """Runs that may have their target."""
        return sorted(id_ for id_, on in self.waiting.items() if on not in self.acting.values())

    @precondition(lambda self: self.free)
    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(self.free))
        self.both(lambda side: side.act(id_))
        self.acting[id_] = self.waiting.pop(id_)

    @precondition(lambda self: self.acting)
    @rule(
        data=st.data(),
        state=st.sampled_from([RunState.SUCCEEDED, RunState.FAILED, RunState.UNKNOWN]),
        resolves=st.booleans(),
    )
    def end(self, data: st.DataObject, state: RunState, *, resolves: bool) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.acting)))
        if resolves and id_ in self.firing:
            self.both(lambda side: side.resolve(id_))
            self.firing.remove(id_)
        self.both(lambda side: side.end(id_, state))
        del self.acting[id_]

    @precondition(lambda self: self.firing)
    @rule(data=st.data())
    def resolve(self, data: st.DataObject) -> None:
        id_ = data.draw(st.sampled_from(sorted(self.firing)))
        self.both(lambda side: side.resolve(id_))
        self.firing.remove(id_)

    @rule(verb=st.sampled_from(["pause", "resume", "engage", "clear"]), scope=scopes, on=targets)
    def steer(self, verb: str, scope: tuple[PauseScope, str], on: Target) -> None:
        """What people do, and the brake."""

        async def done(side: Side) -> object:
            match verb:
                case "pause":
                    return await side.store.pause(*scope, "noise", "ann", timedelta(minutes=30))
                case "resume":
                    return await side.store.resume(*scope, "over", "ann")
                case "engage":
                    return await side.store.engage_brake(lambda _view: (IN_SHOP,), KEPT)
            return await side.store.clear_quarantine(on, "looked", "ann")

        mine, other = self.both(done)
        assert mine == other

    @rule(run=ids, delivers=st.booleans())
    def tell(self, run: str, *, delivers: bool) -> None:
        self.both(lambda side: side.store.post([an_envelope(run, thread=f"run:{run}")]))
        if delivers:
            mine, other = self.both(lambda side: side.deliver())
            assert mine == other

    @rule(shelf=st.sampled_from(Shelf), limit=st.sampled_from([1, 3, 100]))
    def prune(self, shelf: Shelf, limit: int) -> None:
        """Go on along a shelf, or anew at its end."""
        after = self.along.get(shelf) or 0
        self.along[shelf] = self.do(self.store.prune(shelf, KEPT, after, limit)).after
        self.look()

    @rule()
    def tidy(self) -> None:
        """Go along all shelves, as the engine does."""
        for shelf in Shelf:
            self.do(self.store.prune(shelf, KEPT, 0, 100))
        self.look()

    @rule()
    def look(self) -> None:
        """Guards see the same, and what is open keeps its story."""
        for name in RULES:
            for target in TARGETS:
                mine = self.do(self.side.view(name, target))
                assert seen(mine) == seen(self.do(self.model.view(name, target)))
        held = {each.run for each in self.do(self.model.store.quarantines())}
        for id_ in self.waiting.keys() | self.acting.keys() | self.firing | held:
            stories = [
                (row.run.state, len(row.attempts), len(row.decisions), row.episodes)
                for side in (self.side, self.model)
                for row in self.do(side.store.run_row(RunId(id_)))
                if row.run.id == id_
            ]
            assert len(stories) == 2
            assert stories[0] == stories[1]

    def teardown(self) -> None:
        self.do(self.model.store.close())
        super().teardown()


@pytest.mark.parametrize("backend_name", sorted(BACKENDS))
def test_pruning_takes_nothing_that_guards_judge_by(backend_name: str) -> None:
    bound = type("Bound", (PruningMachine,), {"backend_name": backend_name})
    examples = 30 if backend_name == "sqlite" else 8
    run_state_machine_as_test(
        bound, settings=settings(max_examples=examples, stateful_step_count=40, deadline=None)
    )
