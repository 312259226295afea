"""Where a ledger is kept, as it is written in the settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediator.core.ports.store import StoreError
from remediator.store import store_from_url


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
        ("postgresql://db/ledger", "not built in this version"),
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
    with pytest.raises(StoreError, match=said):
        store_from_url(url)
