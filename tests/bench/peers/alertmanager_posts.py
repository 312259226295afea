"""An event source for ansible-rulebook: serves POST /alertmanager and puts each alert of a post as one event.

Like the collection's own source it answers once all alerts of the post are queued. ansible-rulebook loads it
by path, in an environment of its own, so it imports nothing of this project.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web


async def main(queue: asyncio.Queue[Any], args: dict[str, Any]) -> None:
    """Serve on 127.0.0.1 at `args["port"]` until cancelled."""

    async def take(request: web.Request) -> web.Response:
        for alert in (await request.json())["alerts"]:
            await queue.put({"alert": alert})
        return web.Response()

    async def alive(_: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=2**25)
    app.router.add_post("/alertmanager", take)
    app.router.add_get("/", alive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(args["port"])).start()
    try:
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
