"""The cluster's objects, each change of which has the next resource version."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, Literal

from remediator.sandbox.kubernetes import status, strategy
from remediator.sandbox.kubernetes.copies import copied
from remediator.sandbox.kubernetes.resources import NAMESPACES, Resource

Object = dict[str, Any]
Clock = Callable[[], datetime]

_SYSTEM_FIELDS = ("name", "namespace", "creationTimestamp")
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH = 5


@dataclass(frozen=True, slots=True)
class Change:
    """One stored change; `object` is the state after it, or the last one before a removal."""

    type: Literal["ADDED", "MODIFIED", "DELETED"]
    resource: Resource
    object: Object


class Store:
    """Objects by kind, namespace and name. Whatever goes in or comes out is a copy.

    `clock` stamps creation, in UTC. Every method raises StatusError as the API server would answer.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.version = 0
        self._objects: dict[str, dict[tuple[str, str], Object]] = {}
        self._listeners: list[Callable[[Change], None]] = []

    def subscribe(self, listener: Callable[[Change], None]) -> None:
        """Call `listener` after each change, in order; it must not write to the store itself."""
        self._listeners.append(listener)

    def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        found = self._kind(resource).get((namespace, name))
        return None if found is None else copied(found)

    def get(self, resource: Resource, namespace: str, name: str) -> Object:
        found = self.find(resource, namespace, name)
        if found is None:
            raise status.not_found(resource, name)
        return found

    def list(
        self, resource: Resource, namespace: str = "", wanted: Callable[[Object], bool] = lambda _: True
    ) -> list[Object]:
        """Those of a kind that are ``wanted``, in one namespace or in every one, by namespace and name.

        ``wanted`` is shown what is held, and must leave it as it is: copying all is what takes time.
        """
        held = self._kind(resource).items()
        found = [each for each in held if (not namespace or each[0][0] == namespace) and wanted(each[1])]
        return [copied(each) for _, each in sorted(found, key=itemgetter(0))]

    def create(self, resource: Resource, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        created = copied(body)
        metadata = created.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + suffix()
        if namespace:
            self._check_namespace(namespace)
            metadata["namespace"] = namespace
        name = metadata.get("name", "")
        if (namespace, name) in self._kind(resource):
            raise status.already_exists(resource, name)
        metadata["uid"] = str(uuid.uuid4())
        metadata["creationTimestamp"] = timestamp(self.clock())
        created["apiVersion"], created["kind"] = resource.api_version, resource.kind
        strategy.prepare_create(resource, created)
        return created if dry_run else self._put("ADDED", resource, created)

    def update(
        self, resource: Resource, body: Object, subresource: str = "", *, dry_run: bool = False
    ) -> Object:
        """Replace an object, which keeps its resource version when nothing in it changes.

        A resourceVersion in `body` has to be the current one (409 Conflict); without one it is unconditional.
        """
        new = copied(body)
        metadata = new["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        old = self.get(resource, namespace, name)
        held = old["metadata"]["resourceVersion"]
        if metadata.get("resourceVersion") not in (None, "", held):
            raise status.modified(resource, name)
        metadata["resourceVersion"] = held
        metadata.setdefault("uid", old["metadata"]["uid"])
        for field in _SYSTEM_FIELDS:
            if field in old["metadata"]:
                metadata[field] = old["metadata"][field]
        new["apiVersion"], new["kind"] = resource.api_version, resource.kind
        strategy.prepare_update(resource, old, new, subresource)
        if dry_run or new == old:
            return new
        return self._put("MODIFIED", resource, new)

    def delete(self, resource: Resource, namespace: str, name: str) -> Object:
        removed = self.get(resource, namespace, name)
        del self._kind(resource)[namespace, name]
        self.version += 1
        self._tell(Change("DELETED", resource, removed))
        return removed

    def _kind(self, resource: Resource) -> dict[tuple[str, str], Object]:
        return self._objects.setdefault(resource.plural, {})

    def _check_namespace(self, namespace: str) -> None:
        if ("", namespace) not in self._kind(NAMESPACES):
            raise status.not_found(NAMESPACES, namespace)

    def _put(self, kind: Literal["ADDED", "MODIFIED"], resource: Resource, stored: Object) -> Object:
        self.version += 1
        metadata = stored["metadata"]
        metadata["resourceVersion"] = str(self.version)
        self._kind(resource)[metadata.get("namespace", ""), metadata["name"]] = stored
        self._tell(Change(kind, resource, stored))
        return copied(stored)

    def _tell(self, change: Change) -> None:
        for listener in self._listeners:
            listener(change)


def timestamp(at: datetime) -> str:
    """Kubernetes' own: RFC 3339 in UTC, whole seconds."""
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def suffix() -> str:
    """Five random letters, as generated names end in."""
    number, letters = uuid.uuid4().int, ""
    for _ in range(_SUFFIX_LENGTH):
        number, at = divmod(number, len(_SUFFIX_LETTERS))
        letters += _SUFFIX_LETTERS[at]
    return letters


def hash_letters(number: int) -> str:
    """The number's decimal digits in the alphabet of generated names, as pod-template-hash is written."""
    return "".join(_SUFFIX_LETTERS[ord(digit) % len(_SUFFIX_LETTERS)] for digit in str(number))
