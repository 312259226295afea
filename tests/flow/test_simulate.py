"""A daemon's history against other rules: decided alike by its own, and not guessed at by others."""

from __future__ import annotations

import json
from typing import Any

from tests.support.daemon import World
from tests.support.rulebooks import TARGET, rule, rules

CHECK = "kubernetes.rolled_out_within"
RECENT = {"check": CHECK, "with": {"window": "1h"}}


def a_book(window: str = "1h") -> str:
    """A rule whose fact does not hold, so that the one after it takes the alert."""
    old = {"check": CHECK, "with": {"window": window}, "expect": "no"}
    return rules(rule("stale", only_if=[old]), rule(only_if=[RECENT]), rule("after"))


async def simulated(world: World, *words: str) -> tuple[int, dict[str, Any]]:
    code, said, errors = await world.cli("simulate", "--since", "1h", "--json", *words)
    assert said, errors
    return code, json.loads(said)


async def test_a_daemons_past_is_decided_alike_by_its_own_rules_and_left_open_by_others(world: World) -> None:
    await world.start(a_book())
    one = await world.break_service()
    await world.fire(one)
    run = await world.run_ended()
    await world.resolve(one)
    (before,) = run["decisions"]
    assert [(each["rule"], each["target"]) for each in before["passed"]] == [("stale", TARGET)]

    code, same = await simulated(world, "--rules", str(world.rules_file))
    assert code == 0
    (episode,) = same["episodes"]
    (decision,) = episode["decisions"]
    assert [decision[key] for key in ("rule", "kind", "reason", "target", "mode")] == [
        before[key] for key in ("rule", "kind", "reason", "target", "mode")
    ]
    assert not episode["undetermined"]

    other = world.folder / "other.yaml"
    other.write_text(a_book("2h"))
    code, found = await simulated(world, "--rules", str(other), "--diff", str(world.rules_file))
    assert code == 1
    (difference,) = found["differences"]
    assert [each["rule"] for each in difference["after"]["unknown"]] == ["stale"]
    assert [each["rule"] for each in difference["after"]["decisions"]] == ["stale"]
    assert [each["rule"] for each in difference["after"]["otherwise"]] == ["rollback"]
