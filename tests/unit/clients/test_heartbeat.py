"""A heartbeat is one GET; whatever comes of it, nobody is told the URL."""

from __future__ import annotations

import pytest

from remediator.clients.heartbeat import HeartbeatClient
from tests.support.heartbeats import HeartbeatReceiver


async def beat(url: str, timeout: float = 5) -> str:
    client = HeartbeatClient(url, timeout=timeout)
    try:
        return await client.beat()
    finally:
        await client.close()


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_it_arrives(status: int) -> None:
    async with HeartbeatReceiver() as receiver:
        receiver.status = status
        assert await beat(receiver.url) == ""
        assert receiver.beats == [("GET", "/ping/s3cr3t-value")]


@pytest.mark.parametrize("status", [304, 404, 429, 500])
async def test_a_refusal_is_told_without_the_url(status: int) -> None:
    async with HeartbeatReceiver() as receiver:
        receiver.status = status
        said = await beat(receiver.url)
    assert str(status) in said
    assert "s3cr3t" not in said


async def test_one_that_can_not_be_reached_is_told_without_the_url() -> None:
    async with HeartbeatReceiver() as receiver:
        await receiver.down()
        said = await beat(receiver.url)
    assert said.startswith("no connection")
    assert "s3cr3t" not in said


async def test_after_an_outage_it_arrives_again() -> None:
    async with HeartbeatReceiver() as receiver:
        client = HeartbeatClient(receiver.url)
        assert await client.beat() == ""
        await receiver.down()
        assert await client.beat() != ""
        await receiver.__aenter__()
        assert await client.beat() == ""
        await client.close()


@pytest.mark.parametrize("url", ["http://[::1]:1/s3cr3t", "http://a b/s3cr3t", "http://x:99999/s3cr3t"])
async def test_no_url_is_too_odd_to_fail_quietly(url: str) -> None:
    said = await beat(url)
    assert said
    assert "s3cr3t" not in said
