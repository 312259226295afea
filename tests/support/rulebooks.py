"""What tests of the daemon write: rule files, alerts, and the names of what they are about."""

from __future__ import annotations

from typing import Any, Final

import yaml

from remediator.sandbox.alertmanager import Alert

NAMESPACE: Final = "shop"
SERVICE: Final = "cart"
TARGET: Final = f"deployment/{NAMESPACE}/{SERVICE}"


def image(name: str, version: int) -> str:
    """The image of a service's n-th release; the third is the one that crashes."""
    return f"registry.example/{name}:{version}"


def rule(name: str = "rollback", /, **fields: Any) -> dict[str, Any]:
    """A live rule that rolls the job's Deployment back and proves it; `fields` replace or add keys."""
    return {
        "name": name,
        "summary": "Undo the last rollout",
        "mode": "live",
        "when": {"matchers": ['alertname="ServiceDown"']},
        "target": "deployment/{{ labels.namespace }}/{{ labels.job }}",
        "deadline": "30s",
        "steps": [{"id": "undo", "action": "kubernetes.rollout_undo", "timeout": "5s"}],
        "verify": {"within": "8s", "checks": [{"check": "kubernetes.rolled_out"}]},
        "report": ["slack:#incidents"],
        **fields,
    }


def rules(*written: dict[str, Any], **policy: Any) -> str:
    """The text of a rule file."""
    return yaml.safe_dump({"rules": list(written or (rule(),)), **policy}, sort_keys=False)


def step(action: str = "kubernetes.rollout_undo", **fields: Any) -> dict[str, Any]:
    """One step of a rule; `with_` are the action's parameters."""
    params = {"with": fields.pop("with_")} if "with_" in fields else {}
    return {"action": action, "timeout": "5s", **params, **fields}


def alert(name: str = SERVICE, *, instance: str = "10.0.0.1:80", **given: Any) -> Alert:
    """ServiceDown of one instance; `labels` add to its labels, other arguments are the Alert's own."""
    labels = {
        "alertname": "ServiceDown",
        "namespace": NAMESPACE,
        "job": name,
        "instance": instance,
        "severity": "critical",
        **given.pop("labels", {}),
    }
    return Alert(labels=labels, **{"annotations": {"summary": f"{name} is down"}, **given})


def page_only(name: str = "page", /, **fields: Any) -> dict[str, Any]:
    """A rule that tells people and changes nothing."""
    made = rule(name, **{"steps": [], "summary": "A person has to look", **fields})
    del made["verify"], made["mode"]
    return made
