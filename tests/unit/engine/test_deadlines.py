"""A run in any state that is not final ends by its deadline, and a bounded while, whatever breaks.

A replica takes each run to the state, and is then gone without letting go. Another goes on with it, and
everything that it asks is broken in one way. Time passes at once, so that nothing is shortened for the test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import pytest
from structlog.testing import capture_logs

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.clients.alertmanager import AlertmanagerClient
from remediator.core.changes import RunFilter
from remediator.core.checks import CheckAnswer, CheckContext, Said
from remediator.core.ids import Owner, RunId
from remediator.core.leases import Held, Lease
from remediator.core.ports.actions import ActionContext, Plan, Probe, Refusal, Result, Sighting
from remediator.core.ports.places import Unplaced
from remediator.core.ports.store import StoreUnavailableError
from remediator.core.rules import Mode
from remediator.core.runs import Outcome, Run, RunState
from remediator.core.targets import Target
from remediator.engine.alarms import Alarms
from remediator.engine.dispatcher import DispatcherLoop
from remediator.engine.intake import IntakeLoop
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Rulebooks
from remediator.engine.runner import RunnerLoop
from remediator.engine.stuck import OVERDUE
from remediator.rulebook.source import FileRules
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.clock import StoreClock
from remediator.store.sqlite.commits import Commits, Job, deliver
from remediator.store.sqlite.connection import connect
from remediator.store.sqlite.transaction import Transaction, Work
from remediator.store.sqlite.writer import Wake
from remediator.telemetry import Metrics
from tests.support.rulebooks import rule, rules
from tests.unit.engine.fast import START, in_no_time, passed
from tests.unit.engine.parts import firing

T = TypeVar("T")

UNFINISHED = [state for state in RunState if not state.is_final]
UNDO, ROLLED_OUT = "kubernetes.rollout_undo", "kubernetes.rolled_out"
TTL = timedelta(seconds=15)
#: The bounded while: until an overdue run is taken up once more, with what is under way by then.
SLACK = OVERDUE + timedelta(minutes=2)


class Fault(Enum):
    """How everything that a run needs is broken."""

    SILENT = auto()  # no answer ever comes
    RAISING = auto()  # a bug, instead of an answer
    DOUBTFUL = auto()  # each answer is the one that settles nothing
    HELD = auto()  # another run has the target, and keeps it
    FORGETFUL = auto()  # every third answer of the ledger or so is that it can't be reached
    NO_RULEBOOK = auto()  # the rulebook that the run is pinned to can't be read
    DAMAGED = auto()  # nor can its own row


class Inline:
    """A ledger's transactions, made where they are asked for; time stands still meanwhile."""

    def __init__(self, path: Path, clock: StoreClock, wake: Wake) -> None:
        self._clock = clock
        self._wake = wake
        self._commits = Commits(connect(path)[0], clock, str(path))

    async def open(self) -> None:
        """It is open."""

    async def close(self) -> None:
        self._commits.close()

    def seen(self) -> None:
        """Nothing lies beside it."""

    def saw(self, micros: int) -> None:
        """Nothing lies beside it."""

    async def copy(self, path: Path) -> None:
        message = f"nobody copies this ledger into {path}"
        raise StoreUnavailableError(message)

    def now(self) -> datetime:
        return self._clock.read()

    def submit(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]:
        del size, urgent
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        deliver(*self._commits.commit([Job(work, future)]), self._wake)
        return future


class Ledger(SqliteStore):
    """A ledger on the loop's time, from which nobody lets go of a lease.

    With ``forgets`` every third call or so fails, after what it asked for was done.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            path, clock=lambda: START + timedelta(seconds=passed()), monotonic=passed, executor=Inline
        )
        self._submit = self._writer.submit
        self._writer.submit = self._answer  # type: ignore[method-assign]  # of this one alone
        self.forgets = False
        self._random = Random(11)

    async def release(self, lease: Lease) -> None:
        """Whoever is gone releases nothing."""

    def _answer(self, work: Work[T], size: int = 0, *, urgent: bool = False) -> asyncio.Future[T]:
        future = self._submit(work, size, urgent=urgent)
        if self.forgets and self._random.random() < 1 / 3:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(StoreUnavailableError("the answer is lost"))
        return future


@dataclass(slots=True)
class World:
    """Everything that a run asks, working until it is told otherwise. A run stops where it is silent."""

    silent: set[str] = field(default_factory=set)
    fault: Fault | None = None
    spec: Any = None

    async def _ask(self, what: str, good: T, doubtful: T) -> T:
        if what in self.silent or self.fault is Fault.SILENT:
            await asyncio.Event().wait()
        if self.fault is Fault.RAISING:
            raise RuntimeError("a bug")
        return doubtful if self.fault is Fault.DOUBTFUL else good

    async def plan(self, _context: ActionContext) -> Plan | Refusal:
        plan: Plan | Refusal = Plan("undo it", "-a\n+b\n")
        return await self._ask("plan", plan, Refusal("it can't be looked at", temporary=True))

    async def apply(self, _context: ActionContext, _plan: Plan) -> Result:
        lost = Result(Outcome.UNKNOWN, "the reply was lost")
        return await self._ask(
            "apply", lost if "probe" in self.silent else Result(Outcome.SUCCEEDED, "done"), lost
        )

    async def probe(self, _context: ActionContext, _plan: Plan) -> Probe:
        good, doubtful = Probe(Sighting.HAPPENED, "it is there"), Probe(Sighting.UNPROVABLE, "who knows")
        return await self._ask("probe", good, doubtful)

    async def look(self, _context: CheckContext) -> CheckAnswer:
        return await self._ask("look", CheckAnswer(Said.YES, "fine"), CheckAnswer(Said.ERROR, "who knows"))

    async def node_of(self, pod: Target) -> Target | Unplaced:
        return await self._ask("node_of", Target(pod.cluster, "node", "", "n1"), Unplaced("who knows"))


#: What must not answer, so that a run comes to the state and no further; without any of it, it is not begun.
REACHED: Mapping[RunState, set[str] | None] = {
    RunState.PENDING: None,
    RunState.ASKING: set(),
    RunState.READY: {"plan"},
    RunState.ACTING: {"apply"},
    RunState.PROBING: {"probe"},
    RunState.VERIFYING: {"look"},
}


def parts(store: SqliteStore, rulebooks: Rulebooks, world: World, owner: str) -> EngineParts:
    action, check = (
        World(world.silent, world.fault, ACTIONS[UNDO]),
        World(world.silent, world.fault, CHECKS[ROLLED_OUT]),
    )
    return EngineParts(
        store,
        rulebooks,
        {UNDO: action},
        {ROLLED_OUT: check},
        world,
        AlertmanagerClient(()),
        Metrics("0"),
        Owner(owner),
        Mode.LIVE,
        TTL,
    )


async def the_run(store: Ledger) -> Run | None:
    forgets, store.forgets = store.forgets, False
    found = await store.history(RunFilter())
    store.forgets = forgets
    return found[0] if found else None


async def until(condition: Callable[[], Any], what: str, within: timedelta) -> None:
    over_at = passed() + within.total_seconds()
    while not await condition():
        assert passed() < over_at, f"not within {within}: {what}"
        await asyncio.sleep(0.5)


async def brought_to(store: Ledger, rulebooks: Rulebooks, state: RunState) -> Run:
    """A run in this state, whose driver is gone."""
    world = World(REACHED[state] or set())
    engine = parts(store, rulebooks, world, "gone")
    alarms = Alarms(store, engine.metrics, ("log",))
    alert = firing("ServiceDown", labels={"namespace": "shop", "job": "cart"}, startsAt=START.isoformat())
    body = b'{"version": "4", "alerts": [%s]}' % json.dumps(alert).encode()
    await store.save_webhook("default", body)
    await IntakeLoop(engine, alarms).work()
    await DispatcherLoop(engine, alarms).work()
    if REACHED[state] is not None:
        driving = asyncio.create_task(RunnerLoop(engine).run())

        async def there() -> bool:
            run = await the_run(store)
            return run is not None and run.state is state

        await until(there, f"it is {state.value}", timedelta(minutes=2))
        await _vanish(driving)
    run = await the_run(store)
    assert run is not None
    assert run.state is state
    return run


async def _vanish(driving: asyncio.Task[None]) -> None:
    """End everything that runs beside this, as a kill does; what it would still write is not written."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in (driving, *others):
        task.cancel()
    await asyncio.gather(driving, *others, return_exceptions=True)


async def ends_in_time(folder: Path, state: RunState, fault: Fault) -> None:
    store = Ledger(folder / "ledger.db")
    asks = {"approval": {"within": "10m", "otherwise": "escalate"}} if state is RunState.ASKING else {}
    (folder / "rules.yaml").write_text(rules(rule(deadline="10m", **asks)))
    rulebooks = Rulebooks(store, FileRules(folder / "rules.yaml"))
    await rulebooks.boot()
    run = await brought_to(store, rulebooks, state)
    await _break(store, rulebooks, folder, run, fault)
    engine = parts(store, rulebooks, World(fault=fault), "alive")
    driving = asyncio.create_task(RunnerLoop(engine).run())
    holding = asyncio.create_task(_hold(store, run)) if fault is Fault.HELD else None

    async def ended() -> bool:
        return bool((await _raw(store, "SELECT final FROM runs WHERE id = ?", run.id))[0])

    left = run.deadline_at - (START + timedelta(seconds=passed()))
    await until(ended, f"{state.value} ends though all is {fault.name.lower()}", left + SLACK)
    store.forgets = False
    if holding is not None:
        holding.cancel()
    await _vanish(driving)
    await store.close()


async def _break(store: Ledger, rulebooks: Rulebooks, folder: Path, run: Run, fault: Fault) -> None:
    if fault is Fault.NO_RULEBOOK:
        (folder / "rules.yaml").write_text(rules(rule(summary="Newer", deadline="10m")))
        await rulebooks.reload("test")
        rulebooks._compiled.cache_clear()
        await _raw(store, "UPDATE rulebooks SET files = '{' WHERE active = 0 RETURNING 1")
    elif fault is Fault.DAMAGED:
        await _raw(store, "UPDATE runs SET results = '{' WHERE id = ? RETURNING 1", run.id)
    elif fault is Fault.FORGETFUL:
        store.forgets = True


async def _raw(store: Ledger, statement: str, *values: object) -> Any:
    def work(transaction: Transaction) -> Any:
        return transaction.sql.execute(statement, values).fetchone()

    return await store._submit(work)


async def _hold(store: Ledger, run: Run) -> None:
    """Have the target as soon as it can be had, by a run of another rule, and never let go."""
    await _raw(
        store,
        "INSERT INTO runs SELECT seq + 1, 'r-other', 'other', target, severity, mode, rulebook, episode,"
        " created_at, deadline_at + 36000000000, 'ready', 0, phase, position, tries, attempts, results,"
        " broken, NULL, NULL, NULL, NULL, '' FROM runs WHERE id = ? RETURNING 1",
        run.id,
    )
    held: Lease | Held | None = None
    while not isinstance(held, Lease):
        await asyncio.sleep(0.01)
        held = await store.acquire(RunId("r-other"), Owner("other"), timedelta(hours=1))


@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.name.lower())
@pytest.mark.parametrize("state", UNFINISHED, ids=lambda state: state.value)
def test_a_run_ends_by_its_deadline_whatever_is_broken(tmp_path: Path, state: RunState, fault: Fault) -> None:
    with capture_logs():  # thousands of tracebacks would take longer than all else
        in_no_time(ends_in_time(tmp_path, state, fault))
