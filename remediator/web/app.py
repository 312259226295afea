"""The HTTP surface as one aiohttp application."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import hdrs, web
from prometheus_client.exposition import choose_encoder

from remediator.web import slack, webhook
from remediator.web.api import ENDPOINTS
from remediator.web.endpoints import JSON, SECURITY_HEADERS, Dispatcher
from remediator.web.health import HealthBoard
from remediator.web.openapi import document
from remediator.web.ports import WebDeps

#: What stands where the library would tell its name and version.
SERVER: Final = "remediator"


def make_app(deps: WebDeps) -> web.Application:
    """Put the webhook, the API, health, readiness and metrics together."""
    app = web.Application(client_max_size=deps.limits.webhook_bytes)
    health = HealthBoard(deps)
    dispatcher = Dispatcher(deps, health)
    app.router.add_post(webhook.PATH, webhook.webhook_handler(deps))
    clicks = slack.Interactivity(deps)
    app.router.add_post(slack.PATH, clicks.take)
    for endpoint in ENDPOINTS:
        if endpoint.method == hdrs.METH_GET:
            app.router.add_get(endpoint.path, dispatcher.handler(endpoint))
        else:
            app.router.add_route(endpoint.method, endpoint.path, dispatcher.handler(endpoint))
    _add_document(app, deps.version)
    _add_metrics(app, deps)
    app.router.add_route("*", "/api/{rest:.*}", dispatcher.unknown)
    app.on_response_prepare.append(_hide_server)
    app.on_cleanup.append(lambda _: health.close())
    app.on_cleanup.append(lambda _: clicks.close())
    return app


def _add_document(app: web.Application, version: str) -> None:
    body = msgspec.json.encode(document(ENDPOINTS, version))

    async def describe(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=JSON, headers=SECURITY_HEADERS)

    app.router.add_get("/api/openapi.json", describe)


def _add_metrics(app: web.Application, deps: WebDeps) -> None:
    async def metrics(request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        headers = {**SECURITY_HEADERS, hdrs.CONTENT_TYPE: content_type}
        return web.Response(body=encode(deps.metrics.registry), headers=headers)

    app.router.add_get("/metrics", metrics)


async def _hide_server(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = SERVER
