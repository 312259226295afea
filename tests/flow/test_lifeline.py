"""A ledger that is gone says so itself to nobody: PagerDuty and Slack hear of it all the same."""

from __future__ import annotations

import resource

import pytest

from tests.support.daemon import World
from tests.support.processes import eventually
from tests.support.rulebooks import alert, rules


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


async def test_a_ledger_that_cannot_be_opened_at_the_start_is_told_and_resolved_by_the_start_that_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(world.folder))
    folder = world.folder / "disk"
    ledger = {"STORE": f"sqlite:///{folder / 'ledger.db'}", **world.pager_environment}
    world.write_rules(rules())
    starts = [world.launch(**ledger) for _ in range(2)]
    await eventually(lambda: not any(each.running for each in starts), "both have given up", within=30)
    (incident,) = world.pagerduty.incidents
    assert f"{folder} does not exist" in incident.summary
    await world.paged("its ledger can't be reached")
    folder.mkdir()
    await world.spawn(**ledger)
    await world.incident("resolved", within=30)
    await world.told("its ledger is back")
    await world.stop()
    said = len(world.slack.messages), len(world.pagerduty.events)
    await world.spawn(**ledger)
    await world.fire(alert())
    await world.incident("triggered", number=2, within=30)
    assert [each for each in world.slack.messages[said[0] :] if "ledger" in each.text] == []
    assert [event.action for event in world.pagerduty.events[said[1] :]] == ["trigger"]
