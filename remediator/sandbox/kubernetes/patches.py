"""JSON Patch, JSON Merge Patch and strategic merge patch, with kube-apiserver's reading of them.

RFC 6902 and RFC 7386; strategic merge as in Kubernetes' own description of it (merge keys, `$patch` and
kin). Where RFC 6902 and the API server differ, the server is followed: `test` with `null` holds for a
missing member. Before 1.22 or so it also let `replace` add a missing member; here that fails, as it does
since.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.sandbox.kubernetes.copies import copied


class PatchMalformedError(ValueError):
    """Not a patch at all."""


class PatchRejectedError(ValueError):
    """A patch that doesn't apply to this object, a failed `test` included."""


_MISSING = object()


def json_patch(document: Any, operations: Any) -> Any:
    """The document after every operation, which itself is left as it was."""
    if not isinstance(operations, list) or not all(isinstance(step, dict) for step in operations):
        raise PatchMalformedError("a JSON Patch is a list of operations")
    patched = copied(document)
    for step in operations:
        patched = _apply(patched, step)
    return patched


def _apply(document: Any, step: Mapping[str, Any]) -> Any:
    operation, path = step.get("op"), _pointer(step.get("path"))
    match operation:
        case "add":
            return _add(document, path, copied(_value(step)))
        case "replace":
            _read(document, path)
            return _replace(document, path, copied(_value(step)))
        case "remove":
            return _remove(document, path)
        case "test":
            return _test(document, path, step.get("value"))
        case "copy":
            return _add(document, path, copied(_read(document, _pointer(step.get("from")))))
        case "move":
            source = _pointer(step.get("from"))
            moved = _read(document, source)
            return _add(_remove(document, source), path, moved)
        case _:
            raise PatchRejectedError(f"unknown operation {operation!r}")


def _value(step: Mapping[str, Any]) -> Any:
    if "value" not in step:
        raise PatchRejectedError(f"{step.get('op')} needs a value")
    return step["value"]


def _pointer(path: Any) -> list[str]:
    if not isinstance(path, str) or (path and not path.startswith("/")):
        raise PatchRejectedError(f"{path!r} is no JSON pointer")
    return [part.replace("~1", "/").replace("~0", "~") for part in path.split("/")[1:]]


def _parent(document: Any, path: Sequence[str]) -> Any:
    for part in path[:-1]:
        document = _member(document, part)
    if not isinstance(document, dict | list):
        raise PatchRejectedError(f"nothing holds /{'/'.join(path)}")
    return document


def _member(document: Any, part: str) -> Any:
    if isinstance(document, dict) and part in document:
        return document[part]
    if isinstance(document, list):
        return document[_index(part, len(document) - 1)]
    raise PatchRejectedError(f"there is no member {part!r}")


def _index(part: str, last: int) -> int:
    if not part.isdecimal() or int(part) > last:
        raise PatchRejectedError(f"there is no element {part!r}")
    return int(part)


def _read(document: Any, path: Sequence[str]) -> Any:
    for part in path:
        document = _member(document, part)
    return document


def _add(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _parent(document, path), path[-1]
    if isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        parent[last] = value
    return document


def _replace(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _parent(document, path), path[-1]
    if isinstance(parent, list):
        parent[_index(last, len(parent) - 1)] = value
    else:
        parent[last] = value
    return document


def _remove(document: Any, path: Sequence[str]) -> Any:
    if not path:
        raise PatchRejectedError("the whole document can't be removed")
    parent, last = _parent(document, path), path[-1]
    if isinstance(parent, list):
        del parent[_index(last, len(parent) - 1)]
    elif parent.pop(last, _MISSING) is _MISSING:
        raise PatchRejectedError(f"there is no member {last!r} to remove")
    return document


def _test(document: Any, path: Sequence[str], expected: Any) -> Any:
    if path and isinstance(parent := _parent(document, path), dict):
        found = parent.get(path[-1])
    else:
        found = _read(document, path)
    if not _equal(found, expected):
        raise PatchRejectedError(f"the test of /{'/'.join(path)} fails")
    return document


def _equal(one: Any, other: Any) -> bool:
    # in Python True == 1 == 1.0, to the API server they differ
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    return type(one) is type(other) and bool(one == other)


def merge_patch(document: Any, patch: Any) -> Any:
    """RFC 7386: maps merge, null removes, everything else replaces."""
    if not isinstance(patch, dict):
        return copied(patch)
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


# the fields whose lists merge by a key instead of being replaced; the first key that an element has counts
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("containerPort", "port"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "hostAliases": ("ip",),
}
_PRIMITIVE_SETS = frozenset({"finalizers"})


def strategic_merge_patch(document: Any, patch: Any) -> Any:
    """Merge as the built-in kinds declare it: lists of named things by their key, directives obeyed."""
    if not isinstance(patch, dict):
        raise PatchMalformedError("a strategic merge patch is an object")
    return _strategic(document if isinstance(document, dict) else {}, patch)


def _strategic(document: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    if patch.get("$patch") == "replace":
        return {key: copied(value) for key, value in patch.items() if key != "$patch"}
    merged = dict(document)
    if (kept := patch.get("$retainKeys")) is not None:
        merged = {key: value for key, value in merged.items() if key in kept}
    for key, value in patch.items():
        if key.startswith("$"):
            _delete_primitives(merged, key, value)
        elif value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
            merged.pop(key, None)
        else:
            merged[key] = _strategic_value(key, merged.get(key), value)
    return merged


def _strategic_value(field: str, old: Any, new: Any) -> Any:
    if isinstance(new, dict):
        return _strategic(old if isinstance(old, dict) else {}, new)
    if isinstance(new, list) and field in _MERGE_KEYS and all(isinstance(item, dict) for item in new):
        return _merge_list(_MERGE_KEYS[field], old or [], new)
    if isinstance(new, list) and field in _PRIMITIVE_SETS:
        return list(dict.fromkeys([*(old or []), *new]))
    return copied(new)


def _merge_list(
    keys: Sequence[str], old: Sequence[dict[str, Any]], new: Sequence[dict[str, Any]]
) -> list[Any]:
    if any(item.get("$patch") == "replace" for item in new):
        return [copied(item) for item in new if item.get("$patch") != "replace"]
    merged = list(old)
    for item in new:
        key = next((key for key in keys if key in item), None)
        if key is None:
            raise PatchMalformedError(f"map: {item} does not contain declared merge key: {keys[0]}")
        place = next((at for at, held in enumerate(merged) if held.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            merged = [held for held in merged if held.get(key) != item[key]]
        elif place is None:
            merged.append(_strategic({}, item))
        else:
            merged[place] = _strategic(merged[place], item)
    return merged


def _delete_primitives(merged: dict[str, Any], directive: str, values: Any) -> None:
    name, _, field = directive.partition("/")
    if name == "$deleteFromPrimitiveList" and isinstance(merged.get(field), list):
        merged[field] = [item for item in merged[field] if item not in values]
