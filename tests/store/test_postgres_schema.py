"""The shared ledger's schema, and what its database must be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.changes import Intake
from remediator.core.episodes import observe
from remediator.core.ids import Owner
from remediator.core.ports.store import StoreError, StoreUnavailableError
from remediator.store.common.migrations import migrations
from remediator.store.postgres import PostgresStore
from remediator.store.postgres.address import checked, shown
from remediator.store.postgres.schema import migrate
from remediator.store.postgres.transaction import Lock, kept, told
from tests.store.clock import FakeClock
from tests.store.postgres import PostgresBackend, execute, server
from tests.store.values import TTL, a_request, an_alert, begin, due, lease, running, take
from tests.support.processes import eventually


@pytest.fixture
def url() -> Iterator[str]:
    """An empty database on the real clock."""
    url = server().make_database()
    yield url
    server().drop(url)


async def test_replicas_that_start_together_make_the_ledger_once(url: str) -> None:
    stores = [PostgresStore(url) for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await take(stores[0], an_alert())
    assert len(await due(stores[3])) == 1
    for store in stores:
        await store.close()


async def test_time_is_the_databases(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    before = datetime.now(UTC)
    now = await store.now()
    assert abs(now - before) < timedelta(minutes=1)
    assert await store.now() > now
    assert (await store.view(await begin(store))).acting_from is None
    await store.close()


async def test_a_look_that_finds_nothing_leaves_nothing(url: str) -> None:
    """It costs no flush of the disk, however often replicas look."""
    store = PostgresStore(url)
    await store.open()
    connection = await asyncpg.connect(url)
    counted = "SELECT count(*) FROM ledger_commits"
    before = await connection.fetchval(counted)
    assert await due(store) == []
    assert await store.untaken_webhooks(1 << 20) == []
    assert await connection.fetchval(counted) == before
    await store.save_webhook("default", b"{}")
    assert await connection.fetchval(counted) == before + 1
    await connection.close()
    await store.close()


async def test_a_new_ledger_begins_above_the_tokens_of_any_before_it(url: str) -> None:
    """Milliseconds since 1970, as on SQLite: no ledger took a lease for each of them."""
    store = PostgresStore(url)
    await store.open()
    held = await lease(store, await begin(store))
    assert held.token >= int((datetime.now(UTC) - timedelta(minutes=1)).timestamp() * 1000)
    await store.close()


async def test_a_ledger_of_a_newer_version_is_refused(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    await store.close()
    await execute(url, "INSERT INTO ledger_schema (version) VALUES (9999)")
    with pytest.raises(StoreError, match="9999"):
        await store.open()


async def test_the_version_before_goes_on_while_a_newer_one_adds_to_the_tables(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    run = await begin(store, "r-1")
    await execute(
        url,
        "ALTER TABLE runs ADD COLUMN later text",
        "ALTER TABLE episodes ADD COLUMN later bigint NOT NULL DEFAULT 0",
        "ALTER TABLE outbox ADD COLUMN later text",
        "INSERT INTO ledger_schema (version) VALUES (9999)",
    )
    assert await store.run(run.id) == run
    await begin(store, "r-2")
    await store.acquire(run.id, Owner("me"), TTL)
    await store.close()


async def test_who_waits_for_another_that_migrates_gives_up_and_says_for_whom(url: str) -> None:
    busy, late = await asyncpg.connect(url), await asyncpg.connect(url)
    await busy.execute("SET application_name = 'newer replica'")
    await busy.execute(f"SELECT pg_advisory_lock({Lock.MIGRATE.value})")
    with pytest.raises(StoreUnavailableError, match=r"another replica: newer replica \(pid \d+, from a sock"):
        await migrate(late, "the ledger", patience=0.1)
    waiting = asyncio.create_task(migrate(late, "the ledger"))
    await busy.close()
    await waiting
    await late.close()


async def test_a_ledger_that_is_up_to_date_is_opened_whoever_migrates(url: str) -> None:
    store = PostgresStore(url)
    await store.open()
    busy = await asyncpg.connect(url)
    await busy.execute(f"SELECT pg_advisory_lock({Lock.MIGRATE.value})")
    other = PostgresStore(url)
    async with asyncio.timeout(10):
        await other.open()
    await busy.close()
    await other.close()
    await store.close()


@pytest.fixture
async def before(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresStore]:
    """A store that was opened when the newest migration was not there yet."""
    everything = migrations("postgres")
    with monkeypatch.context() as patch:
        patch.setattr("remediator.store.postgres.schema.migrations", lambda _: everything[:-1])
        store = PostgresStore(url)
        await store.open()
    yield store
    await store.close()


async def test_the_version_before_keeps_writing_while_a_newer_one_migrates(
    before: PostgresStore, url: str
) -> None:
    """Webhooks are kept all the while, and none takes long: no table is held for longer than a moment."""
    done = asyncio.Event()
    kept_: list[bytes] = []

    async def keep() -> None:
        while not done.is_set():
            body = b"%d" % len(kept_)
            await before.save_webhook("default", body)
            kept_.append(body)

    keeping = asyncio.create_task(keep())
    await eventually(lambda: len(kept_) > 5, "webhooks are kept")
    newer = PostgresStore(url)
    await newer.open()
    after = len(kept_) + 5
    await eventually(lambda: len(kept_) > after, "webhooks are still kept")
    done.set()
    await keeping
    assert [webhook.body for webhook in await newer.untaken_webhooks(1 << 20)] == kept_
    await newer.close()


async def test_a_table_in_use_is_waited_for_a_while_and_who_uses_it_is_said(
    before: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile the version before waits for no longer than a try takes."""
    monkeypatch.setattr("remediator.store.postgres.schema._LOCK_TIMEOUT", "SET LOCAL lock_timeout = '100ms'")
    changes = (9999, "ALTER TABLE webhooks ADD COLUMN later bigint")
    monkeypatch.setattr(
        "remediator.store.postgres.schema.migrations", lambda _: [*migrations("postgres"), changes]
    )
    reader = await asyncpg.connect(url)
    await reader.execute("SET application_name = 'a long report'")
    await reader.execute("BEGIN; SELECT count(*) FROM webhooks")
    newer = PostgresStore(url)
    with pytest.raises(StoreUnavailableError, match=r"schema 9999: a table .* in use.* a long report"):
        await newer.open()
    await before.save_webhook("default", b"kept")
    await reader.close()
    await newer.open()
    assert len(await newer.untaken_webhooks(1 << 20)) == 1
    await newer.close()


async def test_another_programs_database_is_left_alone(url: str) -> None:
    await execute(url, "CREATE TABLE theirs (x integer)")
    with pytest.raises(StoreError, match="another program"):
        await PostgresStore(url).open()
    connection = await asyncpg.connect(url)
    found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert [row[0] for row in found] == ["theirs"]


async def test_a_schema_of_its_own_beside_others_will_do(url: str) -> None:
    await execute(url, "CREATE TABLE theirs (x integer)", "CREATE SCHEMA ledger")
    store = PostgresStore(f"{url}{'&' if '?' in url else '?'}search_path=ledger")
    await store.open()
    await store.check()
    await store.close()


async def test_a_database_that_cannot_hold_every_character_is_refused(url: str) -> None:
    name = url.partition("?")[0].rpartition("/")[2]
    await execute(
        server().url,
        f"DROP DATABASE {name}",
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'",
    )
    with pytest.raises(StoreError, match="UTF8"):
        await PostgresStore(url).open()


async def test_what_no_text_of_postgresql_holds_is_kept_all_the_same(
    tmp_path: Path, clock: FakeClock
) -> None:
    """A NUL in a fingerprint opens an episode, is found again, and is told as it was."""
    backend = PostgresBackend(tmp_path, clock)
    store = backend.make()
    await store.open()
    for odd in ("a\x00b", "a\ue0000b", "a\ue000b"):
        for _ in range(2):
            await store.save_webhook("default", b"{}")
            (webhook,) = await store.untaken_webhooks(1 << 20)
            await store.take_webhooks([Intake(webhook.id, (an_alert(odd),))], observe)
        (episode,) = await due(store)
        assert (episode.fingerprint, episode.repeats) == (odd, 1)
        await store.decide([a_request(episode, odd, run=f"r-{episode.id}")], running)
        (row, *_) = await store.decisions(1)
        assert row.rule == odd
    await store.close()
    backend.close()


@given(st.text(alphabet=st.sampled_from("a0\x00\ue0001")))
def test_every_text_comes_back_as_it_was(text: str) -> None:
    assert told(kept(text)) == text
    assert "\x00" not in kept(text)


@given(st.text(alphabet=st.sampled_from("a0\x00\ue0001")), st.text(alphabet=st.sampled_from("a0\x00\ue0001")))
def test_different_texts_are_kept_apart(one: str, other: str) -> None:
    assert (kept(one) == kept(other)) == (one == other)


@given(st.text(min_size=8, alphabet=st.characters(codec="ascii", categories=("L", "N", "P", "S"))))
def test_no_uri_that_is_taken_shows_its_password(password: str) -> None:
    """However it is written: percent-encoded as it must be, or not."""
    secret = f"s3cret{password}s3cret"
    try:
        url = checked(f"postgresql://user:{secret}@db:5432/ledger")
    except StoreError as error:
        assert "s3cret" not in str(error)  # noqa: PT017 - most are refused, and some are not
        return
    assert "s3cret" not in shown(url)
