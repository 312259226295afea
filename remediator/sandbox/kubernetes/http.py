"""The API server's wire: paths, credentials, discovery and the faults that tests plan."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from remediator.sandbox.faults import Answer, Faults, Service, retry_after, serve
from remediator.sandbox.kubernetes import discovery, status
from remediator.sandbox.kubernetes.api import ApiReply, ApiRequest, ApiServer
from remediator.sandbox.kubernetes.resources import BY_PATH, NAMESPACES
from remediator.sandbox.serving import LoopbackServer

_OBJECT = r"(?:/(?P<name>[^/]+)(?:/(?P<subresource>[^/]+))?)?/?"
_GROUP = r"/(?:api|apis/(?P<group>[^/]+))/(?P<version>v[^/]+)"
_NAMESPACED = re.compile(rf"^{_GROUP}/namespaces/(?P<namespace>[^/]+)/(?P<plural>[^/]+){_OBJECT}$")
_EVERYWHERE = re.compile(rf"^{_GROUP}/(?P<plural>[^/]+){_OBJECT}$")

_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_HEALTH = frozenset({"/livez", "/readyz", "/healthz"})


@dataclass(frozen=True, slots=True)
class Matching:
    """Picks out API requests by what they do; a part left None matches anything."""

    verb: str | None = None
    resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    subresource: str | None = None
    user_agent: str | None = None

    def __call__(self, request: ApiRequest) -> bool:
        wanted_of = (
            (self.verb, request.verb),
            (self.resource, request.resource.plural),
            (self.name, request.name),
            (self.namespace, request.namespace),
            (self.subresource, request.subresource),
            (self.user_agent, request.user_agent),
        )
        return all(wanted is None or wanted == found for wanted, found in wanted_of)


class HttpFront:
    """Turns HTTP requests into API requests and back.

    With `users` (bearer token to user name) a request without a token is forbidden and one with an unknown
    token unauthorized, except for /version and the health paths; without `users` everybody is let in.
    """

    def __init__(self, api: ApiServer, faults: Faults[ApiRequest], users: Mapping[str, str]) -> None:
        self._api = api
        self._faults = faults
        self._users = users
        self.server = LoopbackServer(self._handle)

    async def _handle(self, http: web.BaseRequest) -> web.StreamResponse:
        if (known := _about_the_server(http)) is not None:
            return known
        try:
            user = self._user(http)
            request = await _parse(http, user)
        except status.StatusError as refused:
            return web.json_response(refused.body, status=refused.code)
        if self._users and user == _ANONYMOUS:
            return self._ordered(request, Answer(403))
        service = Service(
            apply=lambda: _answer(self._api.handle(request)),
            refuse=lambda answer: self._ordered(request, answer),
            cut_off=self._api.unanswered,
        )
        return await serve(http, self._faults.take(request), service, self.server.closing)

    def _user(self, http: web.BaseRequest) -> str:
        scheme, _, token = http.headers.get("Authorization", "").partition(" ")
        if not self._users or not scheme:
            return _ANONYMOUS
        if scheme.lower() != "bearer" or token not in self._users:
            raise status.unauthorized()
        return self._users[token]

    def _ordered(self, request: ApiRequest, answer: Answer) -> web.Response:
        reply = self._api.refused(request, _refusal(request, answer))
        return _answer(reply, retry_after(answer))


_ANONYMOUS = "system:anonymous"


def _refusal(request: ApiRequest, answer: Answer) -> status.StatusError:
    """What the API server says to this request when it answers so."""
    resource, name = request.resource, request.name
    match answer.code:
        case 403:
            return status.forbidden(resource, request.verb, name, request.namespace, request.user)
        case 404:
            return status.not_found(resource, name) if name else status.no_such_path()
        case 409:
            return status.modified(resource, name)
        case code:
            return status.ordered(code, answer.retry_after)


def _about_the_server(http: web.BaseRequest) -> web.Response | None:
    if http.path in _HEALTH:
        return web.Response(text="ok")
    document = discovery.document(http.path)
    if document is None:
        return None
    typed = "Content-Type" in http.headers and http.content_type != "application/json"
    if typed and not discovery.takes_any_type(http.path):
        refused = status.not_acceptable()
        return web.json_response(refused.body, status=refused.code)
    return web.json_response(document)


async def _parse(http: web.BaseRequest, user: str) -> ApiRequest:
    found = _NAMESPACED.match(http.path) or _EVERYWHERE.match(http.path)
    if found is None:
        raise status.no_such_path()
    parts: dict[str, Any] = {key: value or "" for key, value in found.groupdict().items()}
    if parts.get("plural") in NAMESPACES.subresources and "namespace" in parts:
        # /api/v1/namespaces/NAME/status is a namespace's own subresource, not a kind within it
        parts |= {
            "subresource": parts["plural"],
            "plural": "namespaces",
            "name": parts["namespace"],
            "namespace": "",
        }
    resource = BY_PATH.get((parts["group"], parts["version"], parts["plural"]))
    if resource is None:
        raise status.no_such_path()
    if http.query.get("watch") in ("true", "1"):
        raise status.method_not_allowed()
    return ApiRequest(
        verb=_verb(http.method, parts["name"]),
        resource=resource,
        namespace=parts.get("namespace", ""),
        name=parts["name"],
        subresource=parts["subresource"],
        query=dict(http.query),
        content_type=http.content_type,
        body=await http.read(),
        user=user,
        user_agent=http.headers.get("User-Agent", ""),
    )


def _verb(method: str, name: str) -> str:
    if method == "GET":
        return "get" if name else "list"
    verb = _VERBS.get(method, "")
    if not verb or (verb == "create") == bool(name):
        raise status.method_not_allowed()
    return verb


def _answer(reply: ApiReply, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(reply.body, status=reply.code, headers=headers)
