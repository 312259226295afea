"""Label selectors: what each part asks, and that Kubernetes' own reading of them is ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.core.labels import SelectorError, equal, parse_selector
from remediator.core.selections import Selection
from remediator.sandbox.kubernetes.selectors import label_selector

WEB = {"tier": "web", "team": "shop", "app.kubernetes.io/name": "cart"}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        ("tier=web", True),
        ("tier==web", True),
        ("tier = web", True),
        ("tier=api", False),
        ("tier!=api", True),
        ("tier!=web", False),
        ("absent!=web", True),
        ("tier in (api, web)", True),
        ("tier in (api)", False),
        ("absent in (api)", False),
        ("tier notin (api, db)", True),
        ("tier notin (web)", False),
        ("absent notin (web)", True),
        ("tier", True),
        ("absent", False),
        ("!absent", True),
        ("!tier", False),
        ("tier=web,team=shop", True),
        ("tier in (web, api), team=bank", False),
        ("app.kubernetes.io/name=cart", True),
        ("absent=", False),
    ],
)
def test_each_requirement_has_to_hold(selector: str, *, fits: bool) -> None:
    assert Selection(labels=parse_selector(selector)).fits(WEB) is fits


NAMES = st.sampled_from(["a", "b-c", "x.example/d", "D_e"])
VALUES = st.sampled_from(["", "1", "web", "A.b-c_d"])
LISTS = st.lists(VALUES.filter(bool), min_size=1, max_size=3).map(", ".join)
PARTS = st.one_of(
    st.builds("{}{}{}".format, NAMES, st.sampled_from(["=", "==", "!="]), VALUES),
    st.builds("{} {} ({})".format, NAMES, st.sampled_from(["in", "notin"]), LISTS),
    st.builds("{}{}".format, st.sampled_from(["", "!"]), NAMES),
)


@given(st.lists(PARTS, min_size=1, max_size=3).map(", ".join), st.dictionaries(NAMES, VALUES))
def test_it_says_what_the_api_server_would_say(selector: str, labels: dict[str, str]) -> None:
    parsed = Selection(labels=parse_selector(selector))
    assert parsed.fits(labels) is label_selector(selector)(labels)
    assert Selection(labels=parse_selector(parsed.selector)).labels == parsed.labels, (
        "it reads what it writes"
    )


@pytest.mark.parametrize(
    ("selector", "why"),
    [
        ("", "no label selector"),
        ("tier=web,", "no label selector"),
        ("tier web", "no label selector"),
        ("tier in web", "no label selector"),
        ("tier > 1", "no label selector"),
        ("-tier=web", "label's name"),
        ("a/b/c=web", "label's name"),
        (f"{'t' * 64}=web", "label's name"),
        ("tier=-web", "label's value"),
        (f"tier={'w' * 64}", "label's value"),
        ("tier in (web, a b)", "label's value"),
    ],
)
def test_what_is_none_is_refused_and_says_what_to_write(selector: str, why: str) -> None:
    with pytest.raises(SelectorError, match=why):
        parse_selector(selector)


def test_a_label_of_a_mapping_is_an_equality() -> None:
    assert equal("tier", "web") == parse_selector("tier=web")[0]
    with pytest.raises(SelectorError):
        equal("tier", "two words")
