"""One rehearsal: the real engine on a ledger of its own, until nothing is left to do."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog

from remediator.core.changes import DecisionRow, RunFilter, RunRow
from remediator.core.decide import Decision, DecisionKind
from remediator.core.episodes import Episode
from remediator.core.events import Event
from remediator.core.ids import Owner
from remediator.core.notices import Envelope
from remediator.core.ports.actions import Action, Check
from remediator.core.ports.alertmanagers import Alertmanagers
from remediator.core.ports.channels import Delivered, Delivery, Notifier, RulebookSource
from remediator.core.ports.places import Places, Unplaced
from remediator.core.ports.store import Store
from remediator.core.rules import Mode
from remediator.core.targets import Target
from remediator.engine.alarms import Alarms
from remediator.engine.answers import Answers
from remediator.engine.commands import Commands
from remediator.engine.engine import Engine
from remediator.engine.parts import EngineParts
from remediator.engine.rulebooks import Rulebooks
from remediator.rehearse.clockwork import Clockwork, StuckError
from remediator.telemetry import Metrics

_LEASE_TTL = timedelta(seconds=15)
_GRACE = timedelta(seconds=6)
#: How often it is looked whether anything is left to do (seconds), and for how long at most.
_LOOK, _PATIENCE = 5.0, timedelta(days=2)
#: By when what was put off has been decided on again.
_AGAIN = timedelta(minutes=1)
#: Rows read at a time.
_PAGE = 500
_SCHEMES = ("slack", "log", "pagerduty")


class _Nowhere:
    """Nobody knows on which node a pod runs: there are no nodes."""

    async def node_of(self, pod: Target) -> Target | Unplaced:
        return Unplaced(f"a rehearsal has no nodes, and {pod} runs on none")


class _NoAlertmanagers:
    """None is configured."""

    async def ask(self, matchers: object = (), receiver: str = "") -> list[Any]:
        del matchers, receiver
        return []


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What stands in for the world, and how the daemon is set up; fields as in :class:`EngineParts`.

    Without ``telling`` nobody is told anything, and what is recorded are episodes and decisions alone: enough
    for months of them.
    """

    actions: Mapping[str, Action]
    checks: Mapping[str, Check]
    alertmanagers: Alertmanagers = field(default_factory=_NoAlertmanagers)
    places: Places = field(default_factory=_Nowhere)
    mode: Mode = Mode.LIVE
    pager: bool = False
    approvers: Callable[[Target], tuple[str, ...]] = lambda _target: ()
    telling: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """A notice, and when its channel had it."""

    at: datetime
    envelope: Envelope


@dataclass(frozen=True, slots=True)
class Recording:
    """What the ledger holds at the end, each oldest first, and what people were told.

    ``problems`` are errors that nobody foresaw: with any of them, the rest proves nothing.
    """

    began: datetime
    ended: datetime
    episodes: tuple[Episode, ...]
    decisions: tuple[DecisionRow, ...]
    runs: tuple[RunRow, ...]
    events: tuple[Event, ...]
    notices: tuple[Told, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """What somebody finds who steps in while a rehearsal goes on."""

    store: Store
    commands: Commands


Deed = Callable[[Stage], Awaitable[object]]


@cache
def _metrics() -> Metrics:
    """They steer nothing, and making them takes a while."""
    return Metrics("rehearsed")


class Rehearsal:
    """Plays once. ``make_store`` makes an empty ledger that goes by a clock and a count of seconds."""

    def __init__(
        self,
        clockwork: Clockwork,
        make_store: Callable[[Callable[[], datetime], Callable[[], float]], Store],
        rules: RulebookSource,
        surroundings: Surroundings,
    ) -> None:
        self._clockwork = clockwork
        self._make_store = make_store
        self._rules = rules
        self._surroundings = surroundings
        self._deeds: list[tuple[datetime, Deed]] = []
        self._told: list[Told] = []
        self._problems: list[str] = []

    def at(self, when: datetime, deed: Deed) -> None:
        """Do something at this time; of several at one time, in the order in which they were told."""
        self._deeds.append((when, deed))

    def post(self, when: datetime, body: bytes, source: str = "default") -> None:
        """Have a webhook's body arrive at this time."""
        self.at(when, lambda stage: stage.store.save_webhook(source, body))

    def play(self, until: datetime | None = None) -> Recording:
        """Play all that was told, until that time; left out, until nothing more is left to do.

        Raises:
            RulebookError: the rule files can't be used.
        """
        node = self._clockwork.node("rehearsal")
        self._clockwork.failed = lambda what, why: self._problems.append(_shown(what, why))
        over: asyncio.Future[Recording] = node.create_future()

        async def play() -> None:
            try:
                over.set_result(await self._play(until))
            except Exception as error:  # noqa: BLE001 - it is whoever called that has to hear of it
                over.set_exception(error)

        try:
            with _listening(self._problems):
                node.begin(play())
                self._clockwork.run(over)
            return over.result()
        except StuckError as error:
            message = f"the rehearsal can't go on at {self._clockwork.wall}: {error}"
            raise RuntimeError(message) from error
        finally:
            self._clockwork.close()

    async def _play(self, until: datetime | None) -> Recording:
        clockwork, around = self._clockwork, self._surroundings
        store = self._make_store(lambda: clockwork.wall, lambda: clockwork.now)
        await store.open()
        try:
            rulebooks = Rulebooks(store, self._rules)
            await rulebooks.boot()
            parts = EngineParts(
                store=store,
                rulebooks=rulebooks,
                actions=around.actions,
                checks=around.checks,
                places=around.places,
                alertmanagers=around.alertmanagers,
                metrics=_metrics(),
                owner=Owner("rehearsal"),
                mode=around.mode,
                lease_ttl=_LEASE_TTL,
                pager=around.pager,
                approvers=around.approvers,
            )
            commands = Commands(store, rulebooks, Answers(store, rulebooks, parts.audience), mode=around.mode)
            channels = {scheme: _Channel(scheme, clockwork, self._told) for scheme in _SCHEMES}
            alarms = Alarms(store, parts.metrics, rulebooks.active.rulebook.default_report)
            engine = Engine(parts, channels, alarms, lifeline=None, telling=around.telling)
            engine.start()
            try:
                await self._do_all(Stage(store, commands), until)
                return await self._recorded(store)
            finally:
                await engine.stop(_GRACE)
        finally:
            await store.close()

    async def _do_all(self, stage: Stage, until: datetime | None) -> None:
        for when, deed in sorted(self._deeds, key=lambda each: each[0]):
            if until is not None and when > until:
                break
            await self._wait_for(when)
            await deed(stage)
        if until is not None:
            await self._wait_for(until)
            return
        enough = self._clockwork.wall + _PATIENCE
        left = True
        while left and self._clockwork.wall < enough:
            await asyncio.sleep(_LOOK)
            left = await _something_is_left(stage.store, self._clockwork.wall)

    async def _wait_for(self, when: datetime) -> None:
        await asyncio.sleep(max((when - self._clockwork.wall).total_seconds(), 0.0))

    async def _recorded(self, store: Store) -> Recording:
        telling = self._surroundings.telling
        runs = [row for run in await _all_runs(store) for row in await store.run_row(run)] if telling else []
        return Recording(
            began=self._clockwork.began,
            ended=self._clockwork.wall,
            episodes=await _all_episodes(store),
            decisions=await _all_decisions(store),
            runs=tuple(runs),
            events=tuple(await _all_events(store)) if telling else (),
            notices=tuple(self._told),
            problems=tuple(self._problems),
        )


async def _something_is_left(store: Store, now: datetime) -> bool:
    backlog = await store.backlog()
    if backlog.webhooks or backlog.episodes or backlog.outbox or backlog.unfinished_runs or backlog.inquiries:
        return True
    latest: dict[tuple[int, str], DecisionRow] = {}
    for row in await store.decisions(_PAGE):
        latest.setdefault((row.episode, row.rule), row)
    return any(_still_waits(row.decision, now) for row in latest.values())


def _still_waits(decision: Decision, now: datetime) -> bool:
    """One whose time has come was decided on again, by its rule or, as with too few of a count, by none."""
    if decision.kind is not DecisionKind.DEFER:
        return False
    return decision.not_before is None or now < decision.not_before + _AGAIN


async def _all_episodes(store: Store) -> tuple[Episode, ...]:
    page = await store.past_episodes(None, None, _PAGE)
    found = [each.episode for each in page.episodes]
    while page.before is not None:
        page = await store.past_episodes(None, page.before, _PAGE)
        found += [each.episode for each in page.episodes]
    return tuple(reversed(found))


async def _all_decisions(store: Store) -> tuple[DecisionRow, ...]:
    rows = page = await store.decisions(_PAGE)
    while len(page) == _PAGE:
        page = await store.decisions(_PAGE, page[-1].id)
        rows = [*rows, *page]
    return tuple(reversed(rows))


async def _all_runs(store: Store) -> list[str]:
    runs = page = await store.history(RunFilter(_PAGE))
    while len(page) == _PAGE:
        page = await store.history(RunFilter(_PAGE, before=page[-1].id))
        runs = [*runs, *page]
    return [run.id for run in reversed(runs)]


async def _all_events(store: Store) -> list[Event]:
    events = page = await store.events(0, _PAGE)
    while len(page) == _PAGE:
        page = await store.events(page[-1].id, _PAGE)
        events = [*events, *page]
    return events


class _Channel(Notifier):
    """Delivers everything at once, and remembers when."""

    def __init__(self, scheme: str, clockwork: Clockwork, told: list[Told]) -> None:
        self._scheme = scheme
        self._clockwork = clockwork
        self._told = told

    @property
    def scheme(self) -> str:
        return self._scheme

    async def deliver(self, envelope: Envelope, *, head: str, sent: str) -> Delivery:
        del head, sent
        self._told.append(Told(self._clockwork.wall, envelope))
        return Delivered(str(len(self._told)))


class _Listener:
    """Hears what the engine logs of errors that nobody foresaw; the rest nobody has to read."""

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems

    def __call__(self, _logger: object, method: str, event: Any) -> Any:
        if method in ("exception", "critical") or event.get("exc_info"):
            self._problems.append(_shown(str(event.get("event")), event.get("exc_info")))
        raise structlog.DropEvent


@contextmanager
def _listening(problems: list[str]) -> Iterator[None]:
    before = structlog.get_config()
    structlog.configure(
        processors=[_Listener(problems)],
        wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
        logger_factory=structlog.ReturnLoggerFactory(),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)


def _shown(what: str, why: object) -> str:
    if isinstance(why, BaseException):
        return f"{what}: {''.join(traceback.format_exception(why)).strip()}"
    return what if why in (None, True) else f"{what}: {why}"
