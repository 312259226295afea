"""Health and readiness answer at once, whatever the dependencies do."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from pathlib import Path

from remediator.core.ports.store import StoreUnavailableError
from remediator.store.sqlite import SqliteStore
from remediator.web import DependencyHealth, Health, Limits
from tests.unit.web.harness import CLOSED, served

QUICK = Limits(probe=0.2, patience=0.05, fresh=0.0)


async def _well() -> DependencyHealth:
    return DependencyHealth(Health.HEALTHY, "v1.34")


async def _broken() -> DependencyHealth:
    raise RuntimeError("password=hunter2")


async def _stuck() -> DependencyHealth:
    await asyncio.Event().wait()
    raise AssertionError


class _Unwritable(SqliteStore):
    async def check(self) -> None:
        raise StoreUnavailableError("disk full at /secret/place")


class _Stuck(SqliteStore):
    async def check(self) -> None:
        await asyncio.Event().wait()


async def test_health_has_the_agreed_shape_and_needs_no_token(tmp_path: Path) -> None:
    async with served(tmp_path, credentials=CLOSED, probes={"kubernetes": _well}) as web:
        status, answer, headers = await web.ask("GET", "/health")
        assert status == 200
        assert datetime.fromisoformat(answer.pop("timestamp")).tzinfo is not None
        assert answer == {
            "status": "healthy",
            "version": "1.2.3",
            "store": {"status": "healthy", "detail": ""},
            "kubernetes": {"status": "healthy", "detail": "v1.34"},
        }
        assert headers["Server"] == "remediator"
        assert headers["Cache-Control"] == "no-store"


async def test_a_broken_dependency_degrades_and_never_leaks(tmp_path: Path) -> None:
    async with served(tmp_path, probes={"slack": _broken}) as web:
        status, answer, _ = await web.ask("GET", "/health")
        assert (status, answer["status"], answer["slack"]["status"]) == (200, "degraded", "unhealthy")
        assert "hunter2" not in str(answer)
        assert (await web.ask("GET", "/ready"))[0] == 200


async def test_what_is_depended_on_may_change_while_it_serves(tmp_path: Path) -> None:
    probes = {"slack": _well}
    async with served(tmp_path, probes=probes) as web:
        assert "kubernetes" not in (await web.ask("GET", "/health"))[1]
        probes |= {"kubernetes": _well}
        assert (await web.ask("GET", "/health"))[1]["kubernetes"]["status"] == "healthy"
        del probes["slack"]
        assert "slack" not in (await web.ask("GET", "/health"))[1]


async def test_a_stuck_dependency_is_unknown_at_once_and_unhealthy_after_its_deadline(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, probes={"slack": _stuck}, limits=QUICK) as web:
        began = time.monotonic()
        _, answer, _ = await web.ask("GET", "/health")
        assert time.monotonic() - began < 2
        assert (answer["status"], answer["slack"]["status"]) == ("degraded", "unknown")
        async with asyncio.timeout(10):
            while answer["slack"]["status"] == "unknown":
                _, answer, _ = await web.ask("GET", "/health")
        assert answer["slack"] == {"status": "unhealthy", "detail": "no answer within 0.2 s"}


async def test_health_is_200_and_ready_503_when_nothing_can_be_stored(tmp_path: Path) -> None:
    for store in (_Unwritable, _Stuck):
        async with served(tmp_path, make_store=store, limits=QUICK) as web:
            status, answer, _ = await web.ask("GET", "/ready")
            assert (status, answer["status"]) == (503, "unready")
            assert "store" in answer["detail"]
            assert "secret" not in str(answer)
            async with asyncio.timeout(10):
                while (told := (await web.ask("GET", "/health"))[1])["status"] != "unhealthy":
                    pass
            assert told["store"]["status"] == "unhealthy"


async def test_readiness_comes_back_with_the_store(tmp_path: Path) -> None:
    class Flaky(SqliteStore):
        writable = False

        async def check(self) -> None:
            if not self.writable:
                raise StoreUnavailableError("gone")

    async with served(tmp_path, make_store=Flaky, limits=QUICK) as web:
        assert (await web.ask("GET", "/ready"))[0] == 503
        Flaky.writable = True
        assert (await web.ask("GET", "/ready"))[0] == 200


async def test_however_many_ask_the_store_is_asked_once_in_a_while(tmp_path: Path) -> None:
    asked = 0

    class Counting(SqliteStore):
        async def check(self) -> None:
            nonlocal asked
            asked += 1
            await super().check()

    async with served(tmp_path, make_store=Counting, limits=Limits(fresh=3600)) as web:
        answers = await asyncio.gather(*(web.ask("GET", "/ready") for _ in range(50)))
        assert {status for status, _, _ in answers} == {200}
        assert asked == 1


async def test_metrics_need_no_token_and_speak_openmetrics_when_asked(tmp_path: Path) -> None:
    async with served(tmp_path, credentials=CLOSED) as web:
        assert await web.metric("remediator_build_info", version="1.2.3") == 1
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with web.client.get(web.url("/metrics"), headers=accept) as response:
            assert response.content_type == "application/openmetrics-text"
            assert (await response.text()).endswith("# EOF\n")
