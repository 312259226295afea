"""One simulation: replicas, ledger, cluster, Alertmanagers and people in virtual time, in its weather."""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from remediator.core.ids import AttemptId
from remediator.core.notices import Envelope
from remediator.core.ports.actions import Action
from remediator.core.ports.channels import Notifier
from remediator.core.ports.store import Topic
from remediator.core.targets import Target
from remediator.rehearse.clockwork import EPOCH, Clockwork, Node, StuckError
from remediator.sandbox.kubernetes.audit import AuditEntry
from remediator.store.common.codecs import micros
from remediator.store.sqlite.transaction import Work
from tests.simulation import laws
from tests.simulation.actions import COPY, CRITICAL, FENCE, SPECS, Copies, Unhurried, Vault
from tests.simulation.alerting import Peer, SimulatedAlertmanagers
from tests.simulation.chaos import Chaos
from tests.simulation.cluster import Cluster, SimulatedClient, attempt_of, token_after
from tests.simulation.counting import count_commit
from tests.simulation.diary import Diary
from tests.simulation.ledger import Line, ReplicaStore, SharedLedger
from tests.simulation.network import Network, RefusedError, ResetError
from tests.simulation.replica import Replica, SimulatedChannel, Surroundings
from tests.simulation.rulebook import DECISIONS, SHARED, SharedRules, rule_files
from tests.simulation.script import Script
from tests.simulation.seen import AtWork, Commit, History, Limits, Look, Write
from tests.simulation.weather import CALM, Sky, Weather, forecast

#: Within this time after the faults are over everything must have come to an end (seconds).
_PATIENCE = 400.0
_LOOK_EVERY = 5.0
#: Where no file can be: the ledger is shared in memory, and nothing beside it tells that it was put back.
_NO_FILE = "/dev/null/ledger"


@dataclass(frozen=True, slots=True)
class Broken:
    """A law that was broken: by its function's name."""

    law: str
    what: str


class World:
    """Everything of one seed. ``broken`` is the first law that was."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.clockwork = Clockwork()
        self.diary = Diary(self.clockwork)
        self.random = Random(f"{seed} world")
        self.weather = forecast(Random(f"{seed} weather"))
        self.sky = Sky(Random(f"{seed} sky"))
        self.outside = self.clockwork.node("outside")
        self._over: asyncio.Future[None] = self.outside.create_future()
        self.broken: Broken | None = None
        self.ledger = SharedLedger(self.clockwork, self.random, self.diary)
        self.cluster = Cluster(self.clockwork, self.diary)
        self.vault = Vault(lambda: self.clockwork.wall, self._on_copy, set())
        self.network = Network(self.outside, self.sky, self.diary)
        weather, freeze = self.weather, _freeze(self.weather)
        self.rules = SharedRules(
            rule_files(
                parallel=weather.parallel,
                cooldown=weather.cooldown,
                rate=weather.rate,
                share=weather.share,
                pruned=weather.pruned,
                freeze=freeze,
            )
        )
        limits = Limits(
            weather.cooldown * 1_000_000,
            weather.rate * 1_000_000,
            weather.parallel,
            _kept(weather),
            SHARED if weather.share else None,
            freeze and (micros(freeze[0]), micros(freeze[1])),
        )
        self.history = History(self.ledger.sql, self.clockwork, limits, self.sky.troubles)
        self.ledger.seen = self._on_commit
        self.cluster.written = self._on_write
        self.peers = [
            Peer(f"am{n}", self.outside, self.clockwork, self.random, self, self.diary)
            for n in range(1, self.weather.peers + 1)
        ]
        self.script = Script(
            self.cluster.standin, self.peers, self.outside, self.clockwork, self.random, self.diary, seed
        )
        self.lines: list[Line] = []
        around = self._surroundings()
        self.replicas = [Replica(n, around, self.clockwork.node) for n in range(1, self.weather.replicas + 1)]
        self.chaos = Chaos(
            self.replicas,
            self.script,
            self.sky,
            self.weather,
            self.outside,
            self.clockwork,
            self.random,
            self.diary,
        )

    def play(self) -> Broken | None:
        """Let it all happen; gives the first law that was broken."""
        self.clockwork.failed = self.unforeseen
        self.outside.begin(self._play())
        try:
            self.clockwork.run(self._over)
        except StuckError as error:
            self.break_law("everything_ends", str(error))
        return self.broken

    def close(self) -> None:
        """Forget everything."""
        self.clockwork.close()
        self.ledger.close()

    def break_law(self, law: str, what: str) -> None:
        """Note that a law was broken, which ends the simulation."""
        if self.broken is None:
            self.broken = Broken(law, what)
            self.diary.note("LAW", f"{law}: {what}")
        if not self._over.done():
            self._over.set_result(None)

    # What happens.

    async def _play(self) -> None:
        self.diary.note("world", f"seed {self.seed}: {self.weather}")
        self.cluster.standin.start_controllers()
        self.script.trouble(self.weather.storm)
        self.chaos.begin()
        await asyncio.sleep(self.weather.storm)
        self.chaos.end()
        await self._drain()
        self._judge_the_end()
        if not self._over.done():
            self._over.set_result(None)

    async def _drain(self) -> None:
        until = self.clockwork.now + _PATIENCE
        while self.clockwork.now < until:
            await asyncio.sleep(_LOOK_EVERY)
            posting = any(peer.posting for peer in self.peers)
            if not posting and not any(laws.everything_ends(self.history)):
                return

    # What is judged.

    def _on_commit(self, who: str, work: Work[Any]) -> None:
        commit = self.history.commit(who, work, _micros(self))
        self._note_commit(commit)
        for event in commit.events:
            if event.kind == "run.asked" and event.run is not None:
                self.chaos.asked(event.run)
            if event.kind == "attempt.intended":
                self.chaos.intended(str(event.target))
            if event.kind == "attempt.succeeded" and event.data.get("action") == FENCE:
                self.chaos.frightened(str(event.target))
        count_commit(self.diary, commit, self.history)
        for law in laws.AFTER_COMMIT:
            for what in law(self.history, commit):
                self.break_law(law.__name__, what)
        tokens = [lease.token for lease in commit.leases]
        self.history.highest_token = max([self.history.highest_token, *tokens])

    def _note_commit(self, commit: Commit) -> None:
        for event in commit.events:
            about = " ".join(
                str(each) for each in (event.episode, event.run, event.target) if each is not None
            )
            detail = str(event.data.get("detail") or event.data.get("reason") or "")[:120]
            self.diary.note(commit.who, f"{event.kind} {about} {detail}")
        if commit.name in ("acquire", "release") and commit.was != commit.leases:
            held = ", ".join(
                f"{each.target} by {each.owner} for {each.run} #{each.token}" for each in commit.leases
            )
            self.diary.note(commit.who, f"{commit.name}: {held or 'none held'}")

    def _on_write(self, who: str, entry: AuditEntry) -> None:
        if entry.resource != "deployments":
            return
        target = f"deployment/{entry.namespace}/{entry.name}"
        found = self.cluster.standin.get("deployments", entry.namespace, entry.name)
        labels = found["metadata"].get("labels") or {}
        self._judge_write(Write(who, target, attempt_of(entry), token_after(entry), labels))

    def _on_copy(self, who: str, target: Target, attempt: AttemptId) -> None:
        self.diary.note(who, f"the vault keeps {attempt}")
        self._judge_write(Write(who, f"copy/{target.namespace}/{target.name}", attempt, None))

    def _judge_write(self, write: Write) -> None:
        for law in laws.AFTER_WRITE:
            for what in law(self.history, write):
                self.break_law(law.__name__, what)
        self.history.note(write)

    def _on_answer(self, who: str, body: bytes) -> None:
        self.history.answered.append(body)
        self.diary.note(who, f"answers 200 to {json.loads(body)['groupKey']}")
        for what in laws.law_1_what_was_answered_is_kept(self.history, body):
            self.break_law("law_1_what_was_answered_is_kept", what)

    def _on_work(self, who: str, run: str, target: Target) -> None:
        work = AtWork(who, run, str(target), _micros(self))
        for law in laws.AT_WORK:
            for what in law(self.history, work):
                self.break_law(law.__name__, what)

    def _on_look(self, who: str, check: str, target: str, said: str) -> None:
        self.history.looks.append(Look(self.clockwork.now, who, check, target, said))

    def _judge_the_end(self) -> None:
        for law in laws.AT_END:
            for what in law(self.history):
                self.break_law(law.__name__, what)

    def unforeseen(self, event: str, error: object) -> None:
        """The engine met an error that nothing foresees: it goes on, and else nobody would hear of it."""
        raised = sys.exc_info()[1] if error is True else error
        told = traceback.format_exception(raised) if isinstance(raised, BaseException) else []
        self.break_law("nothing_unforeseen", f"{event}: {''.join(told)}")

    # What replicas find around them.

    def post(self, body: bytes) -> asyncio.Future[int]:
        """Post to some replica, as the service in front of them sends it."""
        answer: asyncio.Future[int] = self.outside.create_future()
        replica = self.random.choice(self.replicas)
        fate = self.sky.fate(self.weather.posts, "alertmanager", "posts", self.clockwork.now)
        outside = self.outside

        def arrive() -> None:
            if not (fate.arrives and replica.post(body, respond_later)):
                respond(RefusedError())

        def respond_later(status: int) -> None:
            outside.call_later(fate.back, respond, status)

        def respond(status: int | Exception) -> None:
            if answer.done() or not fate.told:
                return
            if not fate.answered:
                status = ResetError()
            answer.set_result(status) if isinstance(status, int) else answer.set_exception(status)

        outside.call_later(fate.there, arrive)
        return answer

    def _surroundings(self) -> Surroundings:
        weather = self.weather

        def store(node: Node) -> ReplicaStore:
            def line(_path: object, _clock: object, wake: Callable[[Any], None]) -> Line:
                made = Line(self.ledger, node, self.outside, self.sky, weather, self.diary, self._tell, wake)
                self.lines = [each for each in self.lines if each.node.alive] + [made]
                return made

            clockwork = self.clockwork
            return ReplicaStore(
                _NO_FILE, clock=lambda: clockwork.wall, monotonic=lambda: clockwork.now, executor=line
            )

        def actions(node: Node, client: Any) -> Mapping[str, Action]:
            copies = Copies(self.vault, self.network, node, weather.cluster, self._on_work)
            return {COPY: copies} | {name: Unhurried(SPECS[name], client) for name in CRITICAL}

        def channels(node: Node) -> Mapping[str, Notifier]:
            return {
                "slack": SimulatedChannel("slack", self.network, node, weather.channel, self._receive),
                "log": SimulatedChannel("log", self.network, node, CALM, self._receive),
            }

        return Surroundings(
            store=store,
            client=lambda node: SimulatedClient(
                self.cluster, self.network, node, weather.cluster, self.diary
            ),
            alertmanagers=lambda node: SimulatedAlertmanagers(
                self.peers, self.script.firing, self.network, node, weather.cluster
            ),
            actions=actions,
            channels=channels,
            rules=self.rules,
            witness=self._on_look,
            answered=self._on_answer,
            lease_ttl=weather.lease_ttl,
        )

    def _receive(self, envelope: Envelope) -> str:
        if any(envelope == known for _, known in self.history.delivered):
            self.diary.count("notices delivered twice")
        self.history.delivered.append((self.clockwork.now, envelope))
        return str(len(self.history.delivered))

    def _tell(self, teller: Line, topics: list[Topic]) -> None:
        """The other replicas hear of a commit, unless that gets lost."""
        for line in self.lines:
            if line is not teller and line.node.alive and self.random.random() >= self.weather.lost_wakes:
                self.outside.call_later(self.random.uniform(0.001, 0.02), line.hear, topics)


def _kept(weather: Weather) -> int:
    return (DECISIONS if weather.pruned else 1_000_000) * 1_000_000


def _micros(world: World) -> int:
    return micros(world.ledger.clock.now)


def _freeze(weather: Weather) -> tuple[datetime, datetime] | None:
    if weather.frozen_minute is None:
        return None
    begins = EPOCH + timedelta(minutes=weather.frozen_minute)
    return begins, begins + timedelta(minutes=1)
