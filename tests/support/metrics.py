"""What a daemon says at /metrics, read as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.processes import eventually


async def samples(http: aiohttp.ClientSession, url: str, name: str, **labels: str) -> list[Sample]:
    """The samples of this name that bear these labels; ``url`` is where the metrics are."""
    async with http.get(url) as answer:
        families = text_string_to_metric_families(await answer.text())
    every = (sample for family in families for sample in family.samples)
    return [each for each in every if each.name == name and labels.items() <= each.labels.items()]


async def counted(
    http: aiohttp.ClientSession, url: str, name: str, enough: Callable[[float], bool], **labels: str
) -> None:
    """Return once the samples of this name that bear these labels sum up to enough.

    What the ledger shows is counted a moment later: a sample that is read only once may be from before.
    """

    async def so_many() -> bool:
        values = [each.value for each in await samples(http, url, name, **labels)]
        assert values, "no such sample"
        assert enough(sum(values)), values
        return True

    await eventually(so_many, f"{name}{labels} is counted", within=30)
