"""The OpenAPI document is valid, and every real answer is what it says."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from remediator.core.notices import Call, Notice, NoticeKind, Tone
from remediator.core.paging import Audience, page_envelopes
from remediator.web.api import ENDPOINTS
from remediator.web.openapi import document
from tests.unit.web.harness import CLOSED, Web, served
from tests.unit.web.test_api import ASK, CLEAR, PAUSE, _lived

DOCUMENT = document(ENDPOINTS, "1.2.3")
LIFT = {"why": "x"}


def test_it_is_valid() -> None:
    validate(DOCUMENT)


def test_it_has_every_endpoint_once() -> None:
    told = {(m.upper(), p) for p, methods in DOCUMENT["paths"].items() for m in methods}
    assert told == {(each.method, each.path) for each in ENDPOINTS}
    names = [each.name for each in ENDPOINTS]
    assert len(set(names)) == len(names)


def test_the_page_of_the_api_lists_every_endpoint() -> None:
    page = (Path(__file__).parents[3] / "docs/api.md").read_text()
    missing = [f"{each.method} {each.path}" for each in ENDPOINTS if each.path not in page]
    assert missing == []


async def test_it_is_served_to_anybody(tmp_path: Path) -> None:
    async with served(tmp_path, credentials=CLOSED) as web:
        assert (await web.ask("GET", "/api/openapi.json"))[1] == DOCUMENT


PAGED = Notice(NoticeKind.RUN, "cart: FAILED", Tone.BAD)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: each.name)
async def test_real_answers_are_what_it_says(tmp_path: Path, endpoint: Any) -> None:
    bodies = {
        "pause": PAUSE,
        "resume": LIFT,
        "clear": CLEAR,
        "approve": LIFT,
        "deny": LIFT,
        "requestRun": ASK,
        "acknowledge": {"page": "1", "why": "on it"},
    }
    queries = {"explain": {"of": "r-aaaa1"}}
    path = endpoint.path.replace("{run}", "r-aaaa1" if endpoint.method == "GET" else "r-aaaa2")
    async with served(tmp_path, credentials=CLOSED) as web:
        await _lived(web)
        if endpoint.name == "resume":
            await web.ask("POST", "/api/v1/pauses", bearer="act", json=PAUSE)
        if endpoint.name == "acknowledge":
            await web.store.post(page_envelopes(PAGED, "t", Call(), Audience(("log",))))
        if endpoint.answers[min(endpoint.answers)] is bytes:
            assert await web.download(path, bearer="adas") == b"SQLite format 3"
            return
        body = bodies.get(endpoint.name)
        rest: dict[str, Any] = {} if body is None else {"json": body}
        if endpoint.name in queries:
            rest["params"] = queries[endpoint.name]
        status, answer, headers = await web.ask(endpoint.method, path, bearer="adas", **rest)
        assert status in endpoint.answers
        _check(endpoint.path, endpoint.method, status, answer, headers)
        assert answer not in ([], {})
        if "401" in _operation(endpoint.path, endpoint.method)["responses"]:
            status, answer, headers = await web.ask(endpoint.method, path, **rest)
            assert status == 401
            _check(endpoint.path, endpoint.method, status, answer, headers)
        await _fails_as_described(web, endpoint, path)


async def _fails_as_described(web: Web, endpoint: Any, path: str) -> None:
    if endpoint.query is None and endpoint.body is None:
        return
    wrong: dict[str, Any] = {"json": {"nonsense": 1}} if endpoint.body else {"params": {"nonsense": "1"}}
    status, answer, headers = await web.ask(endpoint.method, path, bearer="adas", **wrong)
    assert status == 422
    _check(endpoint.path, endpoint.method, status, answer, headers)


def _operation(path: str, method: str) -> dict[str, Any]:
    operation: dict[str, Any] = DOCUMENT["paths"][path][method.lower()]
    return operation


def _check(path: str, method: str, status: int, answer: object, headers: Mapping[str, str]) -> None:
    described = _operation(path, method)["responses"][str(status)]["content"]
    schema = described[headers["Content-Type"].partition(";")[0]]["schema"]
    OAS31Validator({**schema, "components": _closed(DOCUMENT["components"])}).validate(answer)


def _closed(components: dict[str, Any]) -> dict[str, Any]:
    """Let nothing pass that is not described: every object has exactly the members that it is said to."""
    closed = copy.deepcopy(components)
    for shape in closed["schemas"].values():
        if shape.get("type") == "object":
            shape.setdefault("additionalProperties", False)
    return closed
