"""A process that sends webhooks to a ledger until it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

_SENDER = """
import asyncio, sys
from remediator.store import store_from_url

async def main():
    store = store_from_url(sys.argv[1])
    await store.open()
    async def send(worker):
        for number in range(1_000_000):
            body = b"%d/%d" % (worker, number)
            await store.save_webhook("default", body * 50)
            sys.stdout.buffer.write(body + b"\\n")
            sys.stdout.buffer.flush()
    await asyncio.gather(*(send(worker) for worker in range(8)))

asyncio.run(main())
"""


def acknowledged_until_killed(url: str, count: int) -> list[bytes]:
    """What a sender, killed in the middle of its work, had said to be kept."""
    with subprocess.Popen([sys.executable, "-c", _SENDER, url], stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        acknowledged = [sender.stdout.readline().strip() for _ in range(count)]
        os.kill(sender.pid, signal.SIGKILL)
        return acknowledged + [line.strip() for line in sender.stdout if line.endswith(b"\n")]
