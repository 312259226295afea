"""A limit that is said never to bite refuses nothing, though alerts come without end."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remediator.core.rules import Limits, Rate
from tests.support.rulebooks import rule, rules
from tests.unit.rulebook.support import of_text

# Other tests share the machine, so that no single example has a time of its own.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MINUTE = timedelta(minutes=1)
HOURS = 4 * 60
rates = st.builds(Rate, st.integers(1, 5), st.sampled_from([5, 10, 20, 60]).map(lambda each: each * MINUTE))


def refusals(limits: Limits) -> set[Rate]:
    """The rates that alone refused a run, with an alert in every minute, each run done at once."""
    ran: list[int] = []
    found = set()
    for now in range(HOURS):
        if ran and (now - ran[-1]) * MINUTE < limits.cooldown:
            continue
        full = {
            rate for rate in limits.rate if sum((now - at) * MINUTE < rate.window for at in ran) >= rate.count
        }
        found |= full if len(full) == 1 else set()
        if not full:
            ran.append(now)
    return found


def warned(limits: Limits) -> set[str]:
    written = {"cooldown": f"{limits.cooldown // MINUTE}m", "rate": [str(rate) for rate in limits.rate]}
    text = rules(rule(target="deployment/shop/{{ labels.job }}", limits=written))
    messages = [each.message for each in of_text(text).warnings]
    return {each.split("`")[1] for each in messages if "never bites" in each}


@UNHURRIED
@given(st.lists(rates, min_size=1, max_size=3, unique=True), st.integers(0, 30))
def test_a_rate_that_never_bites_refuses_nothing(some: list[Rate], cooldown: int) -> None:
    limits = Limits(cooldown * MINUTE, tuple(some))
    assert {str(rate) for rate in refusals(limits)}.isdisjoint(warned(limits))


@UNHURRIED
@given(rates, st.integers(1, 30))
def test_one_that_refuses_nothing_never_bites(rate: Rate, cooldown: int) -> None:
    """By itself, beside a cooldown."""
    limits = Limits(cooldown * MINUTE, (rate,))
    assert warned(limits) == ({str(rate)} if not refusals(limits) else set())
