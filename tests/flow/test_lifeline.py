"""A ledger that is gone says so itself to nobody: PagerDuty and Slack hear of it all the same."""

from __future__ import annotations

import resource

import pytest

from tests.support.daemon import World
from tests.support.processes import eventually
from tests.support.rulebooks import rules


@pytest.mark.timeout(120)
async def test_a_full_disk_pages_without_the_ledger_and_its_end_is_told(world: World) -> None:
    process = await world.spawn(rules(), **world.pager_environment)
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (64 * 1024, hard))

    async def refused() -> bool:
        return (await world.post(b'{"version":"4","alerts":[]}' + b" " * 4096))[0] == 503

    await eventually(refused, "a webhook is answered with 503", within=20)
    incident = await world.incident("triggered", within=60)
    assert incident.dedup_key.startswith("ledger:")
    assert incident.events[0].payload["severity"] == "critical"
    await world.paged("its ledger can't be reached")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    await world.incident("resolved", within=30)
    await world.told("its ledger is back")
    assert len(world.pagerduty.incidents) == 1


async def test_a_ledger_that_cannot_be_opened_at_the_start_is_told(world: World) -> None:
    world.write_rules(rules())
    process = world.launch(STORE="sqlite:////nowhere/ledger.db", **world.pager_environment)
    await eventually(lambda: not process.running, "it has given up", within=30)
    (incident,) = world.pagerduty.incidents
    assert "/nowhere does not exist" in incident.summary
    await world.paged("its ledger can't be reached")
