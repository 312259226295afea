"""A storm of alerts on a real daemon: it answers, its memory stays bounded, and every alert is decided."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediator.sandbox.alertmanager import Alert, webhook
from remediator.sandbox.faults import Hang, Late
from tests.support.daemon import World, changing
from tests.support.metrics import samples
from tests.support.processes import ManagedProcess, eventually
from tests.support.rulebooks import alert, page_only, rule, rules

ALERTS, POST, SENDERS = 20_000, 100, 8
#: Of each hundred alerts: those that need a fact, and those that belong to one run. No rule is for the rest.
LOOK, JOIN = 10, 20
#: What the storm may add at the most to the memory that the daemon had before (MiB).
MORE = 40
#: Seconds in which each webhook is answered in the midst of it. Alertmanager waits longer.
ANSWER = 10.0
#: Seconds in which all must be decided, on a machine that has other work.
DRAINED = 240.0

RULES = rules(
    page_only(
        "look",
        when={"matchers": ['kind="look"']},
        only_if=[{"check": "alert.resolved", "expect": "no"}],
        report=["log"],
    ),
    rule(
        "join",
        when={"matchers": ['kind="join"']},
        target="deployment/shop/cart",
        deadline="10m",
        report=["log"],
    ),
    defaults={"report": ["log"]},
)


def posts() -> Iterator[bytes]:
    for first in range(0, ALERTS, POST):
        yield json.dumps(webhook([_alert(n) for n in range(first, first + POST)])).encode()


def _alert(n: int) -> Alert:
    kind = "look" if n % 100 < LOOK else "join" if n % 100 < LOOK + JOIN else "other"
    return alert(f"service-{n}", instance=f"10.0.{n // 250}.{n % 250}:80", labels={"kind": kind})


def memory(process: ManagedProcess, what: str) -> float:
    """A line of the kernel's account of a process, in MiB."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) / 1024


async def metrics(world: World, name: str) -> Counter[str]:
    """The daemon's samples of this name, by reason if they have one."""
    found = await samples(world.http, f"{world.url}/metrics", name)
    return Counter({each.labels.get("reason", ""): int(each.value) for each in found})


@pytest.mark.timeout(2 * DRAINED)
async def test_memory_is_bounded_each_post_is_answered_and_every_alert_is_decided(world: World) -> None:
    """Alertmanager does not answer meanwhile, and a run that very many alerts join can't end."""
    process = await world.spawn(RULES)
    await world.break_service()
    world.cluster.faults.add(changing, Hang(), times=None)
    await world.fire(alert("first", labels={"kind": "join"}))
    await world.run_in("acting", "probing")
    answering = asyncio.Event()
    world.alertmanager.faults.add(lambda path: path.startswith("/api"), Late(answering), times=None)
    before = memory(process, "VmRSS")

    bodies, slowest = posts(), [0.0]

    async def send() -> None:
        for body in bodies:
            began = time.monotonic()
            status, said = await world.post(body)
            slowest[0] = max(slowest[0], time.monotonic() - began)
            assert status == 200, said

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    assert slowest[0] < ANSWER

    async def decided(**wanted: int) -> bool:
        process.require_running()
        seen = await metrics(world, "remediator_decisions_total")
        seen["joined"] += seen.pop("joined_late", 0)
        assert {reason: seen[reason] for reason in wanted} == wanted
        return True

    async def behind() -> bool:
        return (await metrics(world, "remediator_undecided_age_seconds"))[""] > 1

    others, joins = ALERTS * (100 - LOOK - JOIN) // 100, ALERTS * JOIN // 100
    await eventually(
        lambda: decided(no_rule=others, joined=joins), "all that need no fact are decided", within=DRAINED
    )
    assert (await world.get("/status"))["backlog"]["episodes"] > ALERTS * LOOK // 200, "the others wait"
    await eventually(behind, "how long they have waited is told")
    answering.set()

    async def drained() -> bool:
        process.require_running()
        backlog = (await world.get("/status"))["backlog"]
        assert (backlog["webhooks"], backlog["episodes"]) == (0, 0)
        return True

    await eventually(drained, "all are decided", within=DRAINED)

    async def counted() -> bool:
        return (await metrics(world, "remediator_decisions_total")).total() == ALERTS + 1

    await eventually(counted, "each alert is decided once")
    assert memory(process, "VmHWM") < before + MORE
