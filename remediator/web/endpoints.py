"""One table row per endpoint: the router and the OpenAPI document are both made from it."""

from __future__ import annotations

import asyncio
import difflib
import os
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Any, BinaryIO, Final, Generic, TypeVar

import msgspec
import structlog
from aiohttp import hdrs, web
from structlog.contextvars import bound_contextvars

from remediator.core.ports.store import StoreUnavailableError, UnreadableRowError
from remediator.engine.commands import CommandError
from remediator.web import models
from remediator.web.auth import ApiAuth, Principal, is_loopback_host
from remediator.web.health import HealthBoard
from remediator.web.ports import WebDeps

JSON: Final = "application/json"
OCTETS: Final = "application/octet-stream"
PROBLEM_JSON: Final = "application/problem+json"
REQUEST_ID: Final = "X-Request-ID"
#: Whatever is told here is data, and nobody's page.
SECURITY_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_CHUNK: Final = 256 * 1024
_SAFE: Final = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_UNKNOWN_FIELD = re.compile(r"unknown field `(.+?)`")

_log = structlog.get_logger(__name__)
_Query = TypeVar("_Query")
_Body = TypeVar("_Body")


class Access(Enum):
    """Who may use an endpoint."""

    ANYBODY = "anybody"
    VIEWER = "viewer"
    OPERATOR = "operator"
    PERSON = "person"


class ProblemError(Exception):
    """An answer that says no: what went wrong, and what to do about it."""

    def __init__(
        self, status: HTTPStatus, detail: str, remedy: str = "", problems: tuple[str, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.remedy = remedy
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Call(Generic[_Query, _Body]):
    """One request, validated: who asks, for what."""

    deps: WebDeps
    health: HealthBoard
    who: Principal
    path: dict[str, str]
    query: _Query
    body: _Body

    def require_person(self) -> None:
        """Let nobody on who has no name.

        Raises:
            ProblemError: the token is nobody's in particular.
        """
        _require_person(self.who)


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of another status than 200."""

    status: HTTPStatus
    view: object


@dataclass(frozen=True, slots=True)
class Download:
    """A file instead of JSON, and what it is to be called; it is left once it was sent."""

    file: AbstractAsyncContextManager[BinaryIO]
    name: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is asked for where, by whom, and what is answered. ``answers`` are types by status.

    ``open_ended`` is the type of further members of the answer, whose names only run time knows.
    """

    method: str
    path: str
    name: str
    summary: str
    access: Access
    handle: Callable[[Call[Any, Any]], Awaitable[object]]
    answers: dict[int, Any]
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    problems: tuple[int, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict)
    open_ended: type[msgspec.Struct] | None = None


class Dispatcher:
    """Turns endpoints into aiohttp handlers: lets people in, validates, answers, explains failures."""

    def __init__(self, deps: WebDeps, health: HealthBoard) -> None:
        self._deps = deps
        self._health = health
        self._auth = ApiAuth(deps.credentials)

    def handler(self, endpoint: Endpoint) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """Make the handler of one endpoint."""

        async def handle(request: web.Request) -> web.StreamResponse:
            request_id = _request_id(request)
            with bound_contextvars(request_id=request_id, route=endpoint.path):
                try:
                    async with asyncio.timeout(self._deps.limits.answer):
                        answer = await endpoint.handle(await self._call(endpoint, request))
                except Exception as error:  # noqa: BLE001 - each is explained, and none leaks
                    return problem(self._explained(error), request_id)
                if isinstance(answer, Download):
                    return await self._sent(answer, request, request_id)
                status, view = (
                    (answer.status, answer.view) if isinstance(answer, Answer) else (HTTPStatus.OK, answer)
                )
                return _response(status, msgspec.json.encode(view), JSON, request_id)

        return handle

    async def _sent(self, it: Download, request: web.Request, request_id: str) -> web.StreamResponse:
        async with AsyncExitStack() as stack:
            try:
                file = await stack.enter_async_context(it.file)
            except Exception as error:  # noqa: BLE001 - each is explained, and none leaks
                return problem(self._explained(error), request_id)
            headers = {
                **SECURITY_HEADERS,
                REQUEST_ID: request_id,
                hdrs.CONTENT_TYPE: OCTETS,
                hdrs.CONTENT_DISPOSITION: f'attachment; filename="{it.name}"',
            }
            response = web.StreamResponse(headers=headers)
            response.content_length = await asyncio.to_thread(file.seek, 0, os.SEEK_END)
            await asyncio.to_thread(file.seek, 0)
            await response.prepare(request)
            while chunk := await asyncio.to_thread(file.read, _CHUNK):
                await response.write(chunk)
            await response.write_eof()
            return response

    async def unknown(self, request: web.Request) -> web.StreamResponse:
        """Answer for every path and method below ``/api`` that no endpoint has."""
        error = ProblemError(
            HTTPStatus.NOT_FOUND,
            f"there is no {request.method} {request.path}",
            "see /api/openapi.json for what there is",
        )
        return problem(error, _request_id(request))

    async def _call(self, endpoint: Endpoint, request: web.Request) -> Call[Any, Any]:
        return Call(
            self._deps,
            self._health,
            self._principal(endpoint, request),
            dict(request.match_info),
            _query(endpoint, request),
            await self._body(endpoint, request),
        )

    def _principal(self, endpoint: Endpoint, request: web.Request) -> Principal:
        if endpoint.access is Access.ANYBODY:
            return Principal("", may_operate=False)
        if self._auth.is_open and not is_loopback_host(request.headers.get(hdrs.HOST)):
            # A web page whose name was rebound to this machine, or a proxy that opens it to elsewhere.
            self._deps.metrics.auth_refused(endpoint.path)
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "without tokens, only requests to localhost are answered",
                "set REMEDIATOR_OPERATOR_TOKEN and REMEDIATOR_VIEWER_TOKEN",
            )
        if self._auth.is_open and request.method not in _SAFE and hdrs.ORIGIN in request.headers:
            self._deps.metrics.auth_refused(endpoint.path)
            raise ProblemError(
                HTTPStatus.FORBIDDEN,
                "without tokens, a web page may change nothing",
                "set REMEDIATOR_OPERATOR_TOKEN if it is meant to",
            )
        who = self._auth.principal(request.headers.get(hdrs.AUTHORIZATION))
        if who is None:
            self._deps.metrics.auth_refused(endpoint.path)
            _log.warning("request refused", why="wrong or missing token", remote=request.remote)
            raise ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "the token is wrong or missing",
                "send REMEDIATOR_VIEWER_TOKEN or REMEDIATOR_OPERATOR_TOKEN as a bearer token",
            )
        _require(endpoint.access, who)
        return who

    async def _body(self, endpoint: Endpoint, request: web.Request) -> object:
        if endpoint.body is None and (request.method in _SAFE or not request.can_read_body):
            return None
        if request.content_type != JSON:
            # Not only tidy: a page of elsewhere can't send this type without asking first.
            raise ProblemError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body is {request.content_type}", f"send {JSON}"
            )
        if endpoint.body is None:
            return None
        limit = self._deps.limits.request_bytes
        text = (
            await request.content.read(limit + 1)
            if request.content.is_eof()
            else await read_short(request, limit)
        )
        if len(text) > limit:
            raise ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is over {limit} bytes")
        try:
            return msgspec.json.decode(text, type=endpoint.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _misfit("body", error, endpoint.body) from None

    def _explained(self, error: Exception) -> ProblemError:
        if isinstance(error, ProblemError):
            return error
        if isinstance(error, CommandError):
            return ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, str(error), "mend the request and send it again"
            )
        if isinstance(error, StoreUnavailableError | TimeoutError):
            self._deps.metrics.store_failed()
            _log.error("request not served", error=str(error) or "no answer in time")
            return ProblemError(
                HTTPStatus.SERVICE_UNAVAILABLE,
                "the ledger did not answer; whether a change was made is not known",
                "look at /health, and ask again",
            )
        if isinstance(error, UnreadableRowError):
            _log.error("request not served", error=str(error))
            return ProblemError(
                HTTPStatus.INTERNAL_SERVER_ERROR,
                f"what this asks for can't be read from the ledger: {error}",
                "GET /api/v1/status lists what can't be read; docs/operations.md says what to do about it",
            )
        _log.error("request failed", exc_info=error)
        return ProblemError(
            HTTPStatus.INTERNAL_SERVER_ERROR,
            "something is wrong inside",
            "look for the request's id in the daemon's log",
        )


def _require(access: Access, who: Principal) -> None:
    if access in (Access.OPERATOR, Access.PERSON) and not who.may_operate:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            f"{who.name} may look, not act",
            "use REMEDIATOR_OPERATOR_TOKEN, or the token of an operator of REMEDIATOR_OPERATORS_FILE",
        )
    if access is Access.PERSON:
        _require_person(who)


def _require_person(who: Principal) -> None:
    if not who.named:
        raise ProblemError(
            HTTPStatus.FORBIDDEN,
            "this needs a person who answers for it, and REMEDIATOR_OPERATOR_TOKEN is nobody in particular",
            "use your own token: REMEDIATOR_OPERATORS_FILE names people by the hash of theirs",
        )


async def read_short(request: web.Request, limit: int) -> bytes:
    """A body that is short; of a longer one a little more than ``limit`` bytes, which tells it apart."""
    text = bytearray()
    async for chunk in request.content.iter_any():
        text += chunk
        if len(text) > limit:
            break
    return bytes(text)


def _query(endpoint: Endpoint, request: web.Request) -> object:
    if endpoint.query is None:
        return None
    try:
        return msgspec.convert(dict(request.query), endpoint.query, strict=False)
    except msgspec.ValidationError as error:
        raise _misfit("query", error, endpoint.query) from None


def _misfit(where: str, error: Exception, wanted: type[msgspec.Struct]) -> ProblemError:
    """Say what does not fit, with the nearest right word for an unknown one."""
    words = [each.encode_name for each in msgspec.structs.fields(wanted)]
    unknown = _UNKNOWN_FIELD.search(str(error))
    near = difflib.get_close_matches(unknown[1], words, 1) if unknown else []
    remedy = f"did you mean {near[0]}?" if near else f"it takes {', '.join(words)}; see /api/openapi.json"
    fits = isinstance(error, msgspec.ValidationError)
    status = HTTPStatus.UNPROCESSABLE_ENTITY if fits else HTTPStatus.BAD_REQUEST
    return ProblemError(status, f"the {where} can't be used: {error}", remedy)


def problem(error: ProblemError, request_id: str) -> web.Response:
    """Answer with what went wrong (RFC 9457)."""
    view = models.Problem(
        title=error.status.phrase,
        status=error.status.value,
        detail=error.detail,
        remedy=error.remedy,
        request_id=request_id,
        problems=list(error.problems),
    )
    response = _response(error.status, msgspec.json.encode(view), PROBLEM_JSON, request_id)
    if error.status is HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer, Basic realm="remediator"'
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers[hdrs.RETRY_AFTER] = "5"
    return response


def _response(status: HTTPStatus, body: bytes, content_type: str, request_id: str) -> web.Response:
    headers = {**SECURITY_HEADERS, REQUEST_ID: request_id}
    return web.Response(status=status.value, body=body, content_type=content_type, headers=headers)


def _request_id(request: web.Request) -> str:
    given = request.headers.get(REQUEST_ID, "")
    return given if _USABLE_ID.fullmatch(given) else secrets.token_hex(8)
