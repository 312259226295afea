"""The wall clock jumps by an hour under a daemon that repairs, on a ledger whose time is this clock's.

Either way nothing is done twice, everything is told, and no intent is written before the time of a lease has
passed since the jump: one that was taken before it may hold for as long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.faults.arena import Arena, an_arena
from tests.faults.scenarios import REPAIR, ROLLED_OUT
from tests.faults.test_servers import goes_on, unharmed
from tests.support.processes import eventually

pytestmark = pytest.mark.timeout(400)
TTL = timedelta(seconds=3)
HOUR = timedelta(hours=1)
#: Nothing of it is over when an hour has passed at once.
PATIENT = replace(REPAIR, name="patient", fields={"deadline": "3h", "verify": {**ROLLED_OUT, "within": "2h"}})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def events(arena: Arena, *kinds: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = await arena.fleet.get("/events?limit=1000")
    return [each for each in found if each["kind"] in kinds]


async def jumps(arena: Arena) -> list[Mapping[str, Any]]:
    return await events(arena, "clock.jumped")


@pytest.mark.parametrize("by", [-HOUR, HOUR], ids=["back", "forth"])
async def test_an_hour(tmp_path: Path, by: timedelta) -> None:
    ledger = f"sqlite:///{tmp_path / 'ledger.db'}"
    async with an_arena(tmp_path, ledger, f"{TTL.seconds}s", (PATIENT,), size=1) as arena:
        playing = asyncio.create_task(arena.play(PATIENT, [unharmed] * 8, 3))
        await goes_on(arena, playing)
        arena.strikes.shift_clock(by)
        (jump,) = await eventually(lambda: jumps(arena), "the jump is told")
        await playing
        jumped, waited = moment(jump["at"]), moment(jump["data"]["acting_from"])
        begun = [moment(each["at"]) for each in await events(arena, "attempt.intended")]
        assert waited - jumped == TTL
        assert [at for at in begun if jumped < at < waited] == []
        assert [at for at in begun if at >= waited], "and then it goes on"
