"""Retention goes on with the other shelves when one is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from remediator.core.events import Event, EventKind
from remediator.core.notices import Lane
from remediator.core.retention import Retention
from remediator.engine.retention import RetentionLoop
from remediator.store.sqlite import SqliteStore
from remediator.store.sqlite.transaction import Transaction
from tests.store.values import an_envelope
from tests.unit.engine.parts import engine_parts

_REFUSES = (
    "CREATE TRIGGER refuses BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'events are kept here'); END"
)


async def count(store: SqliteStore, table: str) -> int:
    def work(transaction: Transaction) -> int:
        return int(transaction.sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    return await store._writer.submit(work)


async def test_what_one_shelf_is_refused_leaves_the_others_tidy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Retention, "of", lambda _retention, _shelf: timedelta(0))
    async with engine_parts(tmp_path) as parts:
        store = parts.store
        await store._writer.submit(lambda transaction: transaction.sql.execute(_REFUSES).close())
        old = Event(EventKind.ALARM_RAISED, await store.now(), {"detail": "old"})
        await store.record([old, Event(EventKind.RULEBOOK_DRIFTED, old.at)])
        await store.post([an_envelope()])
        (item,) = await store.due_envelopes(Lane.REPORTS, 1, timedelta(0))
        await store.sent(item, "")
        assert not await RetentionLoop(parts.engine).work()
        assert await count(store, "events") > 0
        assert await count(store, "outbox") == 0
        assert parts.metric("remediator_store_errors_total") == 2, "events and the audit's"
