"""``POST /alertmanager``: persist, then 200 (law 1).

Alertmanager drops a post on every 4xx and repeats it on every 5xx, so a 4xx is only for what can never
become valid, and whatever else goes wrong is a 503.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
import structlog
from aiohttp import hdrs, web

from remediator.core.ports.store import StoreUnavailableError
from remediator.telemetry import WebhookResult
from remediator.web.auth import WebhookAuth
from remediator.web.bodies import Bodies, CrowdedError
from remediator.web.deadline import SharedDeadline
from remediator.web.ports import Limits, WebDeps

PATH: Final = "/alertmanager"
_RETRY_AFTER_SECONDS: Final = "5"
_STORED: Final = b'{"status":"stored"}'
_JSON: Final = "application/json"
_STORED_HEADERS: Final = {hdrs.CONTENT_TYPE: _JSON}
_ALARMED: Final = frozenset(WebhookResult) - {WebhookResult.STORED, WebhookResult.INCOMPLETE}

_log = structlog.get_logger(__name__)
# Passes over every value, so that it checks the whole grammar and builds nothing; 30 µs for 80 KB.
_check_json = msgspec.json.Decoder(msgspec.Raw).decode


class _RefusedError(Exception):
    def __init__(self, status: int, result: WebhookResult, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.result = result
        self.detail = detail


def webhook_handler(deps: WebDeps) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Make the handler; what it does with a good post is all in one place, because it is the hot path."""
    auth = WebhookAuth(deps.credentials.webhook)
    save, limits = deps.store.save_webhook, deps.limits
    persisting, bodies = SharedDeadline(limits.persist), Bodies(limits)
    count = deps.metrics.webhook

    async def take(request: web.Request) -> web.StreamResponse:
        try:
            source = auth.source(request.headers.get(hdrs.AUTHORIZATION))
            if source is None or (auth.is_open and hdrs.ORIGIN in request.headers):
                raise _stranger(auth)  # noqa: TRY301 - the hot path stays in one frame
            if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
                raise _encoded()  # noqa: TRY301 - as above
            if request.content.is_eof():  # it came in one piece with its headers, as nearly all do
                body = await request.read()
            else:
                body = await _whole(bodies, request, limits)
            try:
                _check_json(body)
                body.decode()  # the decoder passes over what is inside strings
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise _not_json(error) from None
            await persisting.run(save(source, body))
        except Exception as error:  # noqa: BLE001 - anything that was not stored must be sent again
            return _refusal(deps, request, error)
        count(WebhookResult.STORED)
        return web.Response(body=_STORED, headers=_STORED_HEADERS)

    return take


async def _whole(bodies: Bodies, request: web.Request, limits: Limits) -> bytes:
    try:
        return await bodies.read(request)
    except TimeoutError:
        detail = f"the body did not arrive within {limits.arrival:g} s"
        raise _RefusedError(503, WebhookResult.INCOMPLETE, detail) from None
    except CrowdedError:
        detail = "too many large bodies arrive at the same time; send it again"
        raise _RefusedError(503, WebhookResult.CROWDED, detail) from None


def _stranger(auth: WebhookAuth) -> _RefusedError:
    if auth.is_open:
        detail = "a web page may not post here: set REMEDIATOR_WEBHOOK_TOKEN if it is meant to"
        return _RefusedError(403, WebhookResult.UNAUTHORIZED, detail)
    detail = "send REMEDIATOR_WEBHOOK_TOKEN as a bearer token, or as the password of basic auth"
    return _RefusedError(401, WebhookResult.UNAUTHORIZED, f"wrong or missing token: {detail}")


def _encoded() -> _RefusedError:
    detail = "the body is encoded: send it plain, as Alertmanager does"
    return _RefusedError(415, WebhookResult.ENCODED, detail)


def _not_json(error: Exception) -> _RefusedError:
    what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    return _RefusedError(400, WebhookResult.NOT_JSON, f"the body is not JSON: {what}")


def _refusal(deps: WebDeps, request: web.Request, error: Exception) -> web.Response:
    """Count, alarm, log and answer."""
    refused = _explained(deps, error)
    deps.metrics.webhook(refused.result)
    if refused.result is WebhookResult.UNAUTHORIZED:
        deps.metrics.auth_refused(PATH)
    log = _log.error if refused.status >= 500 else _log.warning
    log("webhook refused", status=refused.status, why=refused.detail, remote=request.remote)
    if refused.result in _ALARMED:
        deps.alarms.alarm(f"webhook_{refused.result.value}", f"from {request.remote}: {refused.detail}")
    headers = {}
    if refused.status == 503:
        headers[hdrs.RETRY_AFTER] = _RETRY_AFTER_SECONDS
    if refused.status == 401:
        headers[hdrs.WWW_AUTHENTICATE] = 'Bearer, Basic realm="remediator"'
    body = msgspec.json.encode({"status": "refused", "detail": refused.detail})
    return web.Response(status=refused.status, body=body, content_type=_JSON, headers=headers)


def _explained(deps: WebDeps, error: Exception) -> _RefusedError:
    if isinstance(error, _RefusedError):
        return error
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        limit = deps.limits.webhook_bytes // 2**20
        detail = f"the body is over {limit} MiB: lower max_alerts in Alertmanager's webhook_configs"
        return _RefusedError(413, WebhookResult.TOO_LARGE, detail)
    if isinstance(error, web.RequestPayloadError):
        return _RefusedError(400, WebhookResult.NOT_JSON, "the body can't be read as its headers describe it")
    if isinstance(error, ConnectionError):
        return _RefusedError(503, WebhookResult.INCOMPLETE, "the sender hung up before the body was whole")
    if isinstance(error, StoreUnavailableError | TimeoutError):
        deps.metrics.store_failed()
        detail = "the post could not be stored; send it again"
        _log.error("webhook not stored", error=str(error) or f"no answer within {deps.limits.persist:g} s")
        return _RefusedError(503, WebhookResult.UNAVAILABLE, detail)
    _log.error("webhook not stored", exc_info=error)
    detail = "the post could not be taken; send it again"
    return _RefusedError(503, WebhookResult.UNAVAILABLE, detail)
