"""The rulebook in force, one row in the ledger for all replicas, and those that runs are pinned to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import structlog

from remediator.core.changes import Proposal, RulebookRow
from remediator.core.ids import RulebookHash
from remediator.core.ports.channels import RulebookError, RulebookSource, RuleFiles
from remediator.core.ports.store import Store
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import DEFAULT_REPORT, Rulebook
from remediator.engine.refusals import Refusals

_log = structlog.get_logger(__name__)
_KEPT_COMPILED = 16
_REMEDY = "`remediator reload` or SIGHUP on this replica puts these in force"
_NOT_IN_FORCE = {
    Proposal.DRIFTED: "rulebook drift: these files were replaced before and are not in force",
    Proposal.OVERTAKEN: "rulebook drift: others were put in force while these were proposed",
}


@dataclass(frozen=True, slots=True)
class Book:
    """A rulebook and the index that finds its rules."""

    rulebook: Rulebook
    index: RuleIndex


class Rulebooks:
    """Proposes rule files to the ledger and compiles what the ledger says is in force."""

    def __init__(
        self, store: Store, source: RulebookSource, require: Callable[[Rulebook], None] = lambda _: None
    ) -> None:
        """``require`` raises RulebookError if this replica lacks what its files' rulebook needs."""
        self._store = store
        self._require = require
        self._source = source
        self._active: Book | None = None
        self._compiled = lru_cache(_KEPT_COMPILED)(self._compile)
        self._problem: str | None = None
        self._refusals = Refusals(store)
        self._proposing = asyncio.Lock()
        #: The hash of this replica's files, as they were last read.
        self._own: RulebookHash | None = None

    @property
    def active(self) -> Book:
        """The book in force; set by :meth:`boot`."""
        if self._active is None:
            message = "no rulebook has been loaded yet"
            raise RuntimeError(message)
        return self._active

    @property
    def drift(self) -> RulebookHash | None:
        """The hash of this replica's rule files, as last read, while another rulebook is in force."""
        return None if self._own in (None, self.active.rulebook.hash) else self._own

    @property
    def refused(self) -> bool:
        """Whether this replica's rule files, as last read, can't be used."""
        return self._problem is not None

    def complaint(self) -> str:
        """Why this replica's rule files are not what is in force, for people; empty while they are."""
        if self._problem is not None:
            return f"they can't be used: {self._problem}"
        if self.drift is not None:
            active = self.active.rulebook.hash
            return f"drift: they are {self.drift[:12]}, and {active[:12]} is in force; {_REMEDY}"
        return ""

    def default_report(self) -> tuple[str, ...]:
        """Who hears of what no rule answers for, also before the ledger could say which book is in force."""
        if self._active is not None:
            return self._active.rulebook.default_report
        try:
            return self._read()[1].default_report
        except RulebookError:
            return DEFAULT_REPORT

    async def boot(self) -> None:
        """Propose the files unless the ledger saw them before; files that can't be used keep the old book.

        Raises:
            RulebookError: the files can't be used, and the ledger holds no rulebook to go on with.
        """
        before = await self._store.active_hash()
        try:
            files, compiled = self._read()
        except RulebookError as error:
            if before is None:
                raise
            await self.refresh()
            await self._refuse(error)
        else:
            await self._propose(files, compiled, before, forced=False)

    async def reload(self, who: str) -> Proposal:
        """Propose the files as a person's wish, in the place of the rulebook that is in force now.

        Raises:
            RulebookError: the files can't be used; the old rulebook stays in force.
        """
        async with self._proposing:
            before, files, compiled = await self._read_anew()
            _log.info("rulebook proposed", who=who, hash=files.hash)
            return await self._propose(files, compiled, before, forced=True)

    async def follow(self) -> None:
        """Propose files that have changed, in the place of those before them.

        If those were not in force, another replica's are that may well be newer: then only files that the
        ledger never saw are put in force, as at a start.

        Raises:
            RulebookError: the files can't be used; the old rulebook stays in force.
        """
        async with self._proposing:
            before, files, compiled = await self._read_anew()
            if files.hash == self._own and not (self.refused or self._refusals.standing):
                return
            _log.info("rulebook proposed", who="a change of the rule files", hash=files.hash)
            await self._propose(files, compiled, before, forced=before is not None and before == self._own)

    async def refresh(self) -> None:
        """Take over what the ledger says is in force, whoever put it there."""
        before, hash_ = self._active, await self._store.active_hash()
        if hash_ is None or (before is not None and before.rulebook.hash == hash_):
            return
        row = await self._store.rulebook(hash_)
        if row is None:
            return
        self._active = self._compiled_row(row)
        _log.info("rulebook in force", hash=row.hash)
        if before is not None and before.rulebook.hash == self._own:
            _log.warning("rulebook drift: others than this replica's files are in force", remedy=_REMEDY)

    async def pinned(self, hash_: RulebookHash) -> Rulebook | None:
        """The rulebook that a run began with, or ``None`` if this version can't read it any more."""
        if self._active is not None and self._active.rulebook.hash == hash_:
            return self._active.rulebook
        row = await self._store.rulebook(hash_)
        if row is None:
            return None
        try:
            return self._compiled_row(row).rulebook
        except RulebookError as error:
            _log.error("pinned rulebook unreadable", hash=hash_, problems=error.problems)
            return None

    async def _read_anew(self) -> tuple[RulebookHash | None, RuleFiles, Rulebook]:
        """What is in force, and the files as they are now; webhooks are kept while they are compiled."""
        before = await self._store.active_hash()
        try:
            return before, *await asyncio.to_thread(self._read)
        except RulebookError as error:
            await self._refuse(error)
            raise

    def _read(self) -> tuple[RuleFiles, Rulebook]:
        files = self._source.read()
        rulebook = self._compiled(files.hash, tuple(files.texts.items())).rulebook
        self._require(rulebook)
        return files, rulebook

    async def _propose(
        self, files: RuleFiles, compiled: Rulebook, before: RulebookHash | None, *, forced: bool
    ) -> Proposal:
        proposal = await self._store.propose_rulebook(files, before, forced=forced)
        self._problem, self._own = None, files.hash
        await self.refresh()
        await self._refusals.mended(files.hash, self.default_report())
        if proposal in _NOT_IN_FORCE:
            _log.warning(_NOT_IN_FORCE[proposal], hash=files.hash, remedy=_REMEDY)
        for warning in compiled.warnings:
            _log.warning("rulebook", warning=warning)
        return proposal

    async def _refuse(self, error: RulebookError) -> None:
        self._problem = "; ".join(error.problems)
        _log.error("rule files refused, the old rulebook stays in force", problems=error.problems)
        active = None if self._active is None else self._active.rulebook.hash
        await self._refusals.refused(error.problems, active, self.default_report())

    def _compiled_row(self, row: RulebookRow) -> Book:
        return self._compiled(row.hash, tuple(row.files.items()))

    def _compile(self, hash_: RulebookHash, texts: tuple[tuple[str, str], ...]) -> Book:
        rulebook = self._source.compile(RuleFiles(dict(texts), hash_))
        return Book(rulebook, RuleIndex(rulebook.rules))
