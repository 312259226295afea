"""Old rows go while the daemon runs; what is gone is told as missing, and what guards need is there."""

from __future__ import annotations

from tests.support.daemon import World
from tests.support.metrics import counted
from tests.support.processes import eventually
from tests.support.rulebooks import alert, rule, rules

SOON = {"bodies": "1s", "events": "2s", "decisions": "1h"}


async def test_what_is_old_goes_and_what_limits_need_stays(world: World) -> None:
    await world.start(rules(rule(limits={"cooldown": "10m"}), retention=SOON))
    firing = await world.break_service()
    await world.fire(firing)
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    before = await world.story(run)
    assert not before["pruned"]
    await world.resolve(firing)

    async def gone() -> bool:
        story = await world.story(run)
        assert story["pruned"]
        assert story["attempts"] == before["attempts"]
        assert story["decisions"] == before["decisions"]
        kinds = {event["kind"] for event in story["events"]}
        assert kinds == {"attempt.intended", "attempt.succeeded"}, kinds
        return True

    await eventually(gone, "the run's events are pruned", within=30)
    metrics = f"{world.url}/metrics"
    for shelf in ("bodies", "events"):
        await counted(world.http, metrics, "remediator_pruned_rows_total", lambda rows: rows > 0, shelf=shelf)
    for command in ("show", "explain"):
        code, out, _ = await world.cli(command, run["id"])
        assert code == 0
        assert "undetermined: pruned" in out
    await world.fire(alert(instance="10.0.0.2:80"))
    assert (await world.decided("cooldown"))["kind"] == "skip"
