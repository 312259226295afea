"""Of a long diff, what a person looks for is kept."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remediator.notify.diffs import LONGEST_LINE, excerpt, shortened

HEAD = ["--- deployment/shop/cart (revision 7)", "+++ deployment/shop/cart (revision 6)"]
IMAGE = ["@@ -40,3 +40,3 @@", " containers:", "-  image: cart:2.4.0", "+  image: cart:2.3.9"]


def _hunk(at: int, changes: int) -> list[str]:
    return [f"@@ -{at} +{at} @@", *(f"+  LABEL_{at}_{n}: value" for n in range(changes))]


def test_a_short_diff_is_left_alone() -> None:
    assert excerpt([*HEAD, *IMAGE], 1_000) == [*HEAD, *IMAGE]


def test_the_hunk_with_the_image_is_kept_before_bigger_ones_and_the_cut_is_counted() -> None:
    told = excerpt([*HEAD, *_hunk(1, 20), *IMAGE, *_hunk(90, 20)], 400)
    assert told == [*HEAD, *IMAGE, "… (42 lines cut)"]


def test_hunks_stay_in_the_order_of_the_diff() -> None:
    told = excerpt([*HEAD, *_hunk(1, 2), *IMAGE, *_hunk(90, 40)], 400)
    assert told == [*HEAD, *IMAGE, "… (44 lines cut)"] or told[2:5] == _hunk(1, 2)
    assert told.index(IMAGE[2]) > told.index(HEAD[1])


def test_a_hunk_that_is_too_long_by_itself_is_shown_from_its_telling_change_on() -> None:
    context = [f"  line: {n}" for n in range(100)]
    told = excerpt(["@@ -1 +1 @@", *context, "-  image: cart:2", "+  image: cart:1", *context], 120)
    assert told[1:3] == ["-  image: cart:2", "+  image: cart:1"]
    assert told[-1].endswith("lines cut)")


def test_a_long_line_is_shortened_and_says_so() -> None:
    assert shortened("+" * LONGEST_LINE) == "+" * LONGEST_LINE
    assert shortened("+" * (LONGEST_LINE + 9)).endswith("… (9 characters cut)")


@given(st.lists(st.sampled_from(["@@ -1 +1 @@", "+a", "-b", " c", "--- x", "+++ y", "+ image: z", ""])))
def test_lines_are_kept_or_counted_but_never_lost(lines: list[str]) -> None:
    told = excerpt(lines, 30)
    if told != lines:
        cut = int(told[-1].removeprefix("… (").split()[0])
        assert len(told) - 1 + cut == len(lines)
        assert sum(len(line) + 1 for line in told[:-1]) <= 30
