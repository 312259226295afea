"""Where a ledger is kept, as it is written in the settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from remediator.core.ports.store import StoreError, StoreUnavailableError
from remediator.store import store_from_url
from remediator.store.postgres import PostgresStore


async def test_a_relative_path_starts_at_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = store_from_url("sqlite:///some%20ledger.db")
    await store.open()
    await store.close()
    assert (tmp_path / "some ledger.db").is_file()


async def test_an_absolute_path_has_four_slashes(tmp_path: Path) -> None:
    store = store_from_url(f"sqlite:///{tmp_path / 'ledger.db'}")
    await store.open()
    await store.close()
    assert (tmp_path / "ledger.db").is_file()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://user:s3/cret@db/ledger", "percent-encoded"),
        ("postgresql://user:s3#cret@db/ledger", "percent-encoded"),
        ("postgresql://user:s3?cret@db/ledger", "percent-encoded"),
        ("postgresql://db:port/ledger", "percent-encoded"),
        ("postgresql://[::1/ledger", "percent-encoded"),
        ("mysql://db/ledger", "mysql is no kind of ledger"),
        ("remediator.db", "no scheme is no kind of ledger"),
        ("", "no scheme"),
        ("sqlite://remediator.db", "sqlite:///relative"),
        ("sqlite:///", "sqlite:///relative"),
        ("sqlite:///folder/", "sqlite:///relative"),
        ("sqlite:///x.db?mode=ro", "sqlite:///relative"),
    ],
)
def test_what_is_no_ledger_is_refused_with_what_to_write(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said) as refused:
        store_from_url(url)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("postgresql://user:s3cret@db:5433/ledger", "postgresql://db:5433/ledger"),
        ("postgresql:///ledger?host=/run/pg&password=s3cret", "postgresql:///ledger?host=/run/pg"),
        ("postgres://user:s3cret@a:1,b:2/l?sslmode=require", "postgres://a:1,b:2/l"),
        ("postgresql://user@[::1]:5432/l", "postgresql://[::1]:5432/l"),
        ("postgresql://user@[::1]/l", "postgresql://[::1]/l"),
    ],
)
async def test_a_postgresql_uri_is_taken_as_it_is_and_never_shown_with_its_password(
    url: str, seen: str
) -> None:
    store = store_from_url(url)
    assert isinstance(store, PostgresStore)
    with pytest.raises(StoreUnavailableError) as unavailable:
        await store.check()
    assert str(unavailable.value) == f"the ledger {seen} is not open"


def test_a_ledger_in_a_file_needs_no_asyncpg() -> None:
    script = (
        "import sys; from remediator.store import store_from_url; store_from_url('sqlite:///x.db');"
        "sys.exit('asyncpg' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
