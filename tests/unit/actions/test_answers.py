"""What a status and pods say, as tables: moments that a cluster passes through too fast to catch."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.actions.kubernetes.checks import readiness_answer, rollout_answer
from remediator.core.checks import Said
from remediator.core.targets import parse_target

CART = parse_target("deployment/shop/cart")
COMPLETE = {"observedGeneration": 4, "replicas": 3, "updatedReplicas": 3, "availableReplicas": 3}
EXPIRED = {"conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]}


@pytest.mark.parametrize(
    ("status", "said", "says"),
    [
        (COMPLETE, Said.YES, "3 of 3 replicas updated, 3 available"),
        (COMPLETE | {"observedGeneration": 3}, Said.NO, "not taken up yet"),
        (COMPLETE | EXPIRED, Said.NO, "exceeded its progress deadline"),
        (COMPLETE | {"replicas": 4}, Said.NO, "1 old left"),
        (COMPLETE | {"updatedReplicas": 2}, Said.NO, "2 of 3 replicas updated"),
        (COMPLETE | {"availableReplicas": 2}, Said.NO, "2 available"),
        (COMPLETE | {"replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}, Said.NO, "2 of 3"),
        ({}, Said.NO, "not taken up yet"),
    ],
    ids=["complete", "unseen", "expired", "old pods", "updating", "unavailable", "too few", "no status"],
)
def test_a_rollout_is_complete_only_when_everything_says_so(
    status: dict[str, Any], said: Said, says: str
) -> None:
    found = {"metadata": {"generation": 4}, "spec": {"replicas": 3}, "status": status}
    answer = rollout_answer(CART, found)
    assert answer.said is said
    assert says in answer.detail


def test_a_deployment_of_no_replicas_proves_nothing() -> None:
    found = {"metadata": {"generation": 1}, "spec": {"replicas": 0}, "status": {"observedGeneration": 1}}
    assert rollout_answer(CART, found).said is Said.ERROR


def pod(*, ready: bool = True, phase: str = "Running", leaving: bool = False) -> dict[str, Any]:
    metadata = {"name": "cart-1", **({"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {})}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": metadata, "status": {"phase": phase, "conditions": conditions}}


@pytest.mark.parametrize(
    ("pods", "ready"),
    [
        ([pod(), pod()], 2),
        ([pod(), pod(ready=False)], 1),
        ([pod(), pod(leaving=True)], 1),
        ([pod(), pod(phase="Failed")], 1),
        ([pod(), {"metadata": {"name": "new"}}], 1),
        ([], 0),
    ],
    ids=["ready", "unready", "leaving", "failed", "without a status", "none"],
)
def test_only_pods_that_stay_and_are_ready_count(pods: list[dict[str, Any]], ready: int) -> None:
    answer = readiness_answer(CART, pods, 2, 2)
    assert answer.evidence["ready"] == ready
    assert answer.said is (Said.YES if ready == 2 else Said.NO)
