"""The typed decoder in front of the API: bodies of the wrong shape go no further than here."""

from __future__ import annotations

from collections.abc import Iterator
from types import NoneType
from typing import Any

from remediator.sandbox.kubernetes.status import bad_request

Object = dict[str, Any]

_OBJECTS = (
    "metadata",
    "metadata.labels",
    "metadata.annotations",
    "spec",
    "status",
    "spec.selector",
    "spec.selector.matchLabels",
    "spec.strategy",
    "spec.strategy.rollingUpdate",
    "spec.template",
    "spec.template.metadata",
    "spec.template.metadata.labels",
    "spec.template.metadata.annotations",
    "spec.template.spec",
)
_MAPS_OF_STRINGS = tuple(path for path in _OBJECTS if path.endswith(("abels", "annotations")))
_INTEGERS = (
    "spec.replicas",
    "spec.minReadySeconds",
    "spec.revisionHistoryLimit",
    "spec.progressDeadlineSeconds",
)
_LISTS_OF_OBJECTS = (
    "spec.containers",
    "spec.ports",
    "spec.template.spec.containers",
    "metadata.ownerReferences",
)
_NULL_IS_SHOWN = "creationTimestamp"


def decoded(candidate: Any, kind: str) -> Object:
    """The body as an object of this kind, less nulls and empty lists; StatusError 400 if it can't be one."""
    wrong = misfit(candidate)
    if wrong is None and candidate.get("kind", kind) != kind:
        wrong = f"is a {candidate['kind']}"
    if wrong is not None:
        raise bad_request(f'{kind} in version "v1" cannot be handled as a {kind}: {wrong}')
    return pruned(candidate)


def misfit(candidate: Any) -> str | None:
    """The first field whose type can't be decoded, and what it should be; None when all fit."""
    if not isinstance(candidate, dict):
        return "expects an object"
    return next(_misfits(candidate), None)


def pruned(candidate: Object) -> Object:
    """A copy whose spec has lost its nulls and empty lists, which the server's own encoding leaves out."""
    if not isinstance(candidate.get("spec"), dict):
        return {key: value for key, value in candidate.items() if key != "spec"}
    return candidate | {"spec": _prune(candidate["spec"])}


def _prune(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _prune(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, []) or key == _NULL_IS_SHOWN}
    if isinstance(value, list):
        return [_prune(each) for each in value]
    return value


def _misfits(candidate: Object) -> Iterator[str]:
    for path in _OBJECTS:
        if not isinstance(_at(candidate, path), dict | NoneType):
            yield f"{path}: expects an object"
    for path in _MAPS_OF_STRINGS:
        for key, value in (_at(candidate, path) or {}).items():
            if not isinstance(value, str):
                yield f'{path}["{key}"]: expects a string'
    for path in _INTEGERS:
        found = _at(candidate, path)
        if found is not None and type(found) is not int:
            yield f"{path}: expects an integer"
    for path in _LISTS_OF_OBJECTS:
        found = _at(candidate, path)
        if found is not None and not (
            isinstance(found, list) and all(isinstance(each, dict) for each in found)
        ):
            yield f"{path}: expects a list of objects"


def _at(candidate: Any, path: str) -> Any:
    for key in path.split("."):
        if not isinstance(candidate, dict):
            return None
        candidate = candidate.get(key)
    return candidate
