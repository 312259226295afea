"""One test, played: its world and people around the real engine, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from remediator.core.approvals import Answer, How, Objection
from remediator.core.guards import PauseScope
from remediator.core.manual import Request
from remediator.core.paging import Page
from remediator.core.ports.actions import Action, ActionSpec, Check, CheckSpec
from remediator.core.ports.alertmanagers import Alertmanagers
from remediator.core.ports.channels import RulebookError, RulebookSource, RuleFiles
from remediator.core.ports.store import Store
from remediator.core.rules import Mode, Rulebook
from remediator.engine.commands import CommandError
from remediator.rehearse.account import Entry, entries
from remediator.rehearse.clockwork import Clockwork
from remediator.rehearse.files import Story
from remediator.rehearse.judging import Line, judge
from remediator.rehearse.models import Person
from remediator.rehearse.rehearsal import Deed, Recording, Rehearsal, Stage, Surroundings
from remediator.rehearse.world import DescribedAction, DescribedCheck, DescribedWorld, Happened

_DAEMON = {"approve": Mode.APPROVE, "observe": Mode.OBSERVE}
#: Decided by the alerts that a test tells of, unless it says otherwise.
RESOLVED = "alert.resolved"


@dataclass(frozen=True, slots=True)
class Kit:
    """What is there beside the engine: specs by name, the ledger, and what is made of the rules.

    ``resolved`` makes the real ``alert.resolved`` of described Alertmanagers.
    """

    actions: Mapping[str, ActionSpec]
    checks: Mapping[str, CheckSpec]
    make_store: Callable[[Callable[[], datetime], Callable[[], float]], Store]
    resolved: Callable[[Alertmanagers], Check]
    rules: Callable[[Story], RulebookSource]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a test: ``context`` is what happened around it, for the timeline.

    Without a ``recording`` it could not be played, and ``problems`` say why.
    """

    story: Story
    began: datetime
    ended: datetime
    lines: tuple[Line, ...]
    context: tuple[Happened, ...]
    problems: tuple[str, ...]
    recording: Recording | None = None

    @property
    def passed(self) -> bool:
        return not self.problems and all(line.holds for line in self.lines)


def play(story: Story, kit: Kit) -> Outcome:
    """Play a test."""
    began = story.test.starts.replace(tzinfo=ZoneInfo(story.test.timezone))
    try:
        recording, world, people, happened = _play(story, kit, began)
    except (RulebookError, RuntimeError) as error:
        return Outcome(story, began, began, (), (), (str(error),))
    lines = judge(story.test.expect, happened, began)
    judged = {id(line.entry) for line in lines}
    unheard = any(line.expected is not None and line.expected.told and not line.holds for line in lines)
    # What people were told fills the screen: it is shown to whom some of it is missing.
    beside = [
        Happened(each.at, each.shown)
        for each in happened
        if id(each) not in judged and (unheard or each.kind != "told")
    ]
    context = sorted((*world.happened, *people.happened, *beside), key=lambda each: each.at)
    problems = (*world.problems, *people.problems, *recording.problems)
    return Outcome(story, began, recording.ended, lines, tuple(context), problems, recording)


def _play(
    story: Story, kit: Kit, began: datetime
) -> tuple[Recording, DescribedWorld, _People, tuple[Entry, ...]]:
    test, clockwork = story.test, Clockwork(began)
    world = DescribedWorld(clockwork, (story.file.world, test.world), test.alerts)
    checks: dict[str, Check] = {name: DescribedCheck(spec, world) for name, spec in kit.checks.items()}
    if RESOLVED not in world.describes:
        checks[RESOLVED] = kit.resolved(world)
    actions: dict[str, Action] = {name: DescribedAction(spec, world) for name, spec in kit.actions.items()}
    rules = AsIf(kit.rules(story), trusted=test.mode != "as_written")
    surroundings = Surroundings(
        actions,
        checks,
        world,
        mode=_DAEMON.get(test.mode, Mode.LIVE),
        approvers=lambda _target: ("anybody",),
    )
    rehearsal = Rehearsal(clockwork, kit.make_store, rules, surroundings)
    world.enter(rehearsal)
    people = _People(clockwork)
    for person in test.people:
        rehearsal.at(began + person.at, people.deed(person))
    rehearsal.at(_last_expected(story, began), _nothing)
    until = None if test.until is None else began + test.until
    recording = rehearsal.play(until)
    return recording, world, people, entries(recording, rules.compile(rules.read()))


def _last_expected(story: Story, began: datetime) -> datetime:
    """Until when it has to be played at least."""
    times = [each for one in story.test.expect for each in (one.at, one.ends) if each is not None]
    return began + max(times, default=timedelta(0))


async def _nothing(_stage: Stage) -> None:
    """Time passes."""


class AsIf:
    """Rules as if each said ``mode: live``, where they are ``trusted``."""

    def __init__(self, source: RulebookSource, *, trusted: bool) -> None:
        self._source = source
        self._trusted = trusted

    def read(self) -> RuleFiles:
        return self._source.read()

    def compile(self, files: RuleFiles) -> Rulebook:
        rulebook = self._source.compile(files)
        if not self._trusted:
            return rulebook
        return replace(rulebook, rules=tuple(replace(rule, mode=Mode.LIVE) for rule in rulebook.rules))


class _People:
    """Does what a test's people do, by the engine's own verbs."""

    def __init__(self, clockwork: Clockwork) -> None:
        self._clockwork = clockwork
        self._requests = 0
        self.problems: list[str] = []
        self.happened: list[Happened] = []

    def deed(self, person: Person) -> Deed:
        """What a person does, to be done at its time."""

        async def do(stage: Stage) -> None:
            what = f"{person.by}: {person.verb} {getattr(person, person.verb)}"
            self.happened.append(Happened(self._clockwork.wall, what))
            try:
                problem = await self._do(person, stage)
            except CommandError as error:
                problem = str(error)
            if problem:
                self.problems.append(f"{what}: {problem}")

        return do

    async def _do(self, person: Person, stage: Stage) -> str:
        commands, why, who = stage.commands, person.why, person.by
        if person.pause is not None:
            await commands.pause(*_scope(person.pause), why, who, person.length)
        elif person.resume is not None:
            lifted = await commands.resume(*_scope(person.resume), why, who)
            return "" if lifted else "nothing was paused"
        elif person.clear is not None:
            cleared = await commands.clear(person.clear, why, who)
            return "" if cleared else "it was not quarantined"
        elif person.run is not None:
            self._requests += 1
            request = Request(person.run, who, why, person.labels)
            await commands.run(f"rehearsed-{self._requests}", request)
        elif person.acknowledge is not None:
            return await _acknowledge(person, stage)
        else:
            return await _answer(person, stage)
        return ""


async def _acknowledge(person: Person, stage: Stage) -> str:
    pages = [page for page in await stage.store.open_pages() if _is_meant(page, person)]
    if not pages:
        return f"no page of {person.acknowledge} is open"
    for page in pages:
        await stage.commands.acknowledge(page.id, person.why, person.by)
    return ""


def _is_meant(page: Page, person: Person) -> bool:
    call = page.call
    wanted = person.target
    return call.rule == person.acknowledge and (wanted is None or str(wanted) == call.target)


async def _answer(person: Person, stage: Stage) -> str:
    rule, granted = person.approve or person.deny, person.approve is not None
    asking = [
        each.run
        for each in await stage.store.asking()
        if each.run.rule == rule and person.target in (None, each.run.target)
    ]
    if not asking:
        return f"no run of {rule} asks for anything at this time"
    for run in asking:
        found = await stage.commands.answer(run.id, Answer(granted, person.by, person.why, How.API))
        if isinstance(found, Objection):
            return found.detail
    return ""


def _scope(written: str) -> tuple[PauseScope, str]:
    if written == "all":
        return PauseScope.ALL, ""
    return (PauseScope.TARGET if "/" in written else PauseScope.RULE), written
