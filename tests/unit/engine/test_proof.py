"""Law 9: success is what the checks say for long enough; missing evidence is unknown, and never a no."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import cast

import pytest

from remediator.core.checks import CheckAnswer, CheckContext, Fact, Said, these
from remediator.core.ports.actions import CheckSpec
from remediator.core.ports.store import Store
from remediator.core.rules import Condition, Expect, Verify
from remediator.engine.facts import Facts, render
from remediator.engine.proof import Finding, Proof, Proven
from tests.unit.core.values import run
from tests.unit.engine.fast import START, ClockStore, in_no_time, passed

WITHIN = timedelta(seconds=20)
ENDED = run()


class Scripted:
    """Says one thing after the other, each from its second on."""

    def __init__(self, name: str, script: dict[float, str]) -> None:
        self._script = script
        self.spec = CheckSpec(name, name, frozenset(), lambda params, _: dict(params), {})

    async def look(self, _context: CheckContext) -> CheckAnswer:
        word = [said for since, said in self._script.items() if since <= passed()][-1]
        if word == "hangs":
            await asyncio.sleep(3600)
        if word == "slowly":
            await asyncio.sleep(5)
            word = "yes"
        if word == "raises":
            raise ZeroDivisionError
        return CheckAnswer(Said(word), f"at {passed():.1f}")


def watched(
    *scripts: dict[float, str],
    stable: float = 0,
    expect: Expect = Expect.YES,
    stop_at: float | None = None,
    deadline: float = 900,
) -> tuple[Finding, float, list[str]]:
    """The finding, when it was come to, and each answer that was told."""
    told: list[str] = []

    async def scene() -> tuple[Finding, float]:
        store = cast("Store", ClockStore())
        checks = {f"c{n}": Scripted(f"c{n}", script) for n, script in enumerate(scripts)}
        stopping = asyncio.Event()
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, stopping.set)

        async def tell(fact: Fact) -> None:
            told.append(f"{fact.check} {fact.answer.said.value}")

        verify = Verify(
            tuple(Condition(name, {}, expect) for name in checks), WITHIN, timedelta(seconds=stable)
        )
        verifying = replace(run(), verifying_since=START, deadline_at=START + timedelta(seconds=deadline))
        proof = Proof(store, Facts(store, checks), tell)
        return await proof.watch(verifying, verify, these(), {}, stopping), round(passed(), 3)

    finding, at = in_no_time(scene())
    return finding, at, told


def test_a_yes_at_once_is_proof_when_nothing_has_to_be_stable() -> None:
    assert watched({0: "yes"})[:2] == (Finding(Proven.PROVEN, "c0 yes (at 0.0)"), 0)


def test_a_no_is_expected_where_the_rule_says_so() -> None:
    assert watched({0: "no"}, expect=Expect.NO)[0].verdict is Proven.PROVEN
    assert watched({0: "error"}, expect=Expect.NO)[0].verdict is Proven.UNPROVEN


@pytest.mark.parametrize("break_", ["no", "error", "raises"])
def test_one_break_begins_the_stable_time_anew(break_: str) -> None:
    unbroken = watched({0: "yes"}, stable=6)
    broken = watched({0: "yes", 4: break_, 4.5: "yes"}, stable=6)
    assert unbroken[0].verdict is broken[0].verdict is Proven.PROVEN
    assert 6 <= unbroken[1] < 7
    assert 10.4 <= broken[1] < 12


def test_the_time_that_a_look_takes_is_no_stable_time() -> None:
    """What it saw held at some moment of it, perhaps only at its end."""
    finding, at, _ = watched({0: "slowly", 1: "yes"}, stable=4)
    assert finding.verdict is Proven.PROVEN
    assert 9 <= at < 10


def test_all_checks_have_to_say_yes_at_the_same_time() -> None:
    finding, at, _ = watched({0: "yes", 8: "no"}, {0: "no", 8: "yes"})
    assert (finding.verdict, at) == (Proven.DISPROVEN, 20)
    assert "c0 no" in finding.detail
    assert "c1" not in finding.detail


@pytest.mark.parametrize(
    ("scripts", "stable", "verdict"),
    [
        ([{0: "no"}], 0, Proven.DISPROVEN),
        ([{0: "error"}], 0, Proven.UNPROVEN),
        ([{0: "no"}, {0: "error"}], 0, Proven.UNPROVEN),
        ([{0: "raises"}], 0, Proven.UNPROVEN),
        ([{0: "error", 19: "no"}], 0, Proven.DISPROVEN),
        ([{0: "no", 18: "yes"}], 5, Proven.UNPROVEN),
        ([{0: "yes", 19: "error"}], 60, Proven.UNPROVEN),
        ([], 0, Proven.UNPROVEN),
    ],
)
def test_at_the_end_an_error_hides_a_no_and_a_late_yes_is_no_proof(
    scripts: list[dict[float, str]], stable: float, verdict: Proven
) -> None:
    finding, at, _ = watched(*scripts, stable=stable)
    assert finding.verdict is verdict
    assert finding.detail
    assert at == 20


def test_a_check_that_hangs_is_an_error_and_not_the_end() -> None:
    finding, at, _ = watched({0: "hangs"})
    assert finding.verdict is Proven.UNPROVEN
    assert at <= 30


def test_the_run_s_deadline_ends_the_proof_too() -> None:
    finding, at, _ = watched({0: "no"}, deadline=7)
    assert (finding.verdict, at) == (Proven.DISPROVEN, 7)


def test_asked_to_stop_it_comes_to_nothing() -> None:
    finding, at, _ = watched({0: "no"}, stop_at=3)
    assert (finding.verdict, at) == (Proven.PARKED, 3)


def test_an_answer_is_told_when_it_changes() -> None:
    told = watched({0: "no", 3: "yes"}, {0: "no", 6: "error", 9: "yes"})[2]
    assert told == ["c0 no", "c1 no", "c0 yes", "c1 error", "c1 yes"]


def test_parameters_are_rendered_at_any_depth_and_everything_else_is_left() -> None:
    values = {"labels": {"job": "cart"}}
    params = {"a": "{{ labels.job }}", "b": [{"c": "x-{{ labels.job }}"}, 3], "d": None, "e": True}
    assert render(params, values) == {"a": "cart", "b": [{"c": "x-cart"}, 3], "d": None, "e": True}


def facts(*said: str | dict[float, str]) -> tuple[list[str], float]:
    """What gathering asked, each answer of which is the one that is expected, or not."""

    async def scene() -> tuple[list[str], float]:
        store = cast("Store", ClockStore())
        scripts = [{0.0: word} if isinstance(word, str) else word for word in said]
        checks = {f"c{n}": Scripted(f"c{n}", script) for n, script in enumerate(scripts)}
        conditions = [Condition(name) for name in [*checks, "missing"]]
        gathered = await Facts(store, checks).gather(conditions, ENDED.target, these(), {})
        return [fact.answer.said.value for fact in gathered], passed()

    return in_no_time(scene())


def test_the_first_fact_that_does_not_hold_ends_the_asking() -> None:
    assert facts("yes", "no", "yes") == (["yes", "no"], 0)


@pytest.mark.parametrize("word", ["error", "raises", "hangs"])
def test_an_error_is_asked_again_for_a_while_and_never_becomes_a_no(word: str) -> None:
    answers, took = facts("yes", word, "yes")
    assert answers == ["yes", "error"]
    assert took <= 21


def test_an_error_that_passes_stops_nothing() -> None:
    answers, took = facts({0: "error", 2.5: "yes"}, "no")
    assert (answers, took) == (["yes", "no"], 3)


def test_a_check_that_this_daemon_lacks_is_in_error() -> None:
    assert facts("yes")[0] == ["yes", "error"]
