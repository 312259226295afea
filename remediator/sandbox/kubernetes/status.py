"""The API server's refusals: `Status` bodies as kube-apiserver words them, by code and reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from remediator.sandbox.kubernetes.resources import Resource


@dataclass(frozen=True, slots=True)
class Cause:
    """One field at fault."""

    reason: str
    message: str
    field: str


class StatusError(Exception):
    """A request that the API server refuses; `body` is the `Status` that it answers with."""

    def __init__(self, code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details is not None:
            body["details"] = self.details
        return body | {"code": self.code}


def success(resource: Resource, name: str, uid: str) -> dict[str, Any]:
    """The `Status` that answers a delete."""
    details = {"name": name, "group": resource.group, "kind": resource.plural, "uid": uid}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }


def not_found(resource: Resource, name: str) -> StatusError:
    """Nothing of that name."""
    return StatusError(
        404, "NotFound", f'{resource.qualified} "{name}" not found', _details(resource, name, resource.plural)
    )


def no_such_path() -> StatusError:
    """Nothing is served at that path."""
    return StatusError(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> StatusError:
    """A create of what is there."""
    return StatusError(
        409,
        "AlreadyExists",
        f'{resource.qualified} "{name}" already exists',
        _details(resource, name, resource.plural),
    )


def modified(resource: Resource, name: str) -> StatusError:
    """The resourceVersion that the client holds is not the newest."""
    return conflict(
        resource,
        name,
        "the object has been modified; please apply your changes to the latest version and try again",
    )


def conflict(resource: Resource, name: str, why: str) -> StatusError:
    """A precondition of the request does not hold."""
    return StatusError(
        409,
        "Conflict",
        f'Operation cannot be fulfilled on {resource.qualified} "{name}": {why}',
        _details(resource, name, resource.plural),
    )


def invalid(resource: Resource, name: str, causes: Sequence[Cause]) -> StatusError:
    """Well-formed, but breaking the kind's own rules."""
    said = [f"{cause.field}: {cause.message}" for cause in causes]
    list_of = said[0] if len(said) == 1 else f"[{', '.join(said)}]"
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    details = _details(resource, name, resource.kind)
    details["causes"] = [{"reason": c.reason, "message": c.message, "field": c.field} for c in causes]
    return StatusError(422, "Invalid", f'{kind} "{name}" is invalid: {list_of}', details)


def patch_rejected() -> StatusError:
    """A JSON Patch that doesn't apply, a failed `test` included: the API server won't say which operation."""
    return StatusError(422, "Invalid", "the server rejected our request due to an error in our request", {})


def bad_request(message: str) -> StatusError:
    """The request can't be read."""
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    """A token that nobody has."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, verb: str, name: str, namespace: str, user: str) -> StatusError:
    """A user who may not do that."""
    where = f' in the namespace "{namespace}"' if namespace else " at the cluster scope"
    group = f'"{resource.group}"'
    what = f'User "{user}" cannot {verb} resource "{resource.plural}" in API group {group}{where}'
    subject = f'{resource.qualified} "{name}"' if name else resource.qualified
    return StatusError(
        403, "Forbidden", f"{subject} is forbidden: {what}", _details(resource, name, resource.plural)
    )


def method_not_allowed() -> StatusError:
    """A verb that the path does not know."""
    return StatusError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {}
    )


def not_acceptable() -> StatusError:
    """A content type that the path has no route for, in the very words."""
    return StatusError(406, "NotAcceptable", "406: Not Acceptable", {})


def unsupported_media_type(accepted: Sequence[str]) -> StatusError:
    """A patch of an unknown kind."""
    return StatusError(
        415,
        "UnsupportedMediaType",
        "the body of the request was in an unknown format - accepted media types include: "
        + ", ".join(accepted),
    )


_ORDERED = {
    401: ("Unauthorized", "Unauthorized"),
    406: ("NotAcceptable", "406: Not Acceptable"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: ("TooManyRequests", "the server has received too many requests and has asked us to try again later"),
    500: ("InternalError", "an error on the server has prevented the request from succeeding"),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: ("Timeout", "the server was unable to return a response in the time allotted"),
}


def ordered(code: int, retry_after: int | None = None) -> StatusError:
    """The generic refusal for an HTTP code, as a server answers from which nothing more specific is known."""
    reason, message = _ORDERED.get(code, ("Unknown", f"the server answered {code}"))
    details = {} if retry_after is None else {"retryAfterSeconds": retry_after}
    return StatusError(code, reason, message, details)


def _details(resource: Resource, name: str, kind: str) -> dict[str, Any]:
    details = {"name": name, "group": resource.group, "kind": kind}
    return {key: value for key, value in details.items() if value}
