"""What a failing API server does to actions and checks: never a guess, never a second write.

On the stand-in, which fails on demand; what a healthy server can be brought to do is tested on both.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from remediator.clients.kubernetes import ApiError, KubernetesClient, Problem
from remediator.core.checks import Said
from remediator.core.ports.actions import Refusal, Sighting
from remediator.core.runs import Outcome
from remediator.sandbox.faults import Fault
from remediator.sandbox.kubernetes import Answer, DropReply, Hang, Late, Matching, Refuse
from tests.support.acting import UNDO, Hand
from tests.support.clusters import BROKEN, GOOD, StandInCluster, image_of
from tests.support.processes import eventually

FAULTS: dict[str, Fault] = {
    "403": Answer(403),
    "404": Answer(404),
    "409": Answer(409),
    "422": Answer(422),
    "429": Answer(429, retry_after=30),
    "500": Answer(500),
    "503": Answer(503),
    "hang": Hang(),
    "hung up": Refuse(),
}
PASSING = {"409", "429", "500", "503", "hang", "hung up"}

READS = Matching(verb="get", resource="deployments")
LISTS = Matching(verb="list", resource="replicasets")
MARKS = Matching(verb="patch", resource="replicasets")


class WritesTemplate(Matching):
    """The one patch that moves the template."""

    def __call__(self, request: object) -> bool:
        body: bytes = getattr(request, "body", b"")
        return Matching(verb="patch", resource="deployments")(request) and b'"replace"' in body  # type: ignore[arg-type]  # a request it is


WRITE = WritesTemplate()


@pytest.fixture
async def hand(standin: StandInCluster) -> AsyncIterator[Hand]:
    await standin.deploy("cart", GOOD, BROKEN)
    async with Hand(standin, KubernetesClient(standin.kubeconfig(), timeout=1)) as made:
        yield made


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("where", [READS, LISTS], ids=["get", "list"])
async def test_a_plan_is_refused_and_says_whether_asking_again_may_help(
    standin: StandInCluster, hand: Hand, fault: str, where: Matching
) -> None:
    standin.standin.faults.add(where, FAULTS[fault], times=None)
    refusal = await hand.plan(UNDO, hand.context())
    assert isinstance(refusal, Refusal)
    assert refusal.temporary is (fault in PASSING)
    assert "\n" not in refusal.detail
    assert standin.writes() == []


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_check_is_an_error_and_never_no(standin: StandInCluster, hand: Hand, fault: str) -> None:
    standin.standin.faults.add(READS, FAULTS[fault], times=None)
    assert (await hand.look("kubernetes.rolled_out")).said is Said.ERROR


@pytest.mark.parametrize("fault", FAULTS)
async def test_trouble_before_the_template_moves_is_a_proven_failure(
    standin: StandInCluster, hand: Hand, fault: str
) -> None:
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    for where in (READS, LISTS):
        planned = standin.standin.faults.add(where, FAULTS[fault], times=None)
        result = await hand.apply(UNDO, context, plan)
        standin.standin.faults.remove(planned)
        assert result.outcome is Outcome.FAILED
        assert result.detail.startswith("not begun: ")
    assert standin.template_writes() == []


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "404"])
async def test_a_revision_that_can_not_be_marked_is_not_fled_from(
    standin: StandInCluster, hand: Hand, fault: str
) -> None:
    """Else a second alert might roll forward into it."""
    standin.standin.faults.add(MARKS, FAULTS[fault], times=None)
    assert (await hand.act()).outcome is Outcome.FAILED
    assert image_of(await standin.get("cart")) == BROKEN


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_write_is_failed_only_when_the_answer_proves_it(
    standin: StandInCluster, hand: Hand, fault: str
) -> None:
    """5xx proves nothing: the API server also answers it when its storage was too slow to tell."""
    proven = {"403", "404", "409", "422", "429"}
    planned = standin.standin.faults.add(WRITE, FAULTS[fault], times=None)
    result = await hand.act()
    assert result.outcome is (Outcome.FAILED if fault in proven else Outcome.UNKNOWN)
    assert planned.hits == 1
    assert standin.template_writes() == []


async def test_a_write_whose_reply_is_dropped_is_unknown_then_proven(
    standin: StandInCluster, hand: Hand
) -> None:
    standin.standin.faults.add(WRITE, DropReply())
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    assert (await hand.apply(UNDO, context, plan)).outcome is Outcome.UNKNOWN
    probe = await hand.probe(UNDO, hand.context(token=2), plan)
    assert probe.sighting is Sighting.HAPPENED
    assert len(standin.template_writes()) == 1


async def test_a_write_applied_long_after_its_client_left_is_refused(
    standin: StandInCluster, hand: Hand
) -> None:
    let_go = asyncio.Event()
    held = standin.standin.faults.add(WRITE, Late(let_go))
    context = hand.context()
    plan = await hand.planned(UNDO, context)
    assert (await hand.apply(UNDO, context, plan)).outcome is Outcome.UNKNOWN
    assert (await hand.probe(UNDO, hand.context(token=2), plan)).sighting is Sighting.NOT_HAPPENED
    assert held.hits == 1
    before = len(standin.standin.audit.entries)
    let_go.set()
    arrived = await eventually(lambda: standin.standin.audit.entries[before:], "the late write")
    assert [entry.code for entry in arrived] == [422]
    assert image_of(await standin.get("cart")) == BROKEN


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in {"409", "422"}])
async def test_a_probe_that_can_not_look_proves_nothing(
    standin: StandInCluster, hand: Hand, fault: str
) -> None:
    plan = await hand.planned(UNDO, hand.context())
    for where in (READS, LISTS, Matching(verb="patch", resource="deployments")):
        planned = standin.standin.faults.add(where, FAULTS[fault], times=None)
        probe = await hand.probe(UNDO, hand.context(token=2), plan)
        standin.standin.faults.remove(planned)
        assert probe.sighting is Sighting.UNPROVABLE
        await standin.annotate("cart", fencing_token=None)


async def test_a_lost_stamp_is_looked_for_and_the_work_goes_on(standin: StandInCluster, hand: Hand) -> None:
    stamp = Matching(verb="patch", resource="deployments")
    standin.standin.faults.add(stamp, DropReply())
    assert (await hand.act()).outcome is Outcome.SUCCEEDED


async def test_a_lost_mark_is_looked_for_and_the_work_goes_on(standin: StandInCluster, hand: Hand) -> None:
    standin.standin.faults.add(MARKS, DropReply())
    assert (await hand.act()).outcome is Outcome.SUCCEEDED
    assert await standin.marked() == {BROKEN}


async def test_a_crash_between_mark_and_move_leaves_nothing_to_roll_forward_into(
    standin: StandInCluster, hand: Hand
) -> None:
    """The mark comes first: the broken revision is out for good, whatever becomes of the move."""
    standin.standin.faults.add(WRITE, Refuse())
    assert (await hand.act()).outcome is Outcome.UNKNOWN
    assert await standin.marked() == {BROKEN}
    again = await hand.planned(UNDO, hand.context(token=2, attempt="r-1/undo/2"))
    assert again.data["to_revision"] == 1
    await standin.roll_out("cart", "shop/cart:1.5.1")
    plan = await hand.planned(UNDO, hand.context(token=2, attempt="r-2/undo/1"))
    assert plan.data["to_revision"] == 1


async def test_reads_wait_as_long_as_they_are_told_and_no_more_often_than_twice(
    standin: StandInCluster, hand: Hand
) -> None:
    throttled = standin.standin.faults.add(READS, Answer(429, retry_after=0), times=2)
    assert (await hand.look("kubernetes.gitops_managed")).said is Said.NO
    assert throttled.hits == 2
    always = standin.standin.faults.add(READS, Answer(429, retry_after=0), times=None)
    assert (await hand.look("kubernetes.gitops_managed")).said is Said.ERROR
    assert always.hits == 3


async def test_a_server_out_of_reach_is_known_not_to_have_been_asked(
    standin: StandInCluster, hand: Hand
) -> None:
    await hand.plan(UNDO, hand.context())
    await standin.standin.down()
    with pytest.raises(ApiError) as raised:
        await hand.client.patch_deployment("shop", "cart", [])
    assert raised.value.problem is Problem.UNAVAILABLE
    assert "can't be reached" in str(raised.value)


@pytest.mark.parametrize("content", ["", "{", "users: [oops", "apiVersion: v1\nkind: Config\n"])
async def test_an_unusable_kubeconfig_says_which_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    client = KubernetesClient(path)
    with pytest.raises(ApiError, match="no usable configuration") as raised:
        await client.version()
    assert str(path) in str(raised.value)
    assert "oops" not in str(raised.value)


async def test_no_configuration_at_all_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ApiError, match="KUBECONFIG is not set"):
        await KubernetesClient().version()


async def test_no_token_is_in_any_message(standin: StandInCluster) -> None:
    path = standin.kubeconfig()
    path.write_text(path.read_text().replace("account", "very-secret-token"))
    client = KubernetesClient(path)
    with pytest.raises(ApiError) as raised:
        await client.get_deployment("shop", "cart")
    await client.close()
    assert raised.value.problem is Problem.FORBIDDEN
    assert "very-secret-token" not in f"{raised.value!r}"


@pytest.mark.parametrize(
    ("code", "said"), [(406, "406: Not Acceptable"), (401, "401: Unauthorized"), (418, "418: the server")]
)
async def test_a_refusals_status_is_said_once(
    standin: StandInCluster, hand: Hand, code: int, said: str
) -> None:
    standin.standin.faults.add(READS, Answer(code), times=None)
    with pytest.raises(ApiError) as raised:
        await hand.client.get_deployment("shop", "cart")
    assert str(raised.value).startswith(said)


async def test_the_servers_version_is_read(hand: Hand) -> None:
    assert (await hand.client.version()).startswith("v1.")
