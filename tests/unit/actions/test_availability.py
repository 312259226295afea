"""How few replicas are ready at the worst moment: by strategy, as the Deployment controller resolves it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from remediator.actions.kubernetes.availability import least_while_rolling, least_while_scaling, ready_of
from tests.unit.actions.made import Made

ROLLING: dict[str, tuple[int, int, dict[str, Any] | None, int]] = {
    "the usual of four": (4, 4, None, 3),
    "the usual of three": (3, 3, None, 3),
    "the usual of one": (1, 1, None, 1),
    "some are not ready": (4, 2, None, 2),
    "none is ready": (4, 0, None, 0),
    "a number": (5, 5, {"maxUnavailable": 2, "maxSurge": 0}, 3),
    "more than there are": (2, 2, {"maxUnavailable": 5}, 0),
    "a percentage, rounded down": (5, 5, {"maxUnavailable": "50%"}, 3),
    "all of them": (5, 5, {"maxUnavailable": "100%"}, 0),
    "none, and none more": (4, 4, {"maxUnavailable": 0, "maxSurge": 0}, 3),
    "none, and a few more": (4, 4, {"maxUnavailable": 0, "maxSurge": "1%"}, 4),
    "rounded down to none, and none more": (3, 3, {"maxUnavailable": "10%", "maxSurge": 0}, 2),
}


def made(
    wanted: int,
    ready: int,
    rolling: dict[str, Any] | None = None,
    *,
    recreate: bool = False,
    status: Mapping[str, int] | None = None,
) -> Made:
    strategy: dict[str, Any] = {"type": "Recreate"} if recreate else {"type": "RollingUpdate"}
    if rolling is not None:
        strategy["rollingUpdate"] = rolling
    known = {"replicas": wanted, "updatedReplicas": wanted, "observedGeneration": 2}
    return {
        "metadata": {"name": "cart", "generation": 2},
        "spec": {"replicas": wanted, "strategy": strategy},
        "status": {**known, "readyReplicas": ready, **(status or {})},
    }


@pytest.mark.parametrize("name", ROLLING)
def test_a_rollout_takes_down_what_its_strategy_lets_it(name: str) -> None:
    wanted, ready, rolling, least = ROLLING[name]
    assert least_while_rolling(made(wanted, ready, rolling)) == least


def test_recreating_takes_all_down() -> None:
    assert least_while_rolling(made(3, 3, recreate=True)) == 0


def test_what_is_not_said_is_as_the_api_server_has_it() -> None:
    bare: Made = {"metadata": {"name": "cart", "generation": 1}, "spec": {}}
    assert (ready_of(bare), least_while_rolling(bare), least_while_scaling(bare, 0)) == (0, 0, 0)


@pytest.mark.parametrize(
    ("ready", "wanted", "status", "least"),
    [
        (4, 6, {}, 4),
        (4, 4, {}, 4),
        (4, 1, {}, 1),
        (4, 0, {}, 0),
        (2, 3, {}, 2),
        (2, 1, {}, 1),
        (4, 3, {"updatedReplicas": 2}, 3),
        (4, 2, {"updatedReplicas": 2, "replicas": 5}, 1),
        (2, 1, {"updatedReplicas": 2}, 0),
        (3, 2, {"observedGeneration": 1}, 1),
        (3, 9, {"updatedReplicas": 2}, 3),
    ],
    ids=[
        "up",
        "as it is",
        "down",
        "to none",
        "unready ones go first",
        "and then ready ones",
        "in a rollout",
        "in a rollout with more pods than wanted",
        "in a rollout, all that are ready may go",
        "before its last change is taken up",
        "up in a rollout",
    ],
)
def test_scaling_down_may_take_ready_ones(
    ready: int, wanted: int, status: dict[str, int], least: int
) -> None:
    assert least_while_scaling(made(4, ready, status=status), wanted) == least
