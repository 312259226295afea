"""The described world: checks, actions and Alertmanagers that answer as a test says."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product

from remediator.core.alerts import fingerprint
from remediator.core.answers import AlertState, Answer, Heard, Listed
from remediator.core.checks import CheckAnswer, CheckContext, Said
from remediator.core.durations import format_duration
from remediator.core.ids import RunId
from remediator.core.matchers import Matcher
from remediator.core.ports.actions import (
    ActionContext,
    ActionSpec,
    CheckSpec,
    Plan,
    Probe,
    Refusal,
    Result,
    Sighting,
)
from remediator.core.runs import Outcome
from remediator.core.sights import Sight
from remediator.core.targets import Target
from remediator.rehearse import models
from remediator.rehearse.clockwork import Clockwork
from remediator.rehearse.rehearsal import Deed, Rehearsal, Stage

_NOT_OVER = "0001-01-01T00:00:00Z"
_URL = "http://alertmanager.described"
_OUTCOMES = {"succeeds": Outcome.SUCCEEDED, "fails": Outcome.FAILED, "unknown": Outcome.UNKNOWN}
#: How a sentence that a test leaves out is worded.
_DETAILS = {"succeeds": "done", "fails": "it failed", "unknown": "no answer", "refuses": "it can't be done"}


@dataclass(frozen=True, slots=True)
class Happened:
    """Something that the described world did, for the timeline."""

    at: datetime
    what: str


@dataclass(slots=True)
class Firing:
    """One firing of one alert."""

    labels: Mapping[str, str]
    model: models.Alert
    begins: datetime
    ends: datetime | None

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.labels)

    def fires(self, now: datetime) -> bool:
        return self.begins <= now and (self.ends is None or now < self.ends)

    @property
    def shown(self) -> str:
        rest = ", ".join(f"{name}={value}" for name, value in self.labels.items() if name != "alertname")
        return f"{self.labels.get('alertname', 'an alert without a name')}{f' ({rest})' if rest else ''}"


class DescribedWorld:
    """Answers as ``world`` says, which a test's file and the test itself describe.

    ``problems`` are questions that it has no answer for: a test that asks them has failed.
    """

    def __init__(
        self, clockwork: Clockwork, described: Sequence[models.World], alerts: Sequence[models.Alert]
    ) -> None:
        self._clockwork = clockwork
        self._checks = {name: found for each in described for name, found in each.checks.items()}
        self._actions = {name: found for each in described for name, found in each.actions.items()}
        self._firings = [firing for alert in alerts for firing in firings(alert, clockwork.began)]
        self._tries: Counter[tuple[str, Target]] = Counter()
        self._succeeded: dict[tuple[str, Target], datetime] = {}
        self._stage: Stage | None = None
        self._ends: set[asyncio.Task[None]] = set()
        self._lacking: set[str] = set()
        self.problems: list[str] = []
        self.happened: list[Happened] = []

    @property
    def describes(self) -> frozenset[str]:
        """The checks that it answers itself."""
        return frozenset(self._checks)

    @property
    def last(self) -> datetime:
        """When the last of all that it knows beforehand happens."""
        known = [firing.ends or firing.begins for firing in self._firings]
        return max(known, default=self._clockwork.began)

    def enter(self, rehearsal: Rehearsal) -> None:
        """Have everything happen that is known beforehand."""
        rehearsal.at(self._clockwork.began, self._begin)
        for firing in self._firings:
            self._tell(rehearsal, firing, firing.begins)
            for again in _repeats(firing):
                rehearsal.at(again, self._again(firing))
            if firing.ends is not None and firing.model.told:
                self._tell(rehearsal, firing, firing.ends)

    async def _begin(self, stage: Stage) -> None:
        self._stage = stage

    def _tell(self, rehearsal: Rehearsal, firing: Firing, at: datetime) -> None:
        ends = firing.ends if at == firing.ends else None
        self.happened.append(Happened(at, f"{firing.shown} {'ends' if ends else 'fires'}"))
        rehearsal.post(at, _webhook(firing, ends))

    def _again(self, firing: Firing) -> Deed:
        async def tell(stage: Stage) -> None:
            if firing.fires(self._clockwork.wall):
                await stage.store.save_webhook("default", _webhook(firing, None))

        return tell

    # What is asked of it.

    async def ask(self, matchers: Sequence[Matcher] = (), receiver: str = "") -> list[Heard]:
        """As an Alertmanager that has been up since long."""
        del receiver
        now = self._clockwork.wall
        listed = tuple(
            Listed(each.fingerprint, AlertState.ACTIVE, each.labels, each.model.annotations, each.begins)
            for each in self._firings
            if each.fires(now) and all(matcher.matches(each.labels) for matcher in matchers)
        )
        return [Answer(_URL, self._clockwork.began - timedelta(days=30), listed)]

    def look(self, check: str, context: CheckContext) -> CheckAnswer:
        """What a check says of a target now."""
        now = self._clockwork.wall
        answers = self._checks.get(check, ())
        found = [
            (since, number, each)
            for number, each in enumerate(answers)
            if each.target in (None, context.target)
            and (since := self._since(each, context.target)) is not None
            and since <= now
        ]
        if not found:
            missing = f"world.checks says nothing about {check} of {context.target}"
            self._lacks(missing)
            return CheckAnswer(Said.ERROR, missing)
        said = max(found, key=lambda each: each[:2])[2]
        detail = said.detail or f"as described: {said.says}"
        return CheckAnswer(Said(said.says), detail, said.evidence)

    def _since(self, answer: models.CheckAnswer, target: Target) -> datetime | None:
        if answer.after is None:
            return self._clockwork.began + answer.begins
        succeeded = self._succeeded.get((answer.after, target))
        return None if succeeded is None else succeeded + answer.delay

    def plan(self, action: str, context: ActionContext) -> Plan | Refusal:
        """What an action would do."""
        said = self._try(action, context.target)
        if said is None:
            missing = f"world.actions says nothing about {action} on {context.target}"
            self._lacks(missing)
            return Refusal(missing)
        if said.does == "refuses":
            return Refusal(said.detail or _DETAILS["refuses"])
        sight = Sight(said.labels, said.ready, said.least)
        return Plan(f"{action} on {context.target}", "", {"params": str(context.params)}, sight=sight)

    async def apply(self, action: str, context: ActionContext) -> Result:
        """Do it, for as long as it takes."""
        said = self._try(action, context.target)
        if said is None:
            return Result(Outcome.FAILED, "it is not described")
        self._tries[action, context.target] += 1
        await asyncio.sleep(said.takes.total_seconds())
        if said.does == "succeeds":
            await self._succeed(action, context.target, context.run)
        elif said.does == "refuses":
            return Result(Outcome.FAILED, said.detail or _DETAILS["refuses"])
        return Result(_OUTCOMES[said.does], said.detail or _DETAILS[said.does], said.values)

    async def probe(self, action: str, context: ActionContext) -> Probe:
        """Whether the last try happened."""
        said = self._try(action, context.target, last=True)
        if said is None:
            return Probe(Sighting.UNPROVABLE, "it is not described")
        if said.probe == "happened" and (action, context.target) not in self._succeeded:
            await self._succeed(action, context.target, context.run)
        return Probe(Sighting(said.probe), said.detail or f"as described: {said.probe}", said.values)

    def _try(self, action: str, target: Target, *, last: bool = False) -> models.Try | None:
        tries = [each for each in self._actions.get(action, ()) if each.target in (None, target)]
        if not tries:
            return None
        number = max(self._tries[action, target] - last, 0)
        return tries[min(number, len(tries) - 1)]

    def _lacks(self, what: str) -> None:
        at = format_duration(self._clockwork.wall - self._clockwork.began)
        if what not in self._lacking:
            self._lacking.add(what)
            self.problems.append(f"{what}, which is asked for at {at}: describe it")

    async def _succeed(self, action: str, target: Target, run: RunId) -> None:
        now = self._clockwork.wall
        self._succeeded[action, target] = now
        self.happened.append(Happened(now, f"{action} succeeds on {target}"))
        if self._stage is None:
            return
        healed = {each.fingerprint for each in await self._stage.store.episodes_of(run)}
        for firing in self._firings:
            end = firing.model.resolved
            if end is not None and end.after == action and firing.fires(now) and firing.fingerprint in healed:
                firing.ends = now + end.delay
                task = asyncio.create_task(self._end(firing, self._stage))
                self._ends.add(task)
                task.add_done_callback(self._ends.discard)

    async def _end(self, firing: Firing, stage: Stage) -> None:
        assert firing.ends is not None  # noqa: S101 - it was given its end a moment ago
        await asyncio.sleep((firing.ends - self._clockwork.wall).total_seconds())
        self.happened.append(Happened(firing.ends, f"{firing.shown} ends"))
        if firing.model.told:
            await stage.store.save_webhook("default", _webhook(firing, firing.ends))


@dataclass(frozen=True, slots=True)
class DescribedCheck:
    """A check by its spec, whose answers are the world's."""

    spec: CheckSpec
    world: DescribedWorld

    async def look(self, context: CheckContext) -> CheckAnswer:
        return self.world.look(self.spec.name, context)


@dataclass(frozen=True, slots=True)
class DescribedAction:
    """An action by its spec, whose doings are the world's."""

    spec: ActionSpec
    world: DescribedWorld

    async def plan(self, context: ActionContext) -> Plan | Refusal:
        return self.world.plan(self.spec.name, context)

    async def apply(self, context: ActionContext, plan: Plan) -> Result:
        del plan
        return await self.world.apply(self.spec.name, context)

    async def probe(self, context: ActionContext, plan: Plan) -> Probe:
        del plan
        return await self.world.probe(self.spec.name, context)


def firings(alert: models.Alert, began: datetime) -> Iterator[Firing]:
    """Each alert that it stands for, each time that it fires."""
    names = list(alert.each)
    for values in product(*alert.each.values()):
        labels = {**alert.labels, **dict(zip(names, values, strict=True))}
        for at in alert.at:
            ends = None
            if alert.lasts is not None:
                ends = began + at + alert.lasts
            elif alert.resolved is not None and alert.resolved.at is not None:
                ends = began + alert.resolved.at
            yield Firing(labels, alert, began + at, ends)


def _repeats(firing: Firing) -> Iterator[datetime]:
    """When it is told again: of one whose end is not known beforehand for a day."""
    if firing.model.repeat is None:
        return
    until = firing.ends or firing.begins + timedelta(days=1)
    again = firing.begins + firing.model.repeat
    while again < until:
        yield again
        again += firing.model.repeat


def _webhook(firing: Firing, ends: datetime | None) -> bytes:
    alert = {
        "status": "firing" if ends is None else "resolved",
        "labels": dict(firing.labels),
        "annotations": dict(firing.model.annotations),
        "startsAt": firing.begins.isoformat(),
        "endsAt": _NOT_OVER if ends is None else ends.isoformat(),
        "fingerprint": firing.fingerprint,
    }
    group = {"alertname": firing.labels.get("alertname", "")}
    return json.dumps({"version": "4", "alerts": [alert], "groupLabels": group}).encode()
