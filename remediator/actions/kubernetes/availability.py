"""How many of a Deployment's replicas are ready, and how few may be while it changes. Pure.

The worst is reckoned from what its controller does: a rolling update takes ready pods down as far as
`maxUnavailable` lets it, and nobody knows before whether a new pod becomes ready.
https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#rolling-update-deployment
"""

from __future__ import annotations

from remediator.actions.kubernetes.objects import Json, replicas_of

#: What the API server puts where nothing is said.
_USUAL = "25%"


def ready_of(deployment: Json) -> int:
    """Ready replicas, of all its revisions."""
    return int((deployment.get("status") or {}).get("readyReplicas", 0))


def least_while_rolling(deployment: Json) -> int:
    """How few are ready at the worst moment of a rollout, as its strategy says."""
    strategy = deployment["spec"].get("strategy") or {}
    if strategy.get("type") == "Recreate":
        return 0
    kept = replicas_of(deployment) - _most_unavailable(deployment, strategy.get("rollingUpdate") or {})
    return min(ready_of(deployment), max(kept, 0))


def least_while_scaling(deployment: Json, wanted: int) -> int:
    """How few are ready at the worst moment of scaling to ``wanted``.

    A ReplicaSet gives up unready pods first. In the middle of a rollout there are several, each of which
    gives up its part of them: then all that go may be ready ones.
    """
    ready, status = ready_of(deployment), deployment.get("status") or {}
    if wanted >= replicas_of(deployment):
        return ready
    pods = int(status.get("replicas", 0))
    settled = pods == int(status.get("updatedReplicas", 0))
    if settled and int(status.get("observedGeneration", 0)) >= int(deployment["metadata"]["generation"]):
        return min(ready, wanted)
    return max(ready - (max(pods, replicas_of(deployment)) - wanted), 0)


def _most_unavailable(deployment: Json, rolling: Json) -> int:
    """As the controller resolves it: rounded down, and one if nothing may be added either."""
    wanted = replicas_of(deployment)
    most = _resolved(rolling.get("maxUnavailable", _USUAL), wanted, up=False)
    added = _resolved(rolling.get("maxSurge", _USUAL), wanted, up=True)
    return most if most or added else 1


def _resolved(written: int | str, of: int, *, up: bool) -> int:
    if isinstance(written, int):
        return written
    parts = of * int(written.rstrip("%"))
    return -(-parts // 100) if up else parts // 100
