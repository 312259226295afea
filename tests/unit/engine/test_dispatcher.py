"""One episode that can't be decided holds up none of the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.actions.specs import CHECKS
from remediator.core.changes import Decided, DecisionRequest
from remediator.core.checks import CheckAnswer, CheckContext, Said
from remediator.core.ports.store import Judge, StoreError, StoreUnavailableError
from remediator.engine import dispatcher as engine_dispatcher
from remediator.engine.dispatcher import DispatcherLoop, LateLoop
from remediator.engine.intake import IntakeLoop
from remediator.store.sqlite import SqliteStore
from tests.support.processes import eventually
from tests.support.rulebooks import page_only, rules
from tests.unit.engine.parts import Parts, engine_parts, firing


class _Picky(SqliteStore):
    """A ledger that can't keep one episode's decision."""

    error: Exception = StoreError("the ledger refused a write: datatype mismatch")

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        if any(request.episode.alertname == "Bad" for request in requests):
            raise self.error
        return await super().decide(requests, judge)


class _Buggy(_Picky):
    error = KeyError("a bug")


class _Gone(_Picky):
    error = StoreUnavailableError("the disk is full")


async def _opened(parts: Parts) -> DispatcherLoop:
    await parts.send(firing("One"), firing("Bad"), firing("Two"))
    assert await IntakeLoop(parts.engine, parts.alarms).work()
    return DispatcherLoop(parts.engine, parts.alarms)


@pytest.mark.parametrize("kind", [_Picky, _Buggy])
async def test_the_others_are_decided_and_the_one_is_alarmed(tmp_path: Path, kind: type[SqliteStore]) -> None:
    async with engine_parts(tmp_path, kind) as parts:
        loop = await _opened(parts)
        assert not await loop.work()
        assert [row.episode for row in await parts.store.decisions(10)] == [3, 1]
        assert "episode 2" in (await parts.alarmed())["episode_undecided"]
        assert not await loop.work(), "it is set aside until its claim is over"


async def test_an_episode_whose_rules_can_not_be_found_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: Iterator[str | Exception] = iter(["one", KeyError("a bug"), "two"])

    def breaking(_: Any) -> str:
        answer = next(said)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(engine_dispatcher, "_no_rule", breaking)
    async with engine_parts(tmp_path) as parts:
        assert not await (await _opened(parts)).work()
        assert [row.episode for row in await parts.store.decisions(10)] == [3, 1]
        assert "episode_undecided" in await parts.alarmed()


class _Racing(SqliteStore):
    """A ledger whose answer to a deferral is overtaken by the dispatcher's next look for work."""

    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def decide(self, requests: Sequence[DecisionRequest], judge: Judge) -> list[Decided]:
        decided = await super().decide(requests, judge)
        meanwhile = self.meanwhile
        if requests and meanwhile is not None:
            self.meanwhile = None
            await asyncio.sleep(0.3)
            await meanwhile()
        return decided


async def test_a_deferred_episode_that_is_handed_out_at_once_is_looked_at_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.engine.facts.GATHER_TIMEOUT", timedelta(seconds=0.1))
    when = {"matchers": ['alertname="Down"'], "firing_for": "200ms"}
    young = page_only(when=when, only_if=[{"check": "kubernetes.gitops_managed"}])
    async with engine_parts(tmp_path, _Racing, rules(young)) as parts:
        store = parts.store
        assert isinstance(store, _Racing)
        labels = {"namespace": "shop", "job": "cart"}
        await parts.send(firing(labels=labels, startsAt=datetime.now(UTC).isoformat()))
        assert await IntakeLoop(parts.engine, parts.alarms).work()
        loop = DispatcherLoop(parts.engine, parts.alarms)
        store.meanwhile = loop.work
        await loop.work()

        async def decided_again() -> bool:
            return len(await store.decisions(10)) == 2 or bool(await parts.alarmed())

        await eventually(decided_again, "it was looked at again", within=5)
        await loop.close()


async def test_a_ledger_that_is_gone_is_no_episodes_fault(tmp_path: Path) -> None:
    async with engine_parts(tmp_path, _Gone) as parts:
        loop = await _opened(parts)
        with pytest.raises(StoreUnavailableError):
            await loop.work()
        assert await parts.alarmed() == {}


class _Slow:
    """A check that answers once it is let; counts who waits for it at the same time."""

    spec = CHECKS["kubernetes.gitops_managed"]

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.waiting = self.most = self.asked = 0

    async def look(self, _context: CheckContext) -> CheckAnswer:
        self.waiting, self.asked = self.waiting + 1, self.asked + 1
        self.most = max(self.most, self.waiting)
        await self.let.wait()
        self.waiting -= 1
        return CheckAnswer(Said.YES, "after a while")


async def test_facts_that_nobody_answers_fill_no_memory_and_hold_up_none_that_need_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many are looked at as there is room for; the others wait in the ledger, not in tasks."""
    monkeypatch.setattr(engine_dispatcher, "_AT_ONCE", 4)
    monkeypatch.setattr(engine_dispatcher, "_BATCH", 25)
    looking = page_only("look", only_if=[{"check": _Slow.spec.name}], when={"matchers": ['look="yes"']})
    text = rules(looking, page_only("quick", when={"matchers": ['look=""']}))
    async with engine_parts(tmp_path, text=text) as parts:
        slow = _Slow()
        dispatcher = DispatcherLoop(replace(parts.engine, checks={_Slow.spec.name: slow}), parts.alarms)
        where = {"namespace": "shop", "job": "cart"}
        alerts = [firing(f"A{n}", labels={**where, "look": "yes" if n % 2 else ""}) for n in range(200)]
        await parts.send(*alerts)
        assert await IntakeLoop(parts.engine, parts.alarms).work()
        loops = [asyncio.create_task(loop.run()) for loop in (dispatcher, LateLoop(dispatcher))]

        async def decided(rule: str, count: int) -> bool:
            found = [row for row in await parts.store.decisions(1000) if row.rule == rule]
            assert len(found) == count, len(found)
            return True

        await eventually(lambda: decided("quick", 100), "those that need no facts are decided")
        await eventually(lambda: slow.waiting == 4, "as many are looked at as there is room for")
        facts = [task for task in asyncio.all_tasks() if task.get_name().startswith("facts")]
        assert len(facts) == 4
        slow.let.set()
        await eventually(lambda: decided("look", 100), "the others are decided too")
        assert (slow.most, slow.asked) == (4, 100)
        assert (await parts.store.backlog()).episodes == 0
        for loop in loops:
            loop.cancel()
        await dispatcher.close()
