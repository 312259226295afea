"""Each golden file has exactly these findings, with these places and words."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.rulebook.support import cases, found, judged


@pytest.mark.parametrize("path", cases("bad"), ids=lambda path: path.name)
def test_a_bad_file_is_refused_with_every_error_at_once(path: Path) -> None:
    judgement = judged(path)
    assert judgement.rulebook is None
    assert found(judgement) == path.with_suffix(".txt").read_text()


@pytest.mark.parametrize("path", cases("good"), ids=lambda path: path.name)
def test_a_good_file_is_loaded_with_its_warnings(path: Path) -> None:
    judgement = judged(path)
    assert judgement.errors == ()
    assert found(judgement) == path.with_suffix(".txt").read_text()
    assert judgement.rulebook is not None
    assert judgement.rulebook.warnings == tuple(map(str, judgement.warnings))


@pytest.mark.parametrize("path", cases("good"), ids=lambda path: path.name)
def test_the_same_files_give_an_equal_rulebook(path: Path) -> None:
    assert judged(path).rulebook == judged(path).rulebook
