"""The rows of the table, one module each; `ROWS` in the order in which they are run and printed."""

from __future__ import annotations

from collections.abc import Mapping

from tests.bench.context import Row
from tests.bench.rows import burst, ingest, latency, ledgers, matching, memory, sender, startup

ROWS: Mapping[str, Row] = {
    "ingest": ingest.measure,
    "sender": sender.measure,
    "burst": burst.measure,
    "latency": latency.measure,
    "ledgers": ledgers.measure,
    "matching": matching.measure,
    "startup": startup.measure,
    "memory": memory.measure,
}
