"""A Slack on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from remediator.sandbox.slack import SlackReceiver


@pytest.fixture
async def slack() -> AsyncIterator[SlackReceiver]:
    async with SlackReceiver() as receiver:
        yield receiver
