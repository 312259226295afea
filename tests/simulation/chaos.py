"""What befalls replicas and the lines between them, and what people do meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from random import Random

from remediator.core.approvals import Answer, How
from remediator.core.guards import PauseScope
from remediator.core.ids import RunId
from remediator.engine.commands import Commands
from remediator.rehearse.clockwork import Clockwork, Node
from tests.simulation.diary import Diary
from tests.simulation.replica import Replica
from tests.simulation.rulebook import SERVICES, space_of
from tests.simulation.script import Script
from tests.simulation.weather import Sky, Weather

_RESTARTED_AFTER = (0.2, 3.0, 15.0)
#: The share of requests that a person answers, and of those answers the share that approves.
_ANSWERING, _GRANTING = 0.85, 0.7
#: Longer than any run may take.
_LONG_PAUSE = 95.0
#: The share of moves at which a person pauses.
_FRIGHTENED = 0.7
#: The share of changes before which somebody protects their target, where anybody does.
_HELD_IN_TIME = 0.3
#: From SIGTERM to SIGKILL.
_LONGEST_STOP = 10.0


class Chaos:
    """Happenings, each again and again with a mean time between two, until :meth:`end`."""

    def __init__(
        self,
        replicas: Sequence[Replica],
        script: Script,
        sky: Sky,
        weather: Weather,
        outside: Node,
        clockwork: Clockwork,
        random: Random,
        diary: Diary,
    ) -> None:
        self._replicas = replicas
        self._script = script
        self._sky = sky
        self._weather = weather
        self._outside = outside
        self._clockwork = clockwork
        self._random = random
        self._diary = diary
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Start the replicas, and what happens to them."""
        for replica in self._replicas:
            self._outside.call_later(self._random.uniform(0, 2), self._start, replica)
        weather = self._weather
        for every, happening in (
            (weather.crash_every, self._crash),
            (weather.restart_every, self._restart),
            (weather.pause_every, self._pause),
            (weather.partition_every, self._partition),
            (weather.people_every, self._person),
            (weather.meddling_every, self._meddle),
            (weather.holding_every, self._hold_some),
        ):
            if every:
                self._tasks.append(self._outside.create_task(self._now_and_then(every, happening)))

    def end(self) -> None:
        """From here on nothing fails any more, and every replica is there."""
        for task in self._tasks:
            task.cancel()
        self._diary.note("world", "the faults are over")
        self._sky.calm = True
        for replica in self._replicas:
            if replica.node is not None:
                self._thaw(replica.node)
            self._start(replica)

    async def _now_and_then(self, every: float, happening: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(self._random.expovariate(1 / every))
            happening()

    def _start(self, replica: Replica) -> None:
        if not replica.alive:
            replica.start()
            self._diary.note(replica.name, "starts")

    def _crash(self) -> None:
        replica = self._random.choice(self._replicas)
        if replica.alive:
            self._diary.note(replica.name, "is killed")
            self._diary.count("crashes")
            self._sky.troubles.append(self._clockwork.now)
            replica.kill()
            self._outside.call_later(self._random.choice(_RESTARTED_AFTER), self._start, replica)

    def _restart(self) -> None:
        replica = self._random.choice(self._replicas)
        if replica.alive:
            self._diary.note(replica.name, "is asked to stop")
            self._diary.count("graceful stops")
            self._sky.troubles.append(self._clockwork.now)
            replica.stop()
            self._outside.call_later(_LONGEST_STOP, self._replace, replica, replica.node)

    def _replace(self, replica: Replica, node: Node | None) -> None:
        if replica.node is node:
            replica.kill()
            self._start(replica)

    def _pause(self) -> None:
        replica = self._random.choice(self._replicas)
        node, ttl = replica.node, self._weather.lease_ttl
        if node is None or not node.alive or node.frozen:
            return
        seconds = self._random.choice((0.5, ttl, 2 * ttl, 30))
        self._diary.note(replica.name, f"is stopped for {seconds:.1f} s")
        if seconds > ttl:
            self._diary.count("pauses past a lease")
        node.freeze()
        self._sky.troubles.append(self._clockwork.now)
        self._outside.call_later(seconds, self._thaw, node)

    def _thaw(self, node: Node) -> None:
        if node.frozen and node.alive:
            self._diary.note(node.name, "goes on")
            node.thaw(timers_first=self._random.random() < 0.5)

    def _partition(self) -> None:
        replica = self._random.choice(self._replicas)
        who = replica.name if self._random.random() < 0.7 else ""
        what = self._random.choice(("ledger", "cluster", "cluster", "slack", "alertmanager"))
        seconds = self._random.choice((2.0, self._weather.lease_ttl, 25.0, 45.0))
        self._diary.note(who or "everybody", f"can't reach {what} for {seconds:.1f} s")
        self._sky.cut[who, what] = self._clockwork.now + seconds

    def asked(self, run: str) -> None:
        """A person is asked: most answer, some too late, and some at a replica that is not there."""
        if self._random.random() < _ANSWERING:
            self._outside.call_later(self._random.uniform(0.5, 30), self._answer, RunId(run))

    def frightened(self, target: str) -> None:
        """A service is being moved over: many a person wants that to stop."""
        if self._random.random() < _FRIGHTENED:
            scope = self._random.choice(((PauseScope.ALL, ""), (PauseScope.TARGET, target)))
            length = timedelta(seconds=self._random.uniform(4, 25))
            replica = self._random.choice(self._replicas)
            pause = partial(_pause, scope=scope, length=length)
            self._outside.call_later(self._random.uniform(0, 1), replica.command, pause)

    def _answer(self, run: RunId) -> None:
        granted = self._random.random() < _GRANTING
        answer = Answer(granted, "ann", "looked at it", How.API)
        replica = self._random.choice(self._replicas)
        self._diary.note("ann", f"{'approves' if granted else 'denies'} {run} at {replica.name}")
        replica.command(lambda commands: commands.answer(run, answer))

    def _meddle(self) -> None:
        self._script.meddle()

    def intended(self, target: str) -> None:
        """Something is about to be changed: now and then it is protected just before that arrives."""
        if self._weather.holding_every and self._random.random() < _HELD_IN_TIME:
            name = target.rpartition("/")[2]
            self._outside.call_later(self._random.uniform(0, 0.01), self._hold, name)

    def _hold_some(self) -> None:
        self._hold(self._script.in_trouble())

    def _hold(self, name: str) -> None:
        self._script.hold(name)
        self._outside.call_later(self._random.uniform(1, 10), self._script.let_go, name)

    def _person(self) -> None:
        """Somebody pauses, resumes or clears, at whatever replica is there."""
        verb = self._random.choice(("pause", "pause", "resume", "clear"))
        replica = self._random.choice(self._replicas)
        name = self._random.choice(SERVICES)
        scope, value = self._random.choice(
            (
                (PauseScope.ALL, ""),
                (PauseScope.RULE, "slow-restart"),
                (PauseScope.TARGET, f"deployment/{space_of(name)}/{name}"),
                (PauseScope.TARGET, f"namespace/{space_of(name)}"),
            )
        )
        length = timedelta(seconds=self._random.choice((self._random.uniform(3, 30), _LONG_PAUSE)))

        async def act(commands: Commands) -> None:
            if verb == "pause":
                await _pause(commands, scope=(scope, value), length=length)
            elif verb == "resume":
                await commands.resume(scope, value, "it is over", "ann")
            else:
                await self._clear(commands)

        replica.command(act)

    async def _clear(self, commands: Commands) -> None:
        """Somebody has looked at what is in quarantine."""
        for quarantine in await commands.store.quarantines():
            await commands.clear(quarantine.target, "looked at it", "ann")


async def _pause(commands: Commands, *, scope: tuple[PauseScope, str], length: timedelta) -> None:
    await commands.pause(*scope, "drill", "ann", length)
