"""The API server without its wire: requests as values, answered from the store, recorded in the audit log."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from remediator.sandbox.kubernetes import patches, status, strategy
from remediator.sandbox.kubernetes.audit import AuditEntry, AuditLog, summary
from remediator.sandbox.kubernetes.decoding import decoded, misfit, pruned
from remediator.sandbox.kubernetes.replicasets import owners
from remediator.sandbox.kubernetes.resources import ALL, Resource
from remediator.sandbox.kubernetes.selectors import SelectorError, field_selector, label_selector
from remediator.sandbox.kubernetes.store import Object, Store

PATCHES: dict[str, Callable[[Any, Any], Any]] = {
    "application/json-patch+json": patches.json_patch,
    "application/merge-patch+json": patches.merge_patch,
    "application/strategic-merge-patch+json": patches.strategic_merge_patch,
}

_OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """`verb` as RBAC names it: get, list, create, update, patch, delete. No `namespace` means every one."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    body: bytes = b""
    user: str = "system:anonymous"
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class ApiReply:
    """An HTTP status and the object, list or `Status` that goes with it."""

    code: int
    body: Object


class ApiServer:
    """Applies requests to the store, one at a time and each at once."""

    def __init__(self, store: Store, audit: AuditLog) -> None:
        self._store = store
        self._audit = audit

    def handle(self, request: ApiRequest) -> ApiReply:
        """Answer, with a `Status` when the request is refused, and record it."""
        before = self._seen(request)
        try:
            reply = self._serve(request)
        except status.StatusError as refused:
            reply = ApiReply(refused.code, refused.body)
        self._record(request, reply, before)
        return reply

    def unanswered(self) -> None:
        """The reply to the last request never reached its client."""
        self._audit.entries[-1] = replace(self._audit.entries[-1], answered=False)

    def refused(self, request: ApiRequest, error: status.StatusError) -> ApiReply:
        """Answer with this refusal without applying anything, and record it."""
        reply, seen = ApiReply(error.code, error.body), self._seen(request)
        self._record(request, reply, seen)
        return reply

    def _serve(self, request: ApiRequest) -> ApiReply:
        if request.subresource and request.subresource not in request.resource.subresources:
            raise status.no_such_path()
        match request.verb:
            case "get":
                return ApiReply(200, self._view(request, self._current(request)))
            case "list":
                return ApiReply(200, self._list(request))
            case "create" if not request.subresource:
                return self._create(request)
            case "update":
                return self._update(request)
            case "patch":
                return self._patch(request)
            case "delete" if not request.subresource:
                return self._delete(request)
            case _:
                raise status.method_not_allowed()

    def _current(self, request: ApiRequest) -> Object:
        return self._store.get(request.resource, request.namespace, request.name)

    def _list(self, request: ApiRequest) -> Object:
        try:
            labelled = label_selector(request.query.get("labelSelector", ""))
            wanted = field_selector(request.query.get("fieldSelector", ""))
        except SelectorError as unreadable:
            raise status.bad_request(str(unreadable)) from unreadable
        resource = request.resource
        found = [
            {key: value for key, value in each.items() if key not in ("apiVersion", "kind")}
            for each in self._store.list(
                resource,
                request.namespace,
                lambda each: labelled(each["metadata"].get("labels", {})) and wanted(each),
            )
        ]
        return {
            "kind": f"{resource.kind}List",
            "apiVersion": resource.api_version,
            "metadata": {"resourceVersion": str(self._store.version)},
            "items": found,
        }

    def _create(self, request: ApiRequest) -> ApiReply:
        body = decoded(_decode(request), request.resource.kind)
        if body.get("metadata", {}).get("namespace", request.namespace) != request.namespace:
            raise status.bad_request(_OTHER_NAMESPACE)
        created = self._store.create(request.resource, request.namespace, body, dry_run=_dry_run(request))
        return ApiReply(201, created)

    def _update(self, request: ApiRequest) -> ApiReply:
        resource = request.resource
        scaled = request.subresource == "scale"
        body = decoded(_decode(request), "Scale" if scaled else resource.kind)
        if (
            not scaled
            and resource.namespaced
            and self._store.find(resource, request.namespace, request.name) is None
        ):
            return self._create_by_update(request, body)
        self._check_preconditions(request, body.get("metadata", {}))
        return ApiReply(200, self._write(request, body))

    def _create_by_update(self, request: ApiRequest, body: Object) -> ApiReply:
        # kube-apiserver allows it for Leases alone among the kinds served here
        if not strategy.must_be_unmodified(request.resource):
            raise status.not_found(request.resource, request.name)
        created = self._store.create(request.resource, request.namespace, body, dry_run=_dry_run(request))
        return ApiReply(201, created)

    def _check_preconditions(self, request: ApiRequest, metadata: Mapping[str, Any]) -> None:
        held = self._current(request)["metadata"]
        if metadata.get("uid", held["uid"]) != held["uid"]:
            uids = f"UID in precondition: {metadata['uid']}, UID in object meta: {held['uid']}"
            why = f"Precondition failed: {uids}"
            raise status.conflict(request.resource, request.name, why)
        if strategy.must_be_unmodified(request.resource) and not metadata.get("resourceVersion"):
            cause = status.Cause(
                "FieldValueInvalid",
                "Invalid value: 0x0: must be specified for an update",
                "metadata.resourceVersion",
            )
            raise status.invalid(request.resource, request.name, [cause])

    def _patch(self, request: ApiRequest) -> ApiReply:
        change = PATCHES.get(request.content_type)
        if change is None:
            raise status.unsupported_media_type(list(PATCHES))
        current = self._view(request, self._current(request))
        try:
            patched = change(current, _decode(request))
        except patches.PatchMalformedError as malformed:
            raise status.bad_request(str(malformed)) from malformed
        except patches.PatchRejectedError as rejected:
            raise status.patch_rejected() from rejected
        if (wrong := misfit(patched)) is not None:
            cause = status.Cause("FieldValueInvalid", f"Invalid value: {wrong}", "patch")
            raise status.invalid(request.resource, request.name, [cause])
        return ApiReply(200, self._write(request, pruned(patched)))

    def _write(self, request: ApiRequest, body: Object) -> Object:
        metadata = body.setdefault("metadata", {})
        if metadata.setdefault("name", request.name) != request.name:
            raise status.bad_request(
                f"the name of the object ({metadata['name']}) does not match "
                f"the name on the URL ({request.name})"
            )
        if (
            request.resource.namespaced
            and metadata.setdefault("namespace", request.namespace) != request.namespace
        ):
            raise status.bad_request(_OTHER_NAMESPACE)
        if request.subresource == "scale":
            body = self._scaled(request, body)
        subresource = "" if request.subresource == "scale" else request.subresource
        written = self._store.update(request.resource, body, subresource, dry_run=_dry_run(request))
        return self._view(request, written)

    def _scaled(self, request: ApiRequest, scale: Object) -> Object:
        current = self._current(request)
        if version := scale["metadata"].get("resourceVersion"):
            current["metadata"]["resourceVersion"] = version
        current["spec"]["replicas"] = scale.get("spec", {}).get("replicas", 0)
        return current

    def _delete(self, request: ApiRequest) -> ApiReply:
        options = _decode(request) if request.body else {}
        found = self._current(request)
        wanted = _option(options, "preconditions") or {}
        for key, title in (("uid", "UID"), ("resourceVersion", "ResourceVersion")):
            held = found["metadata"][key]
            if wanted.get(key, held) != held:
                asked = f"the {title} in the precondition ({wanted[key]})"
                why = f"{asked} does not match the {title} in record ({held})"
                raise status.conflict(request.resource, request.name, why)
        if not _dry_run(request):
            if "Orphan" in (request.query.get("propagationPolicy"), _option(options, "propagationPolicy")):
                self._orphan(found["metadata"]["uid"])
            self._store.delete(request.resource, request.namespace, request.name)
        return ApiReply(200, status.success(request.resource, request.name, found["metadata"]["uid"]))

    def _orphan(self, uid: str) -> None:
        """Let go of what this object owns, so that nothing collects it."""
        for resource in ALL:
            for each in self._store.list(resource, wanted=lambda found: uid in owners(found)):
                held = each["metadata"]["ownerReferences"]
                each["metadata"]["ownerReferences"] = [owner for owner in held if owner["uid"] != uid]
                self._store.update(resource, each)

    def _view(self, request: ApiRequest, found: Object) -> Object:
        return _scale_of(found) if request.subresource == "scale" else found

    def _seen(self, request: ApiRequest) -> Mapping[str, Any] | None:
        return (
            summary(self._store.find(request.resource, request.namespace, request.name))
            if request.name
            else None
        )

    def _record(self, request: ApiRequest, reply: ApiReply, before: Mapping[str, Any] | None) -> None:
        name = request.name or reply.body.get("metadata", {}).get("name", "")
        named = replace(request, name=name)
        entry = AuditEntry(
            at=self._store.clock(),
            verb=request.verb,
            resource=request.resource.plural,
            namespace=request.namespace,
            name=name,
            subresource=request.subresource,
            user=request.user,
            user_agent=request.user_agent,
            code=reply.code,
            body=_readable(request.body),
            before=before if request.name else None,
            after=self._seen(named),
        )
        if request.verb == "create" and reply.code >= 400:
            entry = replace(entry, before=entry.after)
        self._audit.entries.append(entry)


def _dry_run(request: ApiRequest) -> bool:
    return request.query.get("dryRun") == "All"


def _option(options: Any, name: str) -> Any:
    return options.get(name) if isinstance(options, dict) else None


def _decode(request: ApiRequest) -> Any:
    try:
        return json.loads(request.body)
    except ValueError as unreadable:
        raise status.bad_request(f"the body is no JSON: {unreadable}") from unreadable


def _readable(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return body.decode(errors="replace")


def _scale_of(found: Object) -> Object:
    """The autoscaling/v1 view of a Deployment or ReplicaSet."""
    metadata = found["metadata"]
    shown = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    labels = found["spec"]["selector"].get("matchLabels", {})
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {key: metadata[key] for key in shown},
        "spec": {"replicas": found["spec"]["replicas"]},
        "status": {
            "replicas": found.get("status", {}).get("replicas", 0),
            "selector": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        },
    }
