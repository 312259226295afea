"""Which files are rules, and what can go wrong on the way to their text."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remediator.core.ports.channels import RulebookError
from remediator.rulebook.source import FileRules, UnreadableRules, rulebook_hash

EMPTY = "rules: []\n"


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(EMPTY)


def test_a_folder_is_read_recursively_without_tests_and_hidden_files(tmp_path: Path) -> None:
    write(
        tmp_path, "b.yaml", "a/c.yaml", "tests/t.yaml", "a/tests/t.yaml", ".git/x.yaml", ".x.yaml", "d.json"
    )
    assert list(FileRules(tmp_path).read().texts) == ["a/c.yaml", "b.yaml"]


def test_a_mounted_configmap_is_read_once(tmp_path: Path) -> None:
    """The kubelet links each file to `..data/`, and that to a folder with a date."""
    write(tmp_path, "..2026_11_23/rules.yaml")
    (tmp_path / "..data").symlink_to("..2026_11_23")
    (tmp_path / "rules.yaml").symlink_to("..data/rules.yaml")
    assert FileRules(tmp_path).read().texts == {"rules.yaml": EMPTY}


def test_linked_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    write(tmp_path, "rules/a.yaml", "shared/b.yaml")
    (tmp_path / "rules" / "shared").symlink_to(tmp_path / "shared")
    (tmp_path / "shared" / "loop").symlink_to(tmp_path / "rules")
    assert list(FileRules(tmp_path / "rules").read().texts) == ["a.yaml", "shared/b.yaml"]


def test_a_lone_file_goes_by_its_name_whatever_it_is(tmp_path: Path) -> None:
    write(tmp_path, "rules.conf")
    assert list(FileRules(tmp_path / "rules.conf").read().texts) == ["rules.conf"]


def test_a_missing_path_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match=r"gone: no such file or folder: .*REMEDIATOR_RULES"):
        FileRules(tmp_path / "gone").read()


def test_every_unreadable_file_is_named_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"rules:\n  # caf\xe9\n")
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    write(tmp_path, "fine.yaml")
    with pytest.raises(UnreadableRules) as caught:
        FileRules(tmp_path).read()
    assert caught.value.problems == (
        f"{tmp_path}/dangling.yaml: can't be read: No such file or directory",
        f"{tmp_path}/latin.yaml:2:8: not UTF-8: save the file as UTF-8",
    )


def test_a_pipe_in_a_folder_is_never_opened(tmp_path: Path) -> None:
    """Reading it would wait for ever."""
    os.mkfifo(tmp_path / "pipe.yaml")
    assert FileRules(tmp_path).read().texts == {}


def test_an_empty_folder_is_a_rulebook_without_rules(tmp_path: Path) -> None:
    source = FileRules(tmp_path)
    rulebook = source.compile(source.read())
    assert rulebook.rules == ()
    assert len(rulebook.warnings) == 1


def test_a_bad_rulebook_raises_every_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("rule: []\nbrakes: {}\n")
    source = FileRules(tmp_path)
    with pytest.raises(RulebookError) as caught:
        source.compile(source.read())
    assert caught.value.problems == (
        "a.yaml:1:1: unknown key 'rule': did you mean 'rules'?",
        "a.yaml:2:1: unknown key 'brakes': did you mean 'brake'?",
    )


def test_the_hash_tells_any_two_sets_of_files_apart() -> None:
    sets = [{}, {"a": ""}, {"": "a"}, {"a": "b"}, {"a": "", "b": ""}, {"ab": ""}, {"a": "1:b"}]
    assert len({rulebook_hash(texts) for texts in sets}) == len(sets)
    assert rulebook_hash({"a": "1", "b": "2"}) == rulebook_hash({"b": "2", "a": "1"})


def test_files_with_the_wrong_ending_are_named(tmp_path: Path) -> None:
    write(tmp_path, "a.yml", "team/b.yml", "c.yaml")
    assert FileRules(tmp_path).misnamed() == ["a.yml", "team/b.yml"]
