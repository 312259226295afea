"""Why an alert, an episode, a run or a rule went as it did: every matcher, fact and guard with its value."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from typing import Any

from tests.support.daemon import World, changing
from tests.support.processes import eventually
from tests.support.rulebooks import SERVICE, TARGET, alert, rule, rules

RECENT = {"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}}
OLD = {"check": "kubernetes.rolled_out_within", "with": {"window": "1h"}, "expect": "no"}


def a_book() -> str:
    """Three rules: one for another job, one whose fact does not hold, and one that takes the alert."""
    return rules(
        rule("elsewhere", when={"matchers": ['alertname="ServiceDown"', 'job="other"', 'zone!=""']}),
        rule("stale", only_if=[OLD]),
        rule(only_if=[RECENT], limits={"rate": ["3/1h"], "targets": "2/10m"}),
        rule("after"),
        defaults={"severity": "P2", "limits": {"rate": ["9/1h"], "cooldown": "15m"}},
    )


async def explained(world: World, *of: str) -> dict[str, Any]:
    code, said, errors = await world.cli("explain", *of, "--json")
    assert code == 0, errors
    found: dict[str, Any] = json.loads(said)
    return found


def standings(asked: dict[str, Any]) -> dict[str, str]:
    return {each["rule"]: each["standing"] for each in asked["rules"]}


async def repaired(world: World) -> dict[str, Any]:
    await world.start(a_book())
    await world.fire(await world.break_service())
    return await world.run_ended()


async def test_an_alert_is_found_by_its_name_labels_or_fingerprint(world: World) -> None:
    run = await repaired(world)
    (episode,) = run["episodes"]
    for of in (
        ("ServiceDown",),
        ("ServiceDown", f"job={SERVICE}"),
        (f'{{job="{SERVICE}", severity=~"crit.*"}}',),
        (episode["fingerprint"],),
        (episode["fingerprint"][:6],),
    ):
        found = await explained(world, *of)
        assert found["explains"] == "alert", of
        assert [each["id"] for each in found["episodes"]] == [episode["id"]], of


async def test_an_alert_tells_what_every_rule_made_of_it(world: World) -> None:
    run = await repaired(world)
    (story,) = (await explained(world, "ServiceDown"))["episodes"]
    (asked,) = story["asked"]
    assert asked["kept"] is True
    assert standings(asked) == {
        "elsewhere": "matchers",
        "stale": "facts",
        "rollback": "decided",
        "after": "taken",
    }
    elsewhere, stale, _, _ = asked["rules"]
    assert [(each["matcher"], each["value"], each["holds"]) for each in elsewhere["matchers"]] == [
        ('alertname="ServiceDown"', "ServiceDown", True),
        ('job="other"', SERVICE, False),
        ('zone!=""', None, False),
    ]
    assert [(each["said"], each["holds"]) for each in stale["facts"]] == [("yes", False)]
    assert [each["id"] for each in story["runs"]] == [run["id"]]


async def test_an_episode_is_explained_for_people_with_every_value(world: World) -> None:
    run = await repaired(world)
    code, said, errors = await world.cli("explain", str(run["episode"]))
    assert code == 0, errors
    for text in (
        "alert ServiceDown from default",
        "elsewhere: a matcher did not hold",
        f"job=\"other\": saw '{SERVICE}'",
        'zone!="": no such label',
        "stale: its matchers held, but a fact did not",
        "fact   yes      kubernetes.rolled_out_within, expected no",
        "after: its matchers hold, but a rule before it had taken the episode",
        "decided by rollback to run: matched",
        "rate: 0 of 3/1h",
        run["id"],
    ):
        assert text in said, (text, said)


async def test_a_run_is_explained_with_the_rules_that_did_not_take_its_alert(world: World) -> None:
    run = await repaired(world)
    found = await explained(world, run["id"][:5])
    assert (found["explains"], found["id"], found["outcome"]) == ("run", run["id"], "succeeded")
    assert standings(found["asked"][0])["stale"] == "facts"
    assert found["events"] == run["events"]


async def test_a_rule_is_explained_by_its_decisions_its_misses_and_what_holds_it_now(world: World) -> None:
    run = await repaired(world)
    assert (await world.cli("pause", "--rule", "rollback", "--why", "looking into it"))[0] == 0
    found = await explained(world, "rollback")
    assert (found["explains"], found["rule"], found["in_force"], found["mode"]) == (
        "rule",
        "rollback",
        True,
        "live",
    )
    assert [(each["kind"], each["reason"], each["count"]) for each in found["counts"]] == [
        ("run", "matched", 1)
    ]
    assert [each["run"] for each in found["decisions"]] == [run["id"]]
    (now,) = found["guards"]
    said = {each["guard"]: (each["answer"], each["detail"]) for each in now["guards"]}
    assert now["target"] == TARGET
    assert said["rate"] == ("allows", "1 of 3/1h")
    assert said["targets"] == ("allows", "0 others of 2/10m")
    assert said["cooldown"][0] == "refuses"
    assert said["pause"] == ("refuses", "paused by operator: looking into it")
    assert [each["why"] for each in found["pauses"]] == ["looking into it"]
    assert (found["not_taken"], found["from_defaults"]) == ([], ["severity", "limits.cooldown"])

    missed = await explained(world, "elsewhere")
    assert (missed["counts"], missed["pauses"], missed["guards"]) == ([], [], [])
    (one,) = missed["not_taken"]
    assert one["episode"]["id"] == run["episode"]
    assert [each["holds"] for each in one["account"]["matchers"]] == [True, False, False]
    code, text, errors = await world.cli("explain", "elsewhere")
    assert code == 0, errors
    assert "from `defaults`: severity, limits.cooldown, limits.rate\n" in text
    assert f"job=\"other\": saw '{SERVICE}'" in text


async def test_a_rule_that_is_gone_is_explained_by_what_it_decided(world: World) -> None:
    await repaired(world)
    world.write_rules(rules(rule("another")))
    assert (await world.cli("reload"))[0] == 0
    found = await explained(world, "rollback")
    assert (found["in_force"], [each["count"] for each in found["counts"]]) == (False, [1])
    code, text, errors = await world.cli("explain", "rollback")
    assert code == 0, errors
    assert "not in the rulebook in force" in text


async def test_what_its_rulebook_would_say_is_undetermined_once_that_is_not_kept(world: World) -> None:
    run = await repaired(world)
    world.write_rules(rules(rule("another")))
    assert (await world.cli("reload"))[0] == 0
    await world.stop()
    with contextlib.closing(sqlite3.connect(world.ledger)) as ledger, ledger:
        ledger.execute("DELETE FROM rulebooks WHERE hash = ?", (run["rulebook"],))
    await world.start()
    found = await explained(world, str(run["episode"]))
    (asked,) = found["asked"]
    assert (asked["kept"], standings(asked)) == (False, {"rollback": "decided"})
    code, said, errors = await world.cli("explain", str(run["episode"]))
    assert code == 0, errors
    assert "undetermined" in said


async def test_of_decisions_that_put_an_alert_off_again_and_again_people_see_the_last(world: World) -> None:
    await world.start(rules(rule(), rule("other"), brake={"parallel": 1}))
    held = world.hold(changing)
    await world.fire(await world.break_service())
    await held.struck()
    await world.fire(alert("other", instance="later"))

    async def put_off() -> list[dict[str, Any]]:
        found = await explained(world, "ServiceDown", "job=other")
        made: list[dict[str, Any]] = found["episodes"][0]["decisions"]
        assert len(made) >= 3
        return made

    made = await eventually(put_off, "it is put off again and again", within=20)
    assert {(each["kind"], each["reason"]) for each in made} == {("defer", "parallel")}
    code, said, errors = await world.cli("explain", "ServiceDown", "job=other")
    assert code == 0, errors
    assert said.count("decided by rollback to defer: parallel") == 1
    assert re.search(r"the last of \d+ alike since", said)
    held.release()


async def test_an_alert_that_has_not_fired_for_long_enough_says_so(world: World) -> None:
    waiting = {"matchers": ['alertname="ServiceDown"'], "firing_for": "1h"}
    await world.start(rules(rule(when=waiting)))
    await world.fire(alert())
    await world.decided("firing_for")
    (story,) = (await explained(world, "ServiceDown"))["episodes"]
    assert [each["reason"] for each in story["decisions"]] == ["firing_for"]
    assert standings(story["asked"][0]) == {"rollback": "decided"}


async def test_what_nobody_knows_is_exit_1_and_names_what_was_looked_for(world: World) -> None:
    await repaired(world)
    for of, said in (
        ("ServiceDwn", "there is no run, episode, rule or alert 'ServiceDwn'; did you mean ServiceDown?"),
        ("99", "there is no run, episode, rule or alert '99'"),
        ("job=nothing", "there is no run, episode, rule or alert 'job=nothing'"),
        ("job=~(", "there is no run, episode, rule or alert 'job=~('"),
        ("r-nothing", "there is no run r-nothing"),
    ):
        code, output, errors = await world.cli("explain", of)
        assert (code, output) == (1, "")
        assert said in errors
        assert "name a run by its id" in errors


async def test_the_decisions_of_one_rule_are_listed(world: World) -> None:
    await repaired(world)
    await world.fire(alert("other", labels={"zone": "a"}))
    await eventually(lambda: world.get("/decisions?rule=elsewhere"), "the other rule decided")
    for name in ("rollback", "elsewhere"):
        code, said, errors = await world.cli("history", "--decisions", "--rule", name, "--json")
        assert code == 0, errors
        assert {each["rule"] for each in json.loads(said)} == {name}
