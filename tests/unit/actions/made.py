"""Deployments and ReplicaSets as the API server shows them, made up for pure tests."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from remediator.actions.kubernetes.objects import (
    FLED_FROM,
    RESTARTED_AT,
    REVISION,
    REVISION_HISTORY,
    TEMPLATE_HASH,
    UNDONE_TO,
)

Made = dict[str, Any]


def template(image: str, *, restarted: str = "") -> Made:
    noted = {"annotations": {RESTARTED_AT: restarted}} if restarted else {}
    return {
        "metadata": {"creationTimestamp": None, "labels": {"app": "cart"}, **noted},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }


def replica_set(
    number: int | None,
    image: str,
    *,
    fled_by: str = "",
    history: str = "",
    made: str = "2026-01-01T00:00:00Z",
    restarted: str = "",
) -> Made:
    noted = {
        REVISION: str(number),
        REVISION_HISTORY: history,
        FLED_FROM: f"{fled_by} cart-{number}" if fled_by else "",
    }
    copied = deepcopy(template(image, restarted=restarted))
    copied["metadata"]["labels"][TEMPLATE_HASH] = f"hash{number}"
    return {
        "metadata": {
            "name": f"cart-{number}",
            "uid": f"uid-{number}",
            "creationTimestamp": made,
            "annotations": {key: value for key, value in noted.items() if value and number is not None},
        },
        "spec": {"template": copied},
    }


def deployment(image: str, *, restarted: str = "", undone_to: str = "", moved: str = "") -> Made:
    conditions = [{"type": "Progressing", "status": "True", "lastUpdateTime": moved}] if moved else []
    return {
        "metadata": {"name": "cart", "annotations": {UNDONE_TO: undone_to} if undone_to else {}},
        "spec": {"template": template(image, restarted=restarted)},
        "status": {"conditions": conditions},
    }
