"""The API: who may do what, what is told, and how it says no."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.core.changes import RunChange
from remediator.core.checks import CheckAnswer, Fact, Said
from remediator.core.events import Event, EventKind
from remediator.core.guards import Guard, Quarantine
from remediator.core.ports.channels import RuleFiles
from remediator.core.rules import Expect
from remediator.core.runs import Outcome, RunState
from remediator.store.sqlite import SqliteStore
from tests.store import values
from tests.store.asking import ask
from tests.unit.web.harness import CLOSED, Web, served

MICROSECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.fixture
async def web(tmp_path: Path) -> AsyncIterator[Web]:
    """Served with tokens, over a ledger with one run that ended unknown and one that asks for approval."""
    async with served(tmp_path, credentials=CLOSED) as it:
        await _lived(it)
        yield it


async def _lived(web: Web) -> None:
    store, now = web.store, await web.store.now()
    await store.propose_rulebook(RuleFiles({"rules.yaml": "version: 1"}, values.BOOK), None, forced=True)
    run = await values.begin(store, "r-aaaa1")
    held = await values.lease(store, run)
    ready = await values.advanced(store, held.token, run, RunState.READY)
    intended = values.Intending(ready, held.token, (Event(EventKind.ATTEMPT_INTENDED, now, run=run.id),))
    await store.intend(held.token, values.an_intent(run), values.agreeing, intended)
    acting = await store.run(run.id)
    attempt = await store.attempt_in_doubt(run.id)
    assert acting is not None
    assert attempt is not None
    probing = await values.advanced(store, held.token, acting, RunState.PROBING)
    ended = replace(probing, state=RunState.UNKNOWN, ended_at=await store.now())
    change = RunChange(
        ended,
        RunState.PROBING,
        attempt=replace(attempt, outcome=Outcome.UNKNOWN, ended_at=ended.ended_at),
        quarantine=Quarantine(run.target, run.id, attempt.id, "the reply was lost", now),
    )
    assert await store.advance(held.token, change) is None
    await ask(store, await values.begin(store, "r-aaaa2", target=values.NODE))
    await _skipped_with_a_fact(web)


async def _skipped_with_a_fact(web: Web) -> None:
    answer = CheckAnswer(Said.ERROR, "no answer from the API", {"status": 500})
    fact = Fact("kubernetes.rolled_out", {"x": 1}, Expect.YES, answer, await web.store.now())
    request = replace(values.a_request(await values.an_episode(web.store, "f-x")), facts=(fact,))
    await web.store.decide([request], values.skipping)


async def test_runs_are_an_array_with_the_agreed_members_newest_first(web: Web) -> None:
    status, runs, headers = await web.ask("GET", "/api/v1/runs", bearer="look")
    assert status == 200
    assert [(each["id"], each["outcome"]) for each in runs] == [("r-aaaa2", None), ("r-aaaa1", "unknown")]
    assert runs[1]["target"] == "deployment/shop/cart"
    assert runs[0]["target"] == "west/node/n1"
    assert all(MICROSECONDS.fullmatch(runs[1][at]) for at in ("started", "ended", "acted"))
    assert runs[0]["ended"] is None
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "remediator"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("limit=1", ["r-aaaa2"]),
        ("target=deployment/shop/cart", ["r-aaaa1"]),
        ("target=default/deployment/shop/cart", ["r-aaaa1"]),
        ("rule=null", []),
        ("before=r-aaaa2", ["r-aaaa1"]),
        ("since=2999-01-01T00:00:00Z", []),
        ("since=2000-01-01T00:00:00%2B02:00", ["r-aaaa2", "r-aaaa1"]),
    ],
)
async def test_runs_are_filtered(web: Web, query: str, ids: list[str]) -> None:
    _, runs, _ = await web.ask("GET", f"/api/v1/runs?{query}", bearer="look")
    assert [each["id"] for each in runs] == ids


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limt=1", "did you mean limit?"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("since=yesterday", "since"),
        ("since=2025-01-01T00:00:00", "since"),
        ("target=cart", "kind/namespace/name"),
    ],
)
async def test_a_query_that_can_not_be_used_is_422_with_a_remedy(web: Web, query: str, said: str) -> None:
    status, problem, headers = await web.ask("GET", f"/api/v1/runs?{query}", bearer="look")
    assert status == 422
    assert headers["Content-Type"] == "application/problem+json"
    assert said in problem["detail"] + problem["remedy"]


@pytest.mark.parametrize(
    "query", ["decisions?before", "decisions?episode", "episodes?before", "events?after"]
)
async def test_a_number_that_no_row_can_have_is_422(web: Web, query: str) -> None:
    assert (await web.ask("GET", f"/api/v1/{query}={2**63 - 1}", bearer="look"))[0] == 200
    status, problem, _ = await web.ask("GET", f"/api/v1/{query}={2**63}", bearer="look")
    assert (status, query.partition("?")[2] in problem["detail"]) == (422, True)


async def test_a_run_is_told_with_all_that_belongs_to_it(web: Web) -> None:
    status, run, _ = await web.ask("GET", "/api/v1/runs/r-aaaa1", bearer="look")
    assert status == 200
    assert run["outcome"] == "unknown"
    assert run["episodes"][0]["alertname"] == "ServiceDown"
    assert run["decisions"][0]["kind"] == "run"
    assert run["attempts"][0]["diff"] == "-a\n+b\n"
    assert run["attempts"][0]["outcome"] == "unknown"
    (intended,) = [each for each in run["events"] if each["kind"] == "attempt.intended"]
    assert MICROSECONDS.fullmatch(intended["at"])


async def test_a_run_is_found_by_the_beginning_of_its_id(web: Web) -> None:
    assert (await web.ask("GET", "/api/v1/runs/r-aaaa2", bearer="look"))[1]["id"] == "r-aaaa2"
    status, problem, _ = await web.ask("GET", "/api/v1/runs/r-aaaa", bearer="look")
    assert (status, "r-aaaa1" in problem["detail"]) == (409, True)


@pytest.mark.parametrize("run", ["r-none", "%25", "_", "r-aaaa_", "x" * 5000, "%00"])
async def test_no_such_run_is_404(web: Web, run: str) -> None:
    assert (await web.ask("GET", f"/api/v1/runs/{run}", bearer="look"))[0] == 404


async def test_decisions_show_facts_and_the_reason_in_words(web: Web) -> None:
    _, decisions, _ = await web.ask("GET", "/api/v1/decisions?limit=1", bearer="look")
    (decision,) = decisions
    assert (decision["kind"], decision["reason"]) == ("skip", "no_rule")
    assert "no rule" in decision["meaning"]
    (fact,) = decision["facts"]
    assert (fact["said"], fact["holds"], fact["with"]) == ("error", False, {"x": 1})
    before = f"/api/v1/decisions?before={decision['id']}"
    assert decision["id"] not in [each["id"] for each in (await web.ask("GET", before, bearer="look"))[1]]


async def test_the_past_is_told_page_by_page_with_what_rests_on_it(web: Web) -> None:
    _, newest, _ = await web.ask("GET", "/api/v1/episodes?limit=1", bearer="look")
    (episode,) = newest["episodes"]
    (decision,) = episode["decisions"]
    assert (episode["fingerprint"], episode["group"]) == ("f-x", {"alertname": "ServiceDown"})
    assert [fact["check"] for fact in decision["facts"]] == ["kubernetes.rolled_out"]
    assert decision["passed"] == []
    path = f"/api/v1/episodes?before={newest['before']}"
    _, rest, _ = await web.ask("GET", path, bearer="look")
    assert episode["id"] not in [each["id"] for each in rest["episodes"]]
    assert rest["before"] is None
    _, none, _ = await web.ask("GET", "/api/v1/episodes?since=2999-01-01T00:00:00Z", bearer="look")
    assert none == {"episodes": [], "before": None}


async def test_events_are_paged_by_id(web: Web) -> None:
    _, every, _ = await web.ask("GET", "/api/v1/events", bearer="look")
    ids = [event["id"] for event in every]
    assert ids == sorted(ids)
    _, rest, _ = await web.ask("GET", f"/api/v1/events?after={ids[0]}&limit=1", bearer="look")
    assert [event["id"] for event in rest] == [ids[1]]


async def test_status_tells_where_the_daemon_stands(web: Web) -> None:
    _, status, _ = await web.ask("GET", "/api/v1/status", bearer="look")
    assert (status["version"], status["mode"]) == ("1.2.3", "observe")
    assert status["rulebook"]["hash"] == values.BOOK
    assert status["backlog"]["unfinished_runs"] == 1
    assert [each["target"] for each in status["quarantines"]] == ["deployment/shop/cart"]


async def test_one_of_several_pauses_is_lifted_by_its_id(web: Web) -> None:
    async def made(bearer: str, **body: Any) -> int:
        status, pause, _ = await web.ask(
            "POST", "/api/v1/pauses", bearer=bearer, json={"why": "x", "name": "night", **body}
        )
        assert (status, pause["name"]) == (201, "night")
        return int(pause["id"])

    async def lifted(bearer: str, **body: Any) -> tuple[int, Any]:
        return (await web.ask("POST", "/api/v1/resume", bearer=bearer, json={"why": "y", **body}))[:2]

    everything, again = await made("act"), await made("adas")
    cart = await made("sams", scope="target", value="deployment/shop/cart")
    assert await lifted("act", id=everything) == (200, {"lifted": 1})
    assert [each.id for each in await web.store.pauses()] == [again, cart]
    assert (await lifted("act", id=everything))[0] == 404
    assert (await lifted("act", id=cart, scope="target", value="deployment/shop/cart"))[0] == 422
    assert (await lifted("sams", id=again))[0] == 403
    assert await lifted("sams", id=cart) == (200, {"lifted": 1})
    assert [each.id for each in await web.store.pauses()] == [again]


async def test_a_pause_is_made_in_the_askers_name_and_lifted(web: Web) -> None:
    asked = {"scope": "target", "value": "default/deployment/shop/cart", "why": "upgrade", "for": "2h"}
    status, pause, _ = await web.ask("POST", "/api/v1/pauses", bearer="act", json=asked)
    assert (status, pause["who"], pause["value"]) == (201, "operator", "deployment/shop/cart")
    (kept,) = await web.store.pauses()
    assert kept.until is not None
    assert kept.until - kept.at == timedelta(hours=2)
    lift = {"scope": "target", "value": "deployment/shop/cart", "why": "done"}
    assert (await web.ask("POST", "/api/v1/resume", bearer="adas", json=lift))[1] == {"lifted": 1}
    assert (await web.ask("POST", "/api/v1/resume", bearer="adas", json=lift))[0] == 404
    assert await web.store.pauses() == ()


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "can't be used"),
        (b"[" * 60_000, 422, "can't be used"),
        (b'{"why":"\xff"}', 400, "can't be used"),
        (b"{}", 422, "why"),
        (b'{"why":""}', 422, "why"),
        (b'{"why":"x","scop":"all"}', 422, "did you mean scope?"),
        (b'{"why":"x","scope":"everything"}', 422, "scope"),
        (b'{"why":"x","value":"cart"}', 422, "takes no value"),
        (b'{"why":"x","scope":"rule"}', 422, "name the rule"),
        (b'{"why":"x","scope":"target","value":"../etc"}', 422, "kind/namespace/name"),
        (b'{"why":"x","for":"2 hours"}', 422, "no duration"),
        (b'{"why":"x","for":"0s"}', 422, "no time at all"),
        (b'{"why":"' + b"x" * 70_000 + b'"}', 413, "65536"),
    ],
)
async def test_a_body_that_can_not_be_used_changes_nothing(
    web: Web, body: bytes, status: int, said: str
) -> None:
    headers = {"Content-Type": "application/json"}
    got, problem, _ = await web.ask("POST", "/api/v1/pauses", bearer="act", data=body, headers=headers)
    assert got == status
    assert said in problem["detail"] + problem["remedy"]
    assert await web.store.pauses() == ()


async def test_other_media_types_are_415(web: Web) -> None:
    headers = {"Content-Type": "text/plain"}
    answer = await web.ask("POST", "/api/v1/pauses", bearer="act", data=b'{"why":"x"}', headers=headers)
    assert answer[0] == 415


PAUSE: dict[str, Any] = {"why": "x"}
PAUSE_CART = {"why": "x", "scope": "target", "value": "deployment/shop/cart"}
PAUSE_BANK = {"why": "x", "scope": "target", "value": "deployment/bank/cart"}
ASK = {"rule": "cart", "why": "it leaks", "labels": {"namespace": "shop"}}
CLEAR = {"why": "looked", "target": "deployment/shop/cart"}


@pytest.mark.parametrize(
    ("bearer", "method", "path", "body", "status"),
    [
        (None, "GET", "status", None, 401),
        ("hook", "GET", "status", None, 401),
        ("look", "GET", "status", None, 200),
        ("act", "GET", "status", None, 200),
        ("vics", "GET", "status", None, 200),
        (None, "GET", "episodes", None, 401),
        ("look", "GET", "episodes", None, 200),
        ("look", "POST", "pauses", PAUSE, 403),
        ("vics", "POST", "pauses", PAUSE, 403),
        ("act", "POST", "pauses", PAUSE, 201),
        ("adas", "POST", "pauses", PAUSE, 201),
        ("sams", "POST", "pauses", PAUSE, 403),
        ("sams", "POST", "pauses", PAUSE_CART, 201),
        ("sams", "POST", "pauses", PAUSE_BANK, 403),
        ("look", "POST", "runs", ASK, 403),
        ("act", "POST", "runs", ASK, 202),
        ("sams", "POST", "runs", ASK, 202),
        ("sams", "POST", "runs", {**ASK, "labels": {"namespace": "bank"}}, 403),
        ("act", "POST", "runs", {**ASK, "override": ["freeze"]}, 403),
        ("adas", "POST", "runs", {**ASK, "override": ["freeze", "brake"]}, 202),
        ("adas", "POST", "runs", {**ASK, "override": ["pause"]}, 422),
        ("adas", "POST", "runs", {**ASK, "override": ["everything"]}, 422),
        ("look", "POST", "clear", CLEAR, 403),
        ("act", "POST", "clear", CLEAR, 403),
        ("sams", "POST", "clear", CLEAR, 200),
        ("adas", "POST", "clear", CLEAR, 200),
        ("adas", "POST", "clear", {**CLEAR, "target": "deployment/bank/cart"}, 404),
        ("look", "POST", "rulebook/reload", None, 403),
        ("act", "POST", "rulebook/reload", None, 200),
        ("sams", "POST", "rulebook/reload", None, 403),
    ],
)
async def test_who_may_do_what(
    web: Web, bearer: str | None, method: str, path: str, body: dict[str, Any] | None, status: int
) -> None:
    rest = {} if body is None else {"json": body}
    got, answer, headers = await web.ask(method, f"/api/v1/{path}", bearer=bearer, **rest)
    assert got == status
    if status == 401:
        assert "Bearer" in headers["WWW-Authenticate"]
        assert await web.metric("remediator_auth_refused_total", route=f"/api/v1/{path}") == 1
    if status >= 400:
        assert answer["remedy"]


async def test_a_request_for_a_run_is_kept_in_the_persons_name(web: Web) -> None:
    body = {**ASK, "override": ["freeze"], "request": "change-1"}
    _, made, _ = await web.ask("POST", "/api/v1/runs", bearer="adas", json=body)
    assert made == {"request": "change-1", "target": "deployment/shop/cart", "decision": None}
    ((id_, asked),) = web.steering.requests
    assert (id_, asked.who, asked.why, asked.overridden) == (
        "change-1",
        "ada",
        "it leaks",
        frozenset({Guard.FREEZE}),
    )


async def test_the_bare_operator_token_is_told_why_it_may_not_clear(web: Web) -> None:
    _, problem, _ = await web.ask("POST", "/api/v1/clear", bearer="act", json=CLEAR)
    assert "OPERATORS_FILE" in problem["remedy"]
    assert len(await web.store.quarantines()) == 1


async def test_clearing_is_kept_in_the_persons_name(web: Web) -> None:
    await web.ask("POST", "/api/v1/clear", bearer="adas", json=CLEAR)
    assert await web.store.quarantines() == ()
    (event,) = [e for e in await web.store.events(0, 1000) if e.kind is EventKind.TARGET_CLEARED]
    assert "ada" in str(event.data)


async def test_a_reload_that_fails_lists_every_problem(web: Web) -> None:
    web.steering.refused = ("rules.yaml:1:1: what", "rules.yaml:2:1: else")
    status, problem, _ = await web.ask("POST", "/api/v1/rulebook/reload", bearer="act")
    assert (status, problem["problems"]) == (422, list(web.steering.refused))


async def test_without_tokens_localhost_acts_as_local_and_elsewhere_does_not(tmp_path: Path) -> None:
    async with served(tmp_path) as web:
        assert (await web.ask("POST", "/api/v1/pauses", json=PAUSE))[1]["who"] == "local"
        for host in ("evil.example", "evil.example:9095", "127.0.0.1.evil.example", "", "[::", "10.0.0.1"):
            assert (await web.ask("GET", "/api/v1/status", headers={"Host": host}))[0] == 403, host
        for host in ("localhost:1", "127.0.0.1", "[::1]:9095"):
            assert (await web.ask("GET", "/api/v1/status", headers={"Host": host}))[0] == 200, host


async def test_without_tokens_a_web_page_may_change_nothing(tmp_path: Path) -> None:
    """A browser sends Origin with whatever a page of elsewhere posts here, a form's own types included."""
    page = {"Origin": "https://evil.example"}
    async with served(tmp_path) as web:
        for path, body in (("rulebook/reload", {"data": b""}), ("pauses", {"json": PAUSE})):
            status, problem, _ = await web.ask("POST", f"/api/v1/{path}", headers=page, **body)
            assert (status, "web page" in problem["detail"]) == (403, True)
        assert await web.store.pauses() == ()
        assert (await web.ask("GET", "/api/v1/status", headers=page))[0] == 200
        assert (await web.ask("POST", "/api/v1/rulebook/reload"))[0] == 200


async def test_with_a_token_an_origin_says_nothing(web: Web) -> None:
    headers = {"Origin": "https://ours.example"}
    assert (await web.ask("POST", "/api/v1/rulebook/reload", bearer="act", headers=headers))[0] == 200


async def test_where_no_body_is_taken_one_that_is_no_json_is_refused(web: Web) -> None:
    typed = {"Content-Type": "text/plain"}
    status, _, _ = await web.ask("POST", "/api/v1/rulebook/reload", bearer="act", data=b"x", headers=typed)
    assert status == 415
    assert (await web.ask("POST", "/api/v1/rulebook/reload", bearer="act", json={}))[0] == 200


async def test_failures_inside_never_leak_and_carry_the_requests_id(tmp_path: Path) -> None:
    class Broken(SqliteStore):
        async def events(self, after: int, limit: int) -> list[Event]:
            raise RuntimeError(f"select * from secrets where id > {after} limit {limit}")

    async with served(tmp_path, make_store=Broken) as web:
        given = {"X-Request-ID": "from-my-proxy.1"}
        status, problem, headers = await web.ask("GET", "/api/v1/events", headers=given)
        assert status == 500
        assert "secrets" not in str(problem)
        assert problem["request_id"] == headers["X-Request-ID"] == "from-my-proxy.1"
        _, _, headers = await web.ask("GET", "/api/v1/events", headers={"X-Request-ID": "<script>"})
        assert re.fullmatch(r"[0-9a-f]{16}", headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/api/v1/nope"), ("DELETE", "/api/v1/runs"), ("GET", "/api/")]
)
async def test_what_is_not_there_is_a_problem_too(web: Web, method: str, path: str) -> None:
    status, problem, headers = await web.ask(method, path, bearer="look")
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")
    assert "/api/openapi.json" in problem["remedy"]
