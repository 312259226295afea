"""What the API server makes of an object on its way into the store: defaults, rules of the kind, generation.

Defaults and messages are kube-apiserver's for the fields that the stand-in knows; unknown fields are kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from remediator.sandbox.kubernetes.resources import DEPLOYMENTS, LEASES, PODS, REPLICA_SETS, Resource
from remediator.sandbox.kubernetes.selectors import selects
from remediator.sandbox.kubernetes.status import Cause, invalid

Object = dict[str, Any]

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LONGEST_NAME = 253
_PERCENT = re.compile(r"[0-9]+%")


def prepare_create(resource: Resource, created: Object) -> None:
    """Default a new object in place; StatusError 422 when it breaks its kind's rules."""
    _default(resource, created)
    if "status" in resource.subresources:
        created["status"] = {}
    if resource in (DEPLOYMENTS, REPLICA_SETS):
        created["metadata"]["generation"] = 1
    _refuse(resource, created, [*_name(created), *_rules(resource, created)])


def prepare_update(resource: Resource, old: Object, new: Object, subresource: str) -> None:
    """Default a changed object in place, keeping what may not change here; StatusError 422 by the rules."""
    if subresource == "status":
        _keep(old, new, "spec")
        if resource is DEPLOYMENTS:
            _keep(old["metadata"], new["metadata"], "labels")
    elif "status" in resource.subresources:
        _keep(old, new, "status")
    _default(resource, new)
    _refuse(resource, new, [*_rules(resource, new), *_immutable(resource, old, new)])
    if resource in (DEPLOYMENTS, REPLICA_SETS):
        moved = subresource != "status" and _moves_generation(resource, old, new)
        new["metadata"]["generation"] = old["metadata"]["generation"] + int(moved)


def must_be_unmodified(resource: Resource) -> bool:
    """Whether an update of this kind has to name the resourceVersion that it replaces."""
    return resource is LEASES


def _moves_generation(resource: Resource, old: Object, new: Object) -> bool:
    # a Deployment's annotations reach its ReplicaSets, hence they count as desired state
    annotated = resource is DEPLOYMENTS and _annotations(old) != _annotations(new)
    return annotated or bool(old["spec"] != new["spec"])


def _annotations(found: Object) -> Any:
    return found["metadata"].get("annotations", {})


def _keep(old: Object, new: Object, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)


def _default(resource: Resource, candidate: Object) -> None:
    for field in ("labels", "annotations"):
        if not candidate["metadata"].get(field, True):
            del candidate["metadata"][field]
    if resource is LEASES:
        candidate.setdefault("spec", {})
    if (default := _DEFAULTS.get(resource.plural)) is not None:
        default(candidate.setdefault("spec", {}))


def _default_deployment(spec: Object) -> None:
    spec.setdefault("replicas", 1)
    spec.setdefault("revisionHistoryLimit", 10)
    spec.setdefault("progressDeadlineSeconds", 600)
    strategy = spec.setdefault("strategy", {})
    if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxSurge", "25%")
        rolling.setdefault("maxUnavailable", "25%")
    if spec.get("paused") is False:
        del spec["paused"]
    _default_template(spec)


def _default_replica_set(spec: Object) -> None:
    spec.setdefault("replicas", 1)
    _default_template(spec)


def _default_template(spec: Object) -> None:
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).setdefault("creationTimestamp", None)
    for field in ("labels", "annotations"):
        if not template["metadata"].get(field, True):
            del template["metadata"][field]
    _default_pod(template.setdefault("spec", {}))


def _default_pod(spec: Object) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("securityContext", {})
    spec.setdefault("schedulerName", "default-scheduler")
    for container in spec.get("containers", ()):
        _default_container(container)


def _default_container(container: Object) -> None:
    container.setdefault("resources", {})
    container.setdefault("terminationMessagePath", "/dev/termination-log")
    container.setdefault("terminationMessagePolicy", "File")
    tag = container.get("image", "").rpartition("/")[2].partition(":")[2]
    container.setdefault("imagePullPolicy", "Always" if tag in ("", "latest") else "IfNotPresent")
    for port in container.get("ports", ()):
        port.setdefault("protocol", "TCP")
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if probe in container:
            _default_probe(container[probe])


def _default_probe(probe: Object) -> None:
    for field, value in (
        ("timeoutSeconds", 1),
        ("periodSeconds", 10),
        ("successThreshold", 1),
        ("failureThreshold", 3),
    ):
        probe.setdefault(field, value)
    if "httpGet" in probe:
        probe["httpGet"].setdefault("scheme", "HTTP")


def _default_service(spec: Object) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports", ()):
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))


_DEFAULTS: dict[str, Callable[[Object], None]] = {
    "deployments": _default_deployment,
    "replicasets": _default_replica_set,
    "pods": _default_pod,
    "services": _default_service,
}


def _refuse(resource: Resource, candidate: Object, causes: list[Cause]) -> None:
    if causes:
        raise invalid(resource, candidate["metadata"].get("name", ""), causes)


def _wrong(field: str, value: Any, why: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else value
    return Cause("FieldValueInvalid", f"Invalid value: {shown}: {why}", field)


def _required(field: str) -> Cause:
    return Cause("FieldValueRequired", "Required value", field)


def _name(candidate: Object) -> Iterator[Cause]:
    name = candidate["metadata"].get("name", "")
    if not name:
        yield Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name")
    elif len(name) > _LONGEST_NAME or not _SUBDOMAIN.fullmatch(name):
        yield _wrong(
            "metadata.name",
            name,
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric "
            "characters, '-' or '.', and must start and end with an alphanumeric character",
        )


def _rules(resource: Resource, candidate: Object) -> Iterator[Cause]:
    if resource in (DEPLOYMENTS, REPLICA_SETS):
        spec = candidate["spec"]
        if spec["replicas"] < 0:
            yield _wrong("spec.replicas", spec["replicas"], "must be greater than or equal to 0")
        if resource is DEPLOYMENTS:
            yield from _deadline(spec)
        yield from _rolling_update(spec)
        yield from _selection(spec)
        yield from _containers(spec["template"]["spec"], "spec.template.spec.containers")
    elif resource is PODS:
        yield from _containers(candidate["spec"], "spec.containers")


def _deadline(spec: Object) -> Iterator[Cause]:
    deadline = spec["progressDeadlineSeconds"]
    if deadline <= spec.get("minReadySeconds", 0):
        yield _wrong("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds")


def _rolling_update(spec: Object) -> Iterator[Cause]:
    for field, value in spec.get("strategy", {}).get("rollingUpdate", {}).items():
        if not (isinstance(value, int) and value >= 0) and not _PERCENT.fullmatch(str(value)):
            yield _wrong(f"spec.strategy.rollingUpdate.{field}", value, "must be a count or a percentage")


def _selection(spec: Object) -> Iterator[Cause]:
    selector, labels = spec.get("selector") or {}, spec["template"]["metadata"].get("labels", {})
    if not selector:
        yield _required("spec.selector")
    if not selector or not selects(selector, labels):
        yield _wrong("spec.template.metadata.labels", labels, "`selector` does not match template `labels`")


def _containers(spec: Object, field: str) -> Iterator[Cause]:
    containers = spec.get("containers") or []
    if not containers:
        yield _required(field)
    for at, container in enumerate(containers):
        for needed in ("name", "image"):
            if not container.get(needed):
                yield _required(f"{field}[{at}].{needed}")


def _immutable(resource: Resource, old: Object, new: Object) -> Iterator[Cause]:
    if new["metadata"]["uid"] != old["metadata"]["uid"]:
        yield _wrong("metadata.uid", new["metadata"]["uid"], "field is immutable")
    if resource in (DEPLOYMENTS, REPLICA_SETS) and new["spec"].get("selector") != old["spec"]["selector"]:
        yield _wrong("spec.selector", new["spec"].get("selector"), "field is immutable")
