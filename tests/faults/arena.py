"""Services that are broken and repaired by the dozen, the replicas that do it, and what strikes these."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from remediator.sandbox.faults import Fault as Planned
from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.kubernetes.api import ApiRequest
from remediator.sandbox.kubernetes.audit import AuditEntry
from remediator.sandbox.kubernetes.standin import ADMIN
from remediator.sandbox.slack import Message, SlackReceiver
from tests.faults.fleet import LEASE_TTL, Fleet, Story
from tests.faults.scenarios import SCENARIOS, SECOND, Scenario
from tests.faults.strikes import Strike, Strikes
from tests.store.postgres import aside, execute, server
from tests.support.daemon import PEOPLE, _of_spec, changing, written
from tests.support.processes import eventually
from tests.support.rulebooks import NAMESPACE, image, rules

NO_BRAKE = {"targets": "100000/10m", "parallel": 64, "failures": "100000/1h"}
"""Hundreds of services break here, and no person is to be waited for."""
ATTEMPT = "remediator.dev/attempt"
#: How a report says whose it is; other runs it may mention.
_OF_RUN = re.compile(r"remediator explain (r-[0-9a-z]{10})\b")
#: What only a request for approval shows: a message of its own, which is no report.
_REQUEST = re.compile(r"May approve|\*Answer\*")
_PAGED = frozenset({"failed", "unknown", "refused", "expired"})
#: On a busy machine leases of a second are lost and taken again many times before anything is done.
_PATIENCE = 600.0
_FRESH = 0.2


@dataclass(slots=True)
class Arena:
    """A cluster, a Slack and a fleet. ``gates`` let go of the requests that a scenario holds back."""

    cluster: StandIn
    slack: SlackReceiver
    fleet: Fleet
    strikes: Strikes
    database: str
    gates: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _services: int = 0
    _seen: int = 0
    _changed: set[str] = field(default_factory=set)
    _books: int = 0
    _seen_runs: dict[str, tuple[float, list[Story]]] = field(default_factory=dict)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock)

    # The world, for scenarios.

    def changing(self, name: str) -> Callable[[ApiRequest], bool]:
        return lambda request: changing(request) and request.name == name

    def fault(self, matches: Callable[[ApiRequest], bool], fault: Planned, times: int | None = None) -> None:
        self.cluster.faults.add(matches, fault, times=times)

    def changed(self) -> set[str]:
        """The services that were changed so far by others than their admin."""
        fresh = self.cluster.audit.entries[self._seen :]
        self._seen += len(fresh)
        self._changed |= {
            each.name for each in fresh if each.resource == "deployments" and each.changed and ours(each)
        }
        return self._changed

    def applied(self, name: str) -> list[AuditEntry]:
        """The changes of a service's spec that others than its admin made, oldest first."""
        found = self.cluster.audit.changes(resource="deployments", name=name)
        return [each for each in found if ours(each)]

    async def fire(self, scenario: Scenario, names: Iterable[str], *, second: bool = False) -> None:
        """One webhook a service, as each is a group of its own."""
        await asyncio.gather(*(self.fleet.fire(scenario.alert(name, second=second)) for name in names))

    async def resolve(self, scenario: Scenario, names: Iterable[str], *, second: bool = False) -> None:
        alerts = [scenario.alert(name, second=second).resolved() for name in names]
        await asyncio.gather(*(self.fleet.fire(each) for each in alerts))

    async def in_state(self, rule: str, names: Sequence[str], state: str) -> None:
        """Return once each service's run of this rule has been seen in this state."""
        left = set(names)

        async def seen() -> bool:
            runs = await self.runs(rule, names)
            left.difference_update(name for name, run in runs.items() if run["state"] in (state, *_FINAL))
            return not left

        await eventually(seen, f"each run of {rule} is {state}", within=_PATIENCE)

    async def held(self, names: Sequence[str]) -> None:
        """Return once each service's run waits at the arrow that its scenario holds it at."""

        def all_held() -> bool:
            return all(self.strikes.is_held(name) for name in names)

        await eventually(all_held, "each run is held", within=_PATIENCE)

    async def ended(self, rule: str, names: Sequence[str]) -> dict[str, Story]:
        """The one run of this rule on each of the services, once all have ended."""

        async def all_ended() -> dict[str, Story]:
            runs = await self.runs(rule, names)
            waiting = {name: runs.get(name, {"state": "no run"})["state"] for name in names}
            waiting = {name: state for name, state in waiting.items() if state not in _FINAL}
            assert not waiting, waiting
            return runs

        return await eventually(all_ended, f"each run of {rule} has ended", within=_PATIENCE)

    async def runs(self, rule: str, names: Iterable[str]) -> dict[str, Story]:
        """The run of this rule on each of these services; more than one is a failure at once."""
        wanted, found = set(names), defaultdict[str, list[Story]](list)
        for run in await self._look(rule):
            found[run["target"].rpartition("/")[2]].append(run)
        twice = {name: runs for name, runs in found.items() if len(runs) > 1}
        if twice:
            raise RuntimeError(f"more than one run of {rule}: {twice}")
        return {name: runs[0] for name, runs in found.items() if name in wanted}

    async def _look(self, rule: str) -> list[Story]:
        """A rule's runs as they were a moment ago, however many ask: asking is no small part of the load."""
        async with self._looking:
            seen_at, found = self._seen_runs.get(rule, (0.0, []))
            if time.monotonic() - seen_at > _FRESH:
                found = await self.fleet.runs(rule)
                self._seen_runs[rule] = time.monotonic(), found
            return found

    async def answer(self, run: str, *, approve: bool) -> None:
        """Approve or deny what a run asks for, as a named person does, unless nothing is asked any more."""
        await self.fleet.answer(run, "approve" if approve else "deny")

    async def another_rulebook(self) -> str:
        """Put the same rules in force under another hash."""
        self._books += 1
        write_rules(self.fleet.folder, f"# edition {self._books}\n")
        return await self.fleet.reload()

    async def rulebook(self) -> str:
        """The hash of the rules in force."""
        return str((await self.fleet.get("/status"))["rulebook"]["hash"])

    async def make_unreadable(self, rulebook: str) -> None:
        """As if a version to come had written it."""
        text = '{"rules.yaml": "version: 99"}'
        statement = f"UPDATE rulebooks SET files = '{text}' WHERE hash = '{rulebook}'"
        await asyncio.to_thread(lambda: aside().do(execute(self.database, statement)))

    # A scenario, played for many services at once.

    async def play(
        self, scenario: Scenario, strikes: Sequence[Callable[[str], Strike]], at_once: int
    ) -> list[Strike]:
        """Break a service for each of the strikes, and see what must come of it; gives what was committed."""
        planned = [make(self._new_name()) for make in strikes]
        names = [each.service for each in planned]
        await self._deploy(scenario, names)
        runs: dict[str, Story] = {}
        seconds: dict[str, Story] = {}
        room = asyncio.Semaphore(at_once)

        async def strike(some: Sequence[Strike]) -> None:
            async with room:
                told, told_second = await self._strike(scenario, some)
            runs.update(told)
            seconds.update(told_second)

        groups = [planned] if scenario.together else [[each] for each in planned]
        async with asyncio.TaskGroup() as striking:
            for some in groups:
                striking.create_task(strike(some))
        self.cluster.faults.clear()
        await self.fleet.idle(within=_PATIENCE)
        self._check(scenario, runs, seconds)
        for name in names:
            # The more there is, the longer the stand-in's controllers look.
            self.cluster.delete("deployments", NAMESPACE, name)
        committed = {each.service for each in self.strikes.committed()}
        return [each for each in planned if each.service in committed]

    async def _strike(
        self, scenario: Scenario, planned: Sequence[Strike]
    ) -> tuple[dict[str, Story], dict[str, Story]]:
        """The runs of these services, and of the second rule's, once they have ended."""
        names = [each.service for each in planned]
        for strike in planned:
            scenario.prepare(self, strike.service)
            self.strikes.plan(strike)
        await self.fire(scenario, names)
        await scenario.drive(self, names)
        runs = await self.ended(scenario.name, names)
        seconds = await self.ended(scenario.name + SECOND, names) if scenario.second else {}
        for strike in planned:
            self.strikes.withdraw(strike)
        return runs, seconds

    def _new_name(self) -> str:
        self._services += 1
        return f"svc-{self._services}"

    async def _deploy(self, scenario: Scenario, names: Sequence[str]) -> None:
        for release in scenario.broken:
            for name in names:
                self.cluster.break_image(image(name, release))
        for release in range(1, scenario.releases + 1):
            for name in names:
                if release == 1:
                    self.cluster.deploy(NAMESPACE, name, image(name, 1), replicas=1)
                else:
                    self.cluster.set_image(NAMESPACE, name, image(name, release))
            await self.cluster.settled(_PATIENCE)

    # What must hold whatever was struck.

    def _check(self, scenario: Scenario, runs: Mapping[str, Story], seconds: Mapping[str, Story]) -> None:
        messages = self._messages()
        for name, run in runs.items():
            assert run["outcome"] in scenario.ends, (name, run)
            wanted = scenario.ends[run["outcome"]]
            if name in seconds:
                assert seconds[name]["outcome"] in scenario.second_ends, (name, seconds[name])
                wanted += scenario.second_ends[seconds[name]["outcome"]]
            applied = self.applied(name)
            attempts = Counter(str((each.after or {})["annotations"][ATTEMPT]) for each in applied)
            assert len(applied) == wanted, (name, run, attempts)
            assert all(count == 1 for count in attempts.values()), (name, attempts)
        for run in (*runs.values(), *seconds.values()):
            self._check_reports(run, messages[run["id"]])
        assert not self.fleet.faults, self.fleet.faults

    def _check_reports(self, run: Story, told: Sequence[Message]) -> None:
        heads = [each for each in told if "PAGE" not in each.text]
        assert any("⏳" not in each.text for each in heads), (run, [each.text for each in told])
        if run["outcome"] in _PAGED and run["reason"] != "denied":
            assert len(heads) < len(told), (run, "nobody was paged")

    def _messages(self) -> dict[str, list[Message]]:
        found = defaultdict[str, list[Message]](list)
        for message in self.slack.messages:
            for run in set(_OF_RUN.findall(written(message))):
                found[run].append(message)
        return found

    def duplicate_reports(self) -> list[str]:
        """The messages beyond a run's first report and first page, and beyond the first of each request."""
        spare: list[str] = []
        for told in self._messages().values():
            pages = [each.text for each in told if "PAGE" in each.text]
            # What is said in the thread below is no report, but what came of it later.
            heads = [each for each in told if "PAGE" not in each.text and each.thread_ts is None]
            requests = [each.text for each in heads if _REQUEST.search(written(each))]
            reports = [each.text for each in heads if not _REQUEST.search(written(each))]
            spare += pages[1:] + reports[1:] + list((Counter(requests) - Counter(set(requests))).elements())
        return spare


_FINAL = frozenset({"succeeded", "failed", "unknown", "observed", "cancelled", "refused", "expired"})


def ours(entry: AuditEntry) -> bool:
    """Whether a change is of the spec and not the admin's; annotations alone are tokens and marks."""
    return entry.user != ADMIN and _of_spec(entry)


def write_rules(folder: Path, edition: str = "", scenarios: Sequence[Scenario] = SCENARIOS) -> Path:
    """The rules of these scenarios, as a file."""
    file = folder / "rules.yaml"
    written_rules = [each for scenario in scenarios for each in scenario.rules()]
    file.write_text(edition + rules(*written_rules, brake=NO_BRAKE))
    return file


def write_people(folder: Path) -> Path:
    """The one person who may approve."""
    file = folder / "people.yaml"
    file.write_text(yaml.safe_dump([each.model_dump(mode="json", exclude_none=True) for each in PEOPLE]))
    return file


@asynccontextmanager
async def an_arena(
    folder: Path,
    database: str = "",
    lease_ttl: str = LEASE_TTL,
    scenarios: Sequence[Scenario] = SCENARIOS,
    **given: Any,
) -> AsyncIterator[Arena]:
    """Three replicas on one PostgreSQL, against the stand-in; ``given`` is the fleet's."""
    strikes = Strikes(folder / "strikes")
    database = database or server().make_database()
    async with StandIn(ready_after=0.005) as cluster, SlackReceiver() as slack:
        settings = {
            "STORE": database,
            "LEASE_TTL": lease_ttl,
            "RULES": str(write_rules(folder, scenarios=scenarios)),
            "SLACK_BOT_TOKEN": slack.token,
            "SLACK_API_URL": slack.api_url,
            "OPERATORS_FILE": str(write_people(folder)),
        }
        kubeconfig = str(cluster.kubeconfig(folder / "kubeconfig"))
        environment = {"KUBECONFIG": kubeconfig, "FAULTS": str(folder / "strikes")}
        async with Fleet(folder, settings, environment, **given) as fleet:
            yield Arena(cluster, slack, fleet, strikes, database)
