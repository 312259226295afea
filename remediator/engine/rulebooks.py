"""The rulebook in force, one row in the ledger for all replicas, and those that runs are pinned to."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import structlog

from remediator.core.changes import Proposal, RulebookRow
from remediator.core.events import Event, EventKind
from remediator.core.ids import RulebookHash
from remediator.core.ports.channels import RulebookError, RulebookSource, RuleFiles
from remediator.core.ports.store import Store
from remediator.core.rule_index import RuleIndex
from remediator.core.rules import Rulebook

_log = structlog.get_logger(__name__)
_KEPT_COMPILED = 16
_REMEDY = "`remediator reload` or SIGHUP puts these files in force"


@dataclass(frozen=True, slots=True)
class Book:
    """A rulebook and the index that finds its rules."""

    rulebook: Rulebook
    index: RuleIndex


class Rulebooks:
    """Proposes rule files to the ledger and compiles what the ledger says is in force."""

    def __init__(self, store: Store, source: RulebookSource) -> None:
        self._store = store
        self._source = source
        self._active: Book | None = None
        self._compiled = lru_cache(_KEPT_COMPILED)(self._compile)
        self.drifted: RulebookHash | None = None
        self.problem: str | None = None

    @property
    def active(self) -> Book:
        """The book in force; set by :meth:`boot`."""
        if self._active is None:
            message = "no rulebook has been loaded yet"
            raise RuntimeError(message)
        return self._active

    def complaint(self) -> str:
        """Why this replica's rule files are not what is in force, for people; empty while they are."""
        if self.problem is not None:
            return f"they can't be used: {self.problem}"
        if self.drifted not in (None, self.active.rulebook.hash):
            return f"{str(self.drifted)[:12]} was replaced before and is not in force; {_REMEDY}"
        return ""

    async def boot(self) -> None:
        """Propose the files unless the ledger saw them before; files that can't be used keep the old book.

        Raises:
            RulebookError: the files can't be used, and the ledger holds no rulebook to go on with.
        """
        try:
            files, compiled = self._read()
        except RulebookError as error:
            if await self._store.active_rulebook() is None:
                raise
            await self._refuse(error)
        else:
            await self._propose(files, compiled, forced=False)
        await self.refresh()

    async def reload(self, who: str) -> Proposal:
        """Propose the files as a person's wish.

        Raises:
            RulebookError: the files can't be used; the old rulebook stays in force.
        """
        try:
            files, compiled = self._read()
        except RulebookError as error:
            await self._refuse(error)
            raise
        _log.info("rulebook proposed", who=who, hash=files.hash)
        proposal = await self._propose(files, compiled, forced=True)
        await self.refresh()
        return proposal

    async def refresh(self) -> None:
        """Take over what the ledger says is in force."""
        row = await self._store.active_rulebook()
        if row is not None and (self._active is None or self._active.rulebook.hash != row.hash):
            self._active = self._compiled_row(row)

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

    def _read(self) -> tuple[RuleFiles, Rulebook]:
        files = self._source.read()
        return files, self._compiled(files.hash, tuple(files.texts.items())).rulebook

    async def _propose(self, files: RuleFiles, compiled: Rulebook, *, forced: bool) -> Proposal:
        proposal = await self._store.propose_rulebook(files, forced=forced)
        self.problem = None
        self.drifted = files.hash if proposal is Proposal.DRIFTED else None
        if proposal is Proposal.DRIFTED:
            _log.warning(
                "rulebook drifted: these files were replaced before and are not in force",
                hash=files.hash,
                remedy=_REMEDY,
            )
        for warning in compiled.warnings:
            _log.warning("rulebook", warning=warning)
        return proposal

    async def _refuse(self, error: RulebookError) -> None:
        self.problem = "; ".join(error.problems)
        _log.error("rule files refused, the old rulebook stays in force", problems=error.problems)
        now = await self._store.now()
        await self._store.record([Event(EventKind.RULEBOOK_REFUSED, now, {"problems": list(error.problems)})])

    def _compiled_row(self, row: RulebookRow) -> Book:
        return self._compiled(row.hash, tuple(row.files.items()))

    def _compile(self, hash_: RulebookHash, texts: tuple[tuple[str, str], ...]) -> Book:
        rulebook = self._source.compile(RuleFiles(dict(texts), hash_))
        return Book(rulebook, RuleIndex(rulebook.rules))
