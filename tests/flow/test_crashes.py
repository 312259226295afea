"""The daemon as a process that is killed, stopped or cut off from its disk: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
import os
import resource
import signal

import pytest

from remediator.app import serve
from remediator.core.changes import Proposal
from remediator.engine.commands import Commands
from remediator.engine.journal import Journal
from remediator.sandbox.faults import DropReply, Fault, Hang
from remediator.store.sqlite import SqliteStore
from tests.support.daemon import LEASE_TTL, World, changing, reading
from tests.support.metrics import samples
from tests.support.processes import ManagedProcess, eventually
from tests.support.rulebooks import SERVICE, image, rule, rules, step

ROLLED_OUT = {"within": "20s", "checks": [{"check": "kubernetes.rolled_out"}]}


async def ended(process: ManagedProcess, *, within: float) -> int:
    """The exit code, once the process has ended by itself."""
    await eventually(lambda: not process.running, "the process has ended", within=within)
    return process.popen.wait()


async def test_killed_after_the_200_it_finishes_after_a_restart(world: World) -> None:
    """Law 1: what was answered with 200 is not lost, though nothing had been done with it yet."""
    process = await world.spawn(rules())
    firing = await world.break_service()
    planned = world.cluster.faults.add(reading, Hang(), times=None)
    await world.fire(firing)
    process.kill()
    world.cluster.faults.remove(planned)
    await world.spawn()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


@pytest.mark.parametrize("fault", [Hang(), DropReply()], ids=["not applied", "applied"])
async def test_killed_after_the_intent_it_probes_and_changes_once(world: World, fault: Fault) -> None:
    process = await world.spawn(rules())
    firing = await world.break_service()
    planned = world.cluster.faults.add(changing, fault)
    await world.fire(firing)
    await planned.struck()
    process.kill()
    await world.spawn()
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_killed_after_the_intent_its_own_late_write_is_refused(world: World) -> None:
    """The write is still on its way when another takes over: the newer token keeps it out."""
    process = await world.spawn(rules())
    firing = await world.break_service()
    late = world.hold(changing)
    await world.fire(firing)
    await late.struck()
    process.kill()
    await world.spawn()
    run = await world.run_ended()
    late.release()
    await eventually(
        lambda: world.cluster.audit.select(verb="patch", resource="deployments", code=422), "it arrives late"
    )
    assert run["outcome"] == "succeeded"
    assert "attempt.taken_over" in [event["kind"] for event in run["events"]]
    assert len(world.applied()) == 1


async def test_a_lease_that_ends_with_its_run_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewal that comes as the run ends finds no lease any more: the run counts as ended all the same."""

    async def slowly(journal: Journal) -> None:
        if journal.run.state.is_final:
            await asyncio.sleep(LEASE_TTL.total_seconds() / 2)
        await refresh(journal)

    refresh = Journal.refresh
    monkeypatch.setattr(Journal, "refresh", slowly)
    await world.start(rules())
    await world.fire(await world.break_service())
    assert (await world.run_ended())["outcome"] == "succeeded"
    metrics = f"{world.url}/metrics"
    await eventually(lambda: samples(world.http, metrics, "remediator_runs_total"), "the run is counted")
    assert [each.value for each in await samples(world.http, metrics, "remediator_lease_lost_total")] == [0]
    assert await world.events("lease.lost") == []


async def test_killed_during_the_proof_it_goes_on_proving(world: World) -> None:
    process = await world.spawn(rules(rule(verify=ROLLED_OUT)))
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    await world.fire(firing)
    await world.run_in("verifying")
    process.kill()
    world.cluster.mend_image(image(SERVICE, 2))
    await world.spawn()
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert len(run["attempts"]) == len(world.applied()) == 1


async def test_stopped_during_the_proof_it_exits_at_once_and_goes_on_later(world: World) -> None:
    process = await world.spawn(rules(rule(verify=ROLLED_OUT)))
    firing = await world.break_service()
    world.cluster.break_image(image(SERVICE, 2))
    await world.fire(firing)
    await world.run_in("verifying")
    process.send(signal.SIGTERM)
    assert await ended(process, within=10) == 0
    world.cluster.mend_image(image(SERVICE, 2))
    await world.spawn()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_stopped_while_acting_it_parks_within_ten_seconds_and_changes_once(world: World) -> None:
    process = await world.spawn(rules(rule(steps=[step(timeout="25s")])))
    firing = await world.break_service()
    planned = world.cluster.faults.add(changing, Hang())
    await world.fire(firing)
    await planned.struck()
    process.send(signal.SIGTERM)
    assert await ended(process, within=10) == 0
    await world.spawn()
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_stopped_while_acting_it_finishes_what_can_be_finished(world: World) -> None:
    process = await world.spawn(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    process.send(signal.SIGTERM)
    held.release()
    assert await ended(process, within=10) == 0
    await world.spawn()
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert "attempt.taken_over" not in [event["kind"] for event in run["events"]]
    assert len(world.applied()) == 1


async def test_a_ledger_that_cannot_be_written_says_503_and_loses_nothing_that_was_taken(
    world: World,
) -> None:
    """The disk is full: Alertmanager is told to come back, and once there is room it is taken."""
    process = await world.spawn(rules())
    firing = await world.break_service()
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (64 * 1024, hard))

    async def refused() -> bool:
        status, _ = await world.post(b'{"version":"4","alerts":[]}' + b" " * 4096)
        return status == 503

    await eventually(refused, "a webhook is answered with 503")
    await world.fire(firing, expected=503)
    await eventually(lambda: _unready(world), "/ready says 503")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))

    async def ready() -> bool:
        return (await world.ask("GET", "/ready"))[0] == 200

    await eventually(ready, "/ready says 200 again")
    await world.fire(firing)
    assert (await world.run_ended())["outcome"] == "succeeded"
    assert len(world.applied()) == 1


async def test_a_ledger_that_fails_between_intent_and_outcome_is_followed_by_a_probe(world: World) -> None:
    """The change is made, and nobody can write that it was: once somebody can, it is found, not repeated."""
    process = await world.spawn(rules())
    firing = await world.break_service()
    held = world.hold(changing)
    await world.fire(firing)
    await held.struck()
    soft, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (64 * 1024, hard))
    await eventually(lambda: _unready(world), "/ready says 503")
    held.release()
    await eventually(world.applied, "the change is made")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    run = await world.run_ended()
    assert run["outcome"] == "succeeded"
    assert len(run["attempts"]) == len(world.applied()) == 1


async def _unready(world: World) -> bool:
    status, said = await world.ask("GET", "/ready")
    assert status in (200, 503)
    return status == 503 and "the store" in str(said["detail"])


async def test_a_second_daemon_on_the_same_ledger_refuses_to_start(world: World) -> None:
    await world.spawn(rules())
    second = world.launch("second", LISTEN="127.0.0.1:0")
    assert await ended(second, within=20) == 1
    assert "in use by another process" in second.tail()
    assert (await world.ask("GET", "/ready"))[0] == 200


async def test_sighup_puts_the_rule_files_in_force(world: World) -> None:
    process = await world.spawn(rules())
    before = (await world.get("/status"))["rulebook"]["hash"]
    world.write_rules(rules(rule("renamed", was="rollback")))
    process.send(signal.SIGHUP)

    async def changed() -> bool:
        return bool((await world.get("/status"))["rulebook"]["hash"] != before)

    await eventually(changed, "the new rulebook is in force")
    await world.fire(await world.break_service())
    assert (await world.run_ended())["rule"] == "renamed"


async def test_a_sighup_while_it_starts_ends_nothing_and_is_heeded_once_it_is_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent by the ledger's opening, before anything serves."""
    world.write_rules(rules())
    opened, reloads = SqliteStore.open, []

    async def opening(store: SqliteStore) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        await opened(store)

    async def reloading(_: Commands, who: str) -> Proposal:
        reloads.append(who)
        return Proposal.UNCHANGED

    monkeypatch.setattr(SqliteStore, "open", opening)
    monkeypatch.setattr(Commands, "reload", reloading)
    monkeypatch.setenv("KUBECONFIG", world.kubeconfig)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    serving = asyncio.create_task(serve(world._settings({})))
    try:
        await eventually(lambda: reloads == ["SIGHUP"], "the files are read again")
        os.kill(os.getpid(), signal.SIGTERM)
        assert await serving == 0
    finally:
        serving.cancel()
        signal.signal(signal.SIGHUP, before)


BAD_STARTS = {
    "settings": (
        {"MODE": "lvie", "LEASE_TTL": "5"},
        ["REMEDIATOR_MODE", "did you mean live", "REMEDIATOR_LEASE_TTL"],
    ),
    "rules": ({}, ["rules.yaml:", "did you mean"]),
    "no rules": ({"RULES": "/nowhere/rules"}, ["/nowhere/rules", "no such file or folder"]),
    "folder of the ledger": ({"STORE": "sqlite:////nowhere/ledger.db"}, ["/nowhere", "does not exist"]),
    "open to the world": ({"LISTEN": "0.0.0.0:0", "WEBHOOK_TOKEN": ""}, ["REMEDIATOR_WEBHOOK_TOKEN"]),
}


@pytest.mark.parametrize("case", BAD_STARTS)
async def test_a_bad_start_exits_1_and_says_what_to_mend(world: World, case: str) -> None:
    settings, said = BAD_STARTS[case]
    bad = case == "rules"
    world.write_rules(rules({**rule(), "step": []}) if bad else rules())
    process = world.launch(**settings)
    assert await ended(process, within=20) == 1
    for text in said:
        assert text in process.tail()
    assert "Traceback" not in process.tail()


async def test_a_port_in_use_exits_1_and_says_so(world: World) -> None:
    await world.spawn(rules())
    second = world.launch("second", STORE=f"sqlite:///{world.folder / 'other.db'}")
    assert await ended(second, within=20) == 1
    assert "in use" in second.tail()
    assert "Traceback" not in second.tail()
