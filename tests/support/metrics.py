"""What a daemon says at /metrics, read as Prometheus reads it."""

from __future__ import annotations

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


async def samples(http: aiohttp.ClientSession, url: str, name: str, **labels: str) -> list[Sample]:
    """The samples of this name that bear these labels; ``url`` is where the metrics are."""
    async with http.get(url) as answer:
        families = text_string_to_metric_families(await answer.text())
    every = (sample for family in families for sample in family.samples)
    return [each for each in every if each.name == name and labels.items() <= each.labels.items()]
