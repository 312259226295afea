"""JSON Patch, merge patch and strategic merge as the API server reads them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.sandbox.kubernetes.patches import (
    PatchMalformedError,
    PatchRejectedError,
    json_patch,
    merge_patch,
    strategic_merge_patch,
)

scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab/~", max_size=3)
documents = st.dictionaries(
    st.text("ab/~", min_size=1, max_size=3),
    st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~"), inner, max_size=3),
    ),
    max_size=4,
)


def pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


@given(documents, st.text("ab/~", min_size=1, max_size=3), scalars)
def test_add_then_test_holds_and_the_document_stays_as_it_was(
    document: dict[str, Any], key: str, value: Any
) -> None:
    before = repr(document)
    path = pointer(key)
    added = json_patch(
        document, [{"op": "add", "path": path, "value": value}, {"op": "test", "path": path, "value": value}]
    )
    assert added == document | {key: value}
    assert repr(document) == before


@given(documents)
def test_every_member_passes_its_own_test(document: dict[str, Any]) -> None:
    tests = [{"op": "test", "path": pointer(key), "value": value} for key, value in document.items()]
    assert json_patch(document, tests) == document


@given(documents, documents)
def test_merge_patch_takes_over_and_drops_nulls(document: dict[str, Any], patch: dict[str, Any]) -> None:
    merged = merge_patch(document, patch)
    for key, value in patch.items():
        assert (key not in merged) if value is None else (key in merged)
    assert all(merged[key] == value for key, value in document.items() if key not in patch)
    assert merge_patch(merged, patch) == merged


@pytest.mark.parametrize(
    ("document", "operation", "expected"),
    [
        ({"a": [1, 2]}, {"op": "add", "path": "/a/-", "value": 3}, {"a": [1, 2, 3]}),
        ({"a": [1, 2]}, {"op": "add", "path": "/a/0", "value": 0}, {"a": [0, 1, 2]}),
        ({"a": [1, 2]}, {"op": "remove", "path": "/a/0"}, {"a": [2]}),
        ({"a": [1, 2]}, {"op": "replace", "path": "/a/1", "value": 9}, {"a": [1, 9]}),
        ({"a": 1}, {"op": "copy", "from": "/a", "path": "/b"}, {"a": 1, "b": 1}),
        ({"a": {"b": 1}}, {"op": "move", "from": "/a/b", "path": "/c"}, {"a": {}, "c": 1}),
        ({"a/b~": 1}, {"op": "replace", "path": "/a~1b~0", "value": 2}, {"a/b~": 2}),
        ({"a": 1}, {"op": "replace", "path": "", "value": {"b": 2}}, {"b": 2}),
        ({"a": {}}, {"op": "test", "path": "/a/b", "value": None}, {"a": {}}),
        ({"a": {"b": None}}, {"op": "test", "path": "/a/b", "value": None}, {"a": {"b": None}}),
    ],
)
def test_operations(document: Any, operation: dict[str, Any], expected: Any) -> None:
    assert json_patch(document, [operation]) == expected


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "/a/5", "value": 1},
        {"op": "add", "path": "/x/y", "value": 1},
        {"op": "add", "path": "a", "value": 1},
        {"op": "add", "path": "/b"},
        {"op": "remove", "path": "/x"},
        {"op": "remove", "path": "/a/-"},
        {"op": "remove", "path": ""},
        {"op": "replace", "path": "/x", "value": 1},
        {"op": "copy", "from": "/x", "path": "/y"},
        {"op": "test", "path": "/x/y", "value": None},
        {"op": "test", "path": "/a", "value": [1]},
        {"op": "test", "path": "/a", "value": [True, 2]},
        {"path": "/a"},
    ],
)
def test_operations_that_do_not_apply(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchRejectedError):
        json_patch({"a": [1, 2]}, [operation])


@pytest.mark.parametrize("patch", [{"op": "add"}, "add", None, [1]])
def test_what_is_no_json_patch(patch: Any) -> None:
    with pytest.raises(PatchMalformedError):
        json_patch({}, patch)


POD = {
    "containers": [
        {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
        {"name": "b", "image": "b:1"},
    ]
}


@pytest.mark.parametrize(
    ("patch", "images"),
    [
        ({"containers": [{"name": "a", "image": "a:2"}]}, {"a": "a:2", "b": "b:1"}),
        ({"containers": [{"name": "c", "image": "c:1"}]}, {"a": "a:1", "b": "b:1", "c": "c:1"}),
        ({"containers": [{"name": "a", "$patch": "delete"}]}, {"b": "b:1"}),
        ({"containers": [{"$patch": "replace"}, {"name": "c", "image": "c:1"}]}, {"c": "c:1"}),
        ({"$setElementOrder/containers": [{"name": "a"}], "containers": []}, {"a": "a:1", "b": "b:1"}),
        ({"$patch": "replace", "containers": [{"name": "c", "image": "c:1"}]}, {"c": "c:1"}),
    ],
)
def test_strategic_merge_goes_by_container_name(patch: dict[str, Any], images: dict[str, str]) -> None:
    merged = strategic_merge_patch(POD, patch)
    assert {each["name"]: each["image"] for each in merged["containers"]} == images


def test_strategic_merge_reaches_down_and_leaves_the_rest() -> None:
    patch = {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}
    first = strategic_merge_patch(POD, patch)["containers"][0]
    assert first["image"] == "a:1"
    assert [each["name"] for each in first["env"]] == ["X", "Y"]


def test_strategic_merge_sets_of_words_and_retained_keys() -> None:
    document = {"finalizers": ["a", "b"], "strategy": {"type": "RollingUpdate", "rollingUpdate": {}}}
    patch = {
        "finalizers": ["c", "a"],
        "$deleteFromPrimitiveList/finalizers": ["b"],
        "strategy": {"$retainKeys": ["type"], "type": "Recreate"},
    }
    assert strategic_merge_patch(document, patch) == {
        "finalizers": ["a", "c"],
        "strategy": {"type": "Recreate"},
    }


def test_a_list_element_without_its_merge_key_is_malformed() -> None:
    with pytest.raises(PatchMalformedError, match="merge key: name"):
        strategic_merge_patch(POD, {"containers": [{"image": "a:2"}]})
