"""Changed rule files: which take the place of which, and who is told of those that can't be used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from remediator.core.events import EventKind
from remediator.core.notices import Lane
from remediator.core.ports.channels import RulebookError, RuleFiles
from remediator.core.ports.store import StoreUnavailableError
from remediator.engine.rule_files import RuleFilesLoop
from remediator.engine.rulebooks import Rulebooks
from remediator.rulebook.source import FileRules
from remediator.store.sqlite import SqliteStore
from tests.support.processes import eventually
from tests.support.rulebooks import page_only, rules
from tests.unit.engine.parts import Parts, engine_parts

BAD, WORSE = "rules: {}", "rules: []\nscope: 1"


def version(number: int) -> str:
    return rules(page_only(summary=f"Version {number}"), defaults={"report": ["log"]})


class Replica:
    """One of several on a ledger, with files of its own."""

    def __init__(self, parts: Parts, folder: Path, text: str) -> None:
        folder.mkdir()
        self.file = folder / "rules.yaml"
        self.file.write_text(text)
        self.books = Rulebooks(parts.store, FileRules(self.file))

    async def changes_to(self, text: str) -> None:
        self.file.write_text(text)
        await self.books.follow()

    @property
    def shows(self) -> str:
        """The summary of the only rule that it has in force."""
        return self.books.active.rulebook.rules[0].summary


async def test_changed_files_take_the_place_of_those_before_them(tmp_path: Path) -> None:
    async with engine_parts(tmp_path, text=version(1)) as parts:
        replica = Replica(parts, tmp_path / "a", version(1))
        await replica.books.boot()
        await replica.changes_to(version(2))
        assert (replica.shows, replica.books.drift) == ("Version 2", None)
        await replica.changes_to(version(1))
        assert (replica.shows, replica.books.drift) == ("Version 1", None)


async def test_a_replica_whose_files_come_late_never_flips_the_others_back(tmp_path: Path) -> None:
    """The second's files go 1, 2, 3 too, but when they become 2, the first has put 3 in force."""
    async with engine_parts(tmp_path, text=version(1)) as parts:
        first, late = (Replica(parts, tmp_path / name, version(1)) for name in "ab")
        for replica in (first, late):
            await replica.books.boot()
        await first.changes_to(version(2))
        await first.changes_to(version(3))
        await late.changes_to(version(2))
        await first.books.refresh()
        assert (first.shows, late.shows) == ("Version 3", "Version 3")
        assert late.books.drift is not None
        await late.changes_to(version(3))
        assert late.books.drift is None
        await late.changes_to(version(1))
        assert late.shows == "Version 1"


async def told(parts: Parts) -> list[tuple[str, str]]:
    """Titles and first lines of what is on its way to the log, oldest first; takes it out of the outbox."""
    items = await parts.store.due_envelopes(Lane.REPORTS, 99, timedelta(minutes=1))
    for item in items:
        await parts.store.sent(item, "ref")
    notices = [item.envelope.notice for item in items]
    return [(notice.title.partition(": ")[2], " ".join(notice.lines[:1])) for notice in notices]


REFUSED, MENDED = "the rule files can't be used", "the rule files can be used again"


async def test_each_error_is_told_once_and_once_that_it_is_mended(tmp_path: Path) -> None:
    async with engine_parts(tmp_path, text=version(1)) as parts:
        replica = Replica(parts, tmp_path / "a", version(1))
        await replica.books.boot()
        for text in (BAD, BAD, WORSE, BAD):
            with pytest.raises(RulebookError):
                await replica.changes_to(text)
        assert replica.books.refused
        assert replica.shows == "Version 1"
        said = await told(parts)
        assert [title for title, _ in said] == [REFUSED, REFUSED]
        assert ["'rules' has to be a list" in said[0][1], "'scope' has to be" in said[1][1]] == [True, True]
        await replica.changes_to(version(1))
        assert not replica.books.refused
        await replica.changes_to(version(2))
        assert await told(parts) == [(MENDED, "")]
        with pytest.raises(RulebookError):
            await replica.changes_to(BAD)
        assert len(await told(parts)) == 1
        events = [each.kind for each in await parts.store.events(0, 100)]
        assert events.count(EventKind.RULEBOOK_REFUSED) == 5


async def test_replicas_with_the_same_error_tell_of_it_in_one_message(tmp_path: Path) -> None:
    async with engine_parts(tmp_path, text=version(1)) as parts:
        for name in "ab":
            replica = Replica(parts, tmp_path / name, version(1))
            await replica.books.boot()
            with pytest.raises(RulebookError):
                await replica.changes_to(BAD)
        assert len(await told(parts)) == 1


@dataclass
class Changes:
    """A watch that tells of changes when it is told to."""

    coming: asyncio.Queue[None] = field(default_factory=asyncio.Queue)

    async def changed(self) -> None:
        await self.coming.get()


class Failing(SqliteStore):
    failures = 0

    async def propose_rulebook(self, proposed: RuleFiles, expected: object, *, forced: bool) -> object:  # type: ignore[override]  # it only fails first
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("gone for a moment")
        return await super().propose_rulebook(proposed, expected, forced=forced)  # type: ignore[arg-type]  # as above


async def test_a_change_that_the_ledger_missed_is_proposed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediator.engine.loops._FIRST_PAUSE", 0.01)
    async with engine_parts(tmp_path, Failing, version(1)) as parts:
        assert isinstance(parts.store, Failing)
        changes = Changes()
        following = asyncio.create_task(RuleFilesLoop(parts.engine, changes).run())
        parts.store.failures = 2
        for text, summary in ((version(2), "Version 2"), (BAD, "Version 2"), (version(3), "Version 3")):
            (tmp_path / "rules.yaml").write_text(text)
            changes.coming.put_nowait(None)

            async def heeded(summary: str = summary, *, bad: bool = text == BAD) -> bool:
                books = parts.engine.rulebooks
                return books.active.rulebook.rules[0].summary == summary and books.refused == bad

            await eventually(heeded, f"{summary} is in force")
        following.cancel()
        await asyncio.wait({following})
