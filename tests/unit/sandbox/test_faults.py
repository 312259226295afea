"""Each planned fault is what a client of a real peer would meet, and the audit log tells what was applied."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from kubernetes_asyncio.client.exceptions import ApiException

from remediator.sandbox.kubernetes import Answer, DropReply, Hang, Late, Matching, Refuse, StandIn
from tests.unit.sandbox.conftest import Api

PATCHES = Matching(verb="patch", resource="deployments", name="web")


async def scale(api: Api, replicas: int) -> Any:
    operations = [{"op": "replace", "path": "/spec/replicas", "value": replicas}]
    return await api.apps.patch_namespaced_deployment(
        "web", "shop", operations, _content_type="application/json-patch+json"
    )


@pytest.fixture
async def web(cluster: StandIn) -> StandIn:
    cluster.deploy("shop", "web", "web:1", replicas=1)
    await cluster.settled()
    cluster.audit.clear()
    return cluster


async def give_up(waiting: asyncio.Task[Any]) -> None:
    """The client hangs up, as one does whose timeout has passed."""
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def replicas(cluster: StandIn) -> int:
    return int(cluster.get("deployments", "shop", "web")["spec"]["replicas"])


@pytest.mark.parametrize("code", [401, 403, 404, 409, 422, 429, 500, 503])
async def test_an_answered_fault_applies_nothing_and_is_audited(api: Api, web: StandIn, code: int) -> None:
    web.faults.add(PATCHES, Answer(code))
    with pytest.raises(ApiException) as refused:
        await scale(api, 2)
    assert refused.value.status == code
    assert replicas(web) == 1
    (entry,) = web.audit.select(verb="patch")
    assert (entry.code, entry.changed) == (code, False)
    await scale(api, 2)
    assert replicas(web) == 2


async def test_429_says_when_to_come_back(api: Api, web: StandIn) -> None:
    web.faults.add(PATCHES, Answer(429, retry_after=7))
    with pytest.raises(ApiException) as refused:
        await scale(api, 2)
    assert refused.value.headers is not None
    assert refused.value.headers["Retry-After"] == "7"


async def test_faults_match_by_request_and_are_committed_n_times(api: Api, web: StandIn) -> None:
    planned = web.faults.add(PATCHES, Answer(500), times=2)
    await api.apps.read_namespaced_deployment("web", "shop")
    for _ in range(2):
        with pytest.raises(ApiException):
            await scale(api, 2)
    await scale(api, 2)
    assert planned.hits == 2


async def test_a_fault_without_a_count_lasts_until_removed(api: Api, web: StandIn) -> None:
    planned = web.faults.add(Matching(), Answer(503), times=None)
    for _ in range(3):
        with pytest.raises(ApiException):
            await api.core.list_namespace()
    web.faults.remove(planned)
    await api.core.list_namespace()


async def test_a_refused_connection_applies_nothing(api: Api, web: StandIn) -> None:
    web.faults.add(PATCHES, Refuse())
    with pytest.raises(aiohttp.ClientConnectionError):
        await scale(api, 2)
    assert replicas(web) == 1
    assert not web.audit.entries


async def test_a_dropped_reply_leaves_the_change_applied(api: Api, web: StandIn) -> None:
    web.faults.add(PATCHES, DropReply())
    with pytest.raises(aiohttp.ClientConnectionError):
        await scale(api, 2)
    assert replicas(web) == 2
    (entry,) = web.audit.changes(verb="patch")
    assert (entry.code, entry.answered) == (200, False)


async def test_a_hanging_server_answers_nothing_and_applies_nothing(api: Api, web: StandIn) -> None:
    planned = web.faults.add(PATCHES, Hang())
    waiting = asyncio.create_task(scale(api, 2))
    await planned.struck()
    done, _ = await asyncio.wait([waiting], timeout=0.05)
    assert not done
    await give_up(waiting)
    assert replicas(web) == 1


async def test_a_late_request_is_applied_after_its_client_has_gone(api: Api, web: StandIn) -> None:
    gate = asyncio.Event()
    planned = web.faults.add(PATCHES, Late(gate))
    waiting = asyncio.create_task(scale(api, 2))
    await planned.struck()
    await give_up(waiting)
    assert replicas(web) == 1
    gate.set()
    await web.until(lambda: replicas(web) == 2)


async def test_a_late_write_loses_against_a_test_of_what_has_moved_since(api: Api, web: StandIn) -> None:
    gate = asyncio.Event()
    planned = web.faults.add(PATCHES, Late(gate))
    guarded = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 5},
    ]
    patch = api.apps.patch_namespaced_deployment
    late = asyncio.create_task(patch("web", "shop", guarded, _content_type="application/json-patch+json"))
    await planned.struck()
    await scale(api, 2)
    gate.set()
    with pytest.raises(ApiException) as refused:
        await late
    assert refused.value.status == 422
    assert replicas(web) == 2


async def test_a_server_that_is_down_refuses_and_comes_back_on_its_port(api: Api, web: StandIn) -> None:
    url = web.url
    await web.down()
    with pytest.raises(aiohttp.ClientConnectionError):
        await scale(api, 2)
    await web.up()
    assert web.url == url
    await scale(api, 2)


async def test_the_audit_log_tells_who_changed_what(api: Api, web: StandIn) -> None:
    web.set_image("shop", "web", "web:2")
    await web.settled()
    await scale(api, 1)
    await api.apps.list_namespaced_deployment("shop")
    first, second, third = web.audit.entries
    assert (first.user, first.user_agent, first.verb) == ("kubernetes-admin", "kubectl/sandbox", "patch")
    assert first.before is not None
    assert first.after is not None
    assert (first.before["images"], first.after["images"]) == (["web:1"], ["web:2"])
    assert (second.verb, second.namespace, second.name, second.changed) == ("patch", "shop", "web", False)
    assert second.body == [{"op": "replace", "path": "/spec/replicas", "value": 1}]
    assert "OpenAPI-Generator" in second.user_agent
    assert (third.verb, third.resource, third.code) == ("list", "deployments", 200)
    assert web.audit.changes() == [first]


async def test_a_refused_create_counts_as_no_change(api: Api, web: StandIn) -> None:
    with pytest.raises(ApiException):
        await api.core.create_namespace({"metadata": {"name": "shop"}})
    assert not web.audit.changes()
    await api.core.create_namespace({"metadata": {"name": "new"}})
    assert [entry.name for entry in web.audit.changes()] == ["new"]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            403,
            'deployments.apps "web" is forbidden: User "system:anonymous" cannot patch',
        ),
        (404, 'deployments.apps "web" not found'),
        (409, 'Operation cannot be fulfilled on deployments.apps "web": the object has been modified'),
        (422, "the server rejected our request due to an error in our request"),
    ],
)
async def test_an_answered_fault_is_worded_as_the_api_server_words_it(
    api: Api, web: StandIn, code: int, message: str
) -> None:
    web.faults.add(PATCHES, Answer(code))
    with pytest.raises(ApiException) as refused:
        await scale(api, 2)
    assert json.loads(refused.value.body or b"")["message"].startswith(message)
