"""Law 1 at the webhook: persist, then 200; a 4xx only for what can never be valid."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from remediator.core.ports.store import StoreUnavailableError
from remediator.settings import Credentials
from remediator.store.sqlite import SqliteStore
from remediator.web import Limits
from tests.support.processes import eventually
from tests.unit.web.harness import CLOSED, GOOD, served

MIB = 2**20


async def test_a_good_post_is_in_the_ledger_when_the_200_comes(tmp_path: Path) -> None:
    async with served(tmp_path) as web:
        assert await web.post(GOOD) == (200, {"status": "stored"})
        assert await web.stored() == [("default", GOOD)]
        assert await web.metric("remediator_webhooks_total", result="stored") == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'"text"',
        b" [1] \n",
        b'{"version":"3"}',
        b'{"version":"4","alerts":[{"status":"firing","labels":{},"startsAt":"?"}]}',
        b'{"version":"4","alerts":[{"labels":{"job":"\xe2\x98\x83 {{x}} <!channel> ../.. \\n"}}]}',
        b'{"n":1e999999}',
    ],
)
async def test_json_that_is_no_v4_payload_or_has_no_alertname_is_stored_for_intake(
    tmp_path: Path, body: bytes
) -> None:
    async with served(tmp_path) as web:
        assert (await web.post(body))[0] == 200
        assert await web.stored() == [("default", body)]
        assert web.heard.alarms == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"alerts=1",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,}',
        b'{"a":01}',
        b"{} {}",
        b'{"a":"b',
        b'{"a":"\xff"}',
        b'{"\xc3":1}',
        b'{"a":"\x00"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
async def test_what_is_not_json_is_400_counted_and_alarmed(tmp_path: Path, body: bytes) -> None:
    async with served(tmp_path) as web:
        status, answer = await web.post(body)
        assert status == 400
        assert "not JSON" in answer["detail"]
        assert await web.stored() == []
        assert web.heard.kinds == ["webhook_not_json"]
        assert await web.metric("remediator_webhooks_total", result="not_json") == 1


@pytest.mark.parametrize(
    ("authorization", "source"),
    [
        ("Bearer hook", "default"),
        ("bearer hook-new", "default"),
        ("Bearer west:token", "am-west"),
        ("Basic " + base64.b64encode(b"alertmanager:hook").decode(), "default"),
        ("Basic " + base64.b64encode(b":west:token").decode(), "am-west"),
    ],
)
async def test_a_tokens_name_is_the_source(tmp_path: Path, authorization: str, source: str) -> None:
    async with served(tmp_path, credentials=CLOSED) as web:
        assert (await web.post(GOOD, headers={"Authorization": authorization}))[0] == 200
        assert await web.stored() == [(source, GOOD)]


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer hook2",
        "Bearer act",
        "hook",
        "Basic hook",
        "Basic " + base64.b64encode(b"hook").decode(),
        "Basic " + base64.b64encode(b"hook:").decode(),
        "Bearer h\u00f6\u00f6k",
    ],
)
async def test_a_wrong_or_missing_token_is_401_counted_and_alarmed(
    tmp_path: Path, authorization: str | None
) -> None:
    async with served(tmp_path, credentials=CLOSED) as web:
        headers = {} if authorization is None else {"Authorization": authorization}
        status, answer, got = await web.ask("POST", "/alertmanager", data=GOOD, headers=headers)
        assert status == 401
        assert "REMEDIATOR_WEBHOOK_TOKEN" in answer["detail"]
        assert "Bearer" in got["WWW-Authenticate"]
        assert await web.stored() == []
        assert web.heard.kinds == ["webhook_unauthorized"]
        assert "hook2" not in web.heard.alarms[0][1]
        assert await web.metric("remediator_webhooks_total", result="unauthorized") == 1
        assert await web.metric("remediator_auth_refused_total", route="/alertmanager") == 1


async def test_without_tokens_a_web_page_may_not_post(tmp_path: Path) -> None:
    async with served(tmp_path) as web:
        assert (await web.post(GOOD, headers={"Origin": "https://evil.example"}))[0] == 403
        assert await web.stored() == []


async def _chunks(size: int) -> AsyncIterator[bytes]:
    piece = b"x" * MIB
    yield b'{"a":"'
    for _ in range(size // MIB):
        yield piece
    yield b'"}'


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(lambda: io.BytesIO(b'{"a":"' + b"x" * 50 * MIB + b'"}'), id="50 MB"),
        pytest.param(lambda: _chunks(50 * MIB), id="50 MB in chunks without a length"),
    ],
)
async def test_over_32_mib_is_413_that_the_sender_sees_counted_and_alarmed(
    tmp_path: Path, body: Callable[[], Any]
) -> None:
    async with served(tmp_path) as web:
        status, answer = await web.post(body())
        assert status == 413
        assert "32 MiB" in answer["detail"]
        assert await web.stored() == []
        assert web.heard.kinds == ["webhook_too_large"]
        assert await web.metric("remediator_webhooks_total", result="too_large") == 1
        assert (await web.post(GOOD))[0] == 200


async def test_32_mib_exactly_is_taken(tmp_path: Path) -> None:
    body = b'{"a":"' + b"x" * (32 * MIB - 8) + b'"}'
    assert len(body) == 32 * MIB
    async with served(tmp_path, limits=Limits(persist=30)) as web:
        assert (await web.post(io.BytesIO(body)))[0] == 200


@pytest.mark.parametrize("size", [0, 200 * MIB], ids=["small", "200 MB as 200 KB"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-gzip, identity"])
async def test_an_encoded_body_is_415_counted_alarmed_and_never_inflated(
    tmp_path: Path, encoding: str, size: int
) -> None:
    """Alertmanager encodes nothing; whoever else does must not make us inflate it."""
    body = gzip.compress(b'{"a":"' + b"x" * size + b'"}', 6)
    async with served(tmp_path) as web:
        began = time.process_time()
        status, answer = await web.post(body, headers={"Content-Encoding": encoding})
        assert time.process_time() - began < 0.2
        assert status == 415
        assert "plain" in answer["detail"]
        assert await web.stored() == []
        assert web.heard.kinds == ["webhook_encoded"]
        assert await web.metric("remediator_webhooks_total", result="encoded") == 1


async def test_an_identity_encoding_is_none(tmp_path: Path) -> None:
    async with served(tmp_path) as web:
        assert (await web.post(GOOD, headers={"Content-Encoding": "identity"}))[0] == 200
        assert await web.stored() == [("default", GOOD)]


async def test_a_length_that_lies_stores_nothing_half(tmp_path: Path) -> None:
    async with served(tmp_path, limits=Limits(arrival=0.3)) as web:
        head = b"POST /alertmanager HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        assert b" 503 " in await web.raw(head % (len(GOOD) + 5) + GOOD)
        assert b" 400 " in await web.raw(head % (len(GOOD) - 5) + GOOD)
        assert b" 413 " in await web.raw(head % (33 * MIB) + GOOD)
        assert await web.stored() == []


async def test_a_body_that_does_not_arrive_is_503_so_that_it_is_sent_again(tmp_path: Path) -> None:
    async with served(tmp_path, limits=Limits(arrival=0.2)) as web:

        async def slow() -> AsyncIterator[bytes]:
            yield GOOD[:5]
            await asyncio.sleep(5)

        began = time.monotonic()
        assert (await web.post(slow()))[0] == 503
        assert time.monotonic() - began < 4
        assert web.heard.alarms == []
        assert await web.metric("remediator_webhooks_total", result="incomplete") == 1


@pytest.mark.parametrize("told", [True, False], ids=["with a length", "in chunks without a length"])
async def test_more_bodies_at_once_than_memory_is_meant_for_are_503_and_get_in_later(
    tmp_path: Path, *, told: bool
) -> None:
    """One holds the room, a second finds none, and small ones need none."""
    body = b'{"a":"' + b"x" * 300_000 + b'"}'
    headers = {"Content-Length": str(len(body))} if told else {}
    async with served(tmp_path, limits=Limits(arriving_bytes=400_000)) as web:
        begun, rest = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield body[:250_000]
            begun.set()
            await rest.wait()
            yield body[250_000:]

        first = asyncio.create_task(web.post(slow(), headers=headers))
        await begun.wait()

        async def refused() -> bool:
            return (await web.post(body))[0] == 503

        await eventually(refused, "there is no room for a second one")
        assert set(web.heard.kinds) == {"webhook_crowded"}
        assert await web.metric("remediator_webhooks_total", result="crowded") >= 1
        assert (await web.post(GOOD))[0] == 200
        rest.set()
        assert (await first)[0] == 200
        assert (await web.post(body))[0] == 200


async def test_a_slow_body_that_arrives_in_time_is_stored(tmp_path: Path) -> None:
    async with served(tmp_path) as web:

        async def slow() -> AsyncIterator[bytes]:
            for byte in GOOD:
                yield bytes([byte])

        assert (await web.post(slow()))[0] == 200
        assert await web.stored() == [("default", GOOD)]


class _Failing(SqliteStore):
    """A ledger that can't be written."""

    failure: BaseException = StoreUnavailableError("the disk at /var/lib is full")

    async def save_webhook(self, source: str, body: bytes) -> None:
        del source, body
        raise self.failure


class _Broken(_Failing):
    failure = RuntimeError("a bug with hook in it")


class _Hanging(SqliteStore):
    async def save_webhook(self, source: str, body: bytes) -> None:
        del source, body
        await asyncio.Event().wait()


@pytest.mark.parametrize("store", [_Failing, _Broken, _Hanging])
async def test_what_can_not_be_stored_is_503_and_says_nothing_of_the_inside(
    tmp_path: Path, store: type[SqliteStore]
) -> None:
    async with served(tmp_path, make_store=store, limits=Limits(persist=0.2)) as web:
        status, answer, headers = await web.ask("POST", "/alertmanager", data=GOOD)
        assert status == 503
        assert int(headers["Retry-After"]) > 0
        assert "disk" not in str(answer)
        assert "hook" not in str(answer)
        assert web.heard.kinds == ["webhook_unavailable"]
        assert await web.metric("remediator_webhooks_total", result="unavailable") == 1


async def test_only_post_is_answered_and_the_banner_is_our_name_alone(tmp_path: Path) -> None:
    async with served(tmp_path) as web, web.client.get(web.url("/alertmanager")) as response:
        assert response.status == 405
        assert response.headers["Server"] == "remediator"


async def test_many_at_once_are_all_stored(tmp_path: Path) -> None:
    async with served(tmp_path, credentials=Credentials()) as web:
        bodies = [b'{"n":%d}' % n for n in range(200)]
        answers = await asyncio.gather(*(web.post(body) for body in bodies))
        assert {status for status, _ in answers} == {200}
        assert sorted(body for _, body in await web.stored()) == sorted(bodies)
