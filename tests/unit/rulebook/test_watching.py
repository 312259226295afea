"""Changed rule files are noticed however they are replaced, once they keep still, and nothing else is."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.rulebook.source import FileRules
from remediator.rulebook.watching import FileWatch
from tests.support.processes import eventually

SETTLED = 0.2
PROMPTLY = 10


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short times, but for the looks of last resort: who is told of nothing must wait for it in vain."""
    monkeypatch.setattr("remediator.rulebook.watching.SETTLED", timedelta(seconds=SETTLED))
    monkeypatch.setattr("remediator.rulebook.watching._TOLD", timedelta(hours=1))
    monkeypatch.setattr("remediator.rulebook.watching._UNTOLD", timedelta(seconds=0.1))


@asynccontextmanager
async def watched(path: Path) -> AsyncIterator[asyncio.Task[None]]:
    """A wait for a change of these files, begun before the change."""
    watch = FileWatch(FileRules(path))
    waiting = asyncio.create_task(watch.changed())
    await asyncio.sleep(SETTLED)
    assert not waiting.done()
    try:
        yield waiting
    finally:
        waiting.cancel()
        await asyncio.wait({waiting})


async def noticed(waiting: asyncio.Task[None]) -> None:
    await asyncio.wait_for(asyncio.shield(waiting), PROMPTLY)


async def test_a_file_that_is_written_anew(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: []")
    async with watched(file) as waiting:
        file.write_text("rules: [] # other")
        await noticed(waiting)


async def test_a_file_that_an_editor_puts_in_place_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "rules.conf"
    file.write_text("rules: []")
    async with watched(file) as waiting:
        (tmp_path / "rules.conf~").write_text("rules: []")
        (tmp_path / "rules.conf~").rename(file)
        await noticed(waiting)


async def test_files_that_come_and_go_anywhere_below_the_folder(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    async with watched(tmp_path) as waiting:
        (tmp_path / "team" / "a.yaml").write_text("rules: []")
        await noticed(waiting)
    async with watched(tmp_path) as waiting:
        (tmp_path / "team" / "a.yaml").unlink()
        await noticed(waiting)


def mounted(volume: Path, version: str) -> None:
    """Do as kubelet does for a ConfigMap: a new folder, and one rename of the link that leads to it."""
    (volume / f"..{version}").mkdir(parents=True)
    (volume / f"..{version}" / "rules.yaml").write_text("rules: []")
    (volume / "..data_tmp").symlink_to(f"..{version}")
    (volume / "..data_tmp").replace(volume / "..data")
    if not (volume / "rules.yaml").is_symlink():
        (volume / "rules.yaml").symlink_to("..data/rules.yaml")


@pytest.mark.parametrize("named", [".", "rules.yaml"], ids=["folder", "file"])
async def test_a_config_map_whose_folder_is_swapped(tmp_path: Path, named: str) -> None:
    mounted(tmp_path, "2026_01")
    async with watched(tmp_path / named) as waiting:
        mounted(tmp_path, "2026_02")
        await noticed(waiting)


async def test_a_link_to_the_folder_that_is_pointed_elsewhere(tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release / "rules").mkdir(parents=True)
        (tmp_path / release / "rules" / "a.yaml").write_text("rules: []")
    (tmp_path / "current").symlink_to("one")
    async with watched(tmp_path / "current" / "rules") as waiting:
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").replace(tmp_path / "current")
        await noticed(waiting)


async def test_a_file_that_is_written_where_a_link_leads(tmp_path: Path) -> None:
    mounted(tmp_path / "rules", "2026_01")
    async with watched(tmp_path / "rules") as waiting:
        (tmp_path / "rules" / "..2026_01" / "rules.yaml").write_text("rules: [] # other")
        await noticed(waiting)


async def test_a_file_is_not_read_while_somebody_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: []")
    async with watched(file) as waiting:
        with file.open("a") as writing:
            for _ in range(10):
                writing.write("# more\n")
                writing.flush()
                await asyncio.sleep(SETTLED / 4)
                assert not waiting.done()
        await noticed(waiting)


async def test_what_else_happens_beside_the_files_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: []")
    async with watched(tmp_path / "rules.yaml") as waiting:
        (tmp_path / "ledger.db-wal").write_text("x")
        (tmp_path / "other.yaml").write_text("rules: []")
        await asyncio.sleep(2 * SETTLED)
        assert not waiting.done()


async def test_each_change_is_noticed_also_one_between_two_waits(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("rules: []")
    watch = FileWatch(FileRules(file))
    for number in range(3):
        file.write_text(f"rules: [] # {number}")
        await asyncio.wait_for(watch.changed(), PROMPTLY)


async def test_files_are_looked_at_where_the_system_tells_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def untold(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "inotify instances are used up")

    monkeypatch.setattr("watchfiles.awatch", untold)
    file = tmp_path / "rules.yaml"
    file.write_text("rules: []")
    async with watched(file) as waiting:
        file.write_text("rules: [] # other")
        await noticed(waiting)


async def test_a_folder_that_is_gone_for_a_while(tmp_path: Path) -> None:
    rules, away = tmp_path / "rules", tmp_path / "away"
    rules.mkdir()
    watch = FileWatch(FileRules(rules))
    rules.rename(away)
    await asyncio.wait_for(watch.changed(), PROMPTLY)
    waiting = asyncio.create_task(watch.changed())
    await asyncio.sleep(SETTLED)
    away.rename(rules)

    async def back() -> bool:
        return waiting.done()

    await eventually(back, "the folder is noticed again", within=PROMPTLY)
