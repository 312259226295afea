"""Reading YAML: places, scalars, and what is refused."""

from __future__ import annotations

import pytest

from remediator.rulebook.document import MOST_DEPTH, read

TEXT = """\
rules:
  - name: first
    when: {matchers: [a, b]}
  - &second
    name: second
again: *second
"""


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        ((), False, (1, 1)),
        (("rules",), True, (1, 1)),
        (("rules",), False, (2, 3)),
        (("rules", 0), False, (2, 5)),
        (("rules", 0, "name"), True, (2, 5)),
        (("rules", 0, "name"), False, (2, 11)),
        (("rules", 0, "when", "matchers", 1), False, (3, 26)),
        (("again", "name"), False, (5, 11)),
        (("rules", 0, "absent", "deeper"), False, (2, 5)),
        (("rules", 7), False, (2, 3)),
    ],
)
def test_each_path_has_its_place_or_that_of_what_is_around_it(
    path: tuple[str | int, ...],
    key: bool,  # noqa: FBT001  # a table's column
    place: tuple[int, int],
) -> None:
    assert read(TEXT).place(path, key=key) == place


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5", 5),
        ("-5", -5),
        ("007", 7),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("0x1f", "0x1f"),
        ("2026-12-20", "2026-12-20"),
        (".inf", ".inf"),
        ("1e999", "1e999"),
        ("9" * 5000, "9" * 5000),
        ("'5'", "5"),
        ("-", [None]),
        ("=", "="),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, value: object) -> None:
    data = read(f"a:\n  {written}\n").data
    assert data == {"a": value}
    assert type(data["a"]) is type(value)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_depth_is_bounded(opening: str) -> None:
    """libyaml's own composer overflows the C stack on these."""
    (complaint,) = read(opening * 100_000).complaints
    assert f"{MOST_DEPTH} levels" in complaint.message or "a key can't be" in complaint.message


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert read("\ufeffrules: []\n").data == {"rules": []}
