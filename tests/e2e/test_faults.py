"""Around a change on the real API server, three replicas on one PostgreSQL are struck by every fault.

Whatever is struck: each service gets one change, counted in the API server's audit log. A replica that was
stopped past its lease goes on later, and its late write is refused by the API server, its late outcome by
the ledger.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from remediator.core.runs import Move, RunState
from remediator.sandbox.slack import SlackReceiver
from tests.faults.arena import NO_BRAKE
from tests.faults.boundaries import Boundary, Exchange, Fault, Side, arrow
from tests.faults.fleet import Fleet
from tests.faults.scenarios import REPAIR
from tests.faults.strikes import Strike, Strikes
from tests.faults.tally import Tally, table
from tests.store.postgres import server
from tests.support.clusters import ALSO_GOOD, BROKEN, GOOD, RealCluster
from tests.support.processes import eventually
from tests.support.rulebooks import alert, rules

AROUND = (
    arrow(RunState.READY, Move.INTEND),
    Exchange.APPLY.value,
    arrow(RunState.ACTING, Move.SUCCEED),
)
BOUNDARIES = tuple(Boundary(where, side) for where in AROUND for side in Side)
AT_ONCE, TRIES = 6, 4


@pytest.mark.timeout(420)
async def test_whatever_strikes_around_a_change_it_is_made_once(
    cluster: RealCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strikes, tally, names = Strikes(tmp_path / "strikes"), Tally(), (f"svc-{n}" for n in itertools.count())
    left = {(boundary, fault) for boundary in BOUNDARIES for fault in Fault}
    rule_file = tmp_path / "rules.yaml"
    rule_file.write_text(rules(*REPAIR.rules(), brake=NO_BRAKE, scope={"namespaces": [cluster.namespace]}))
    environment = {"KUBECONFIG": str(cluster.kubeconfig()), "FAULTS": str(tmp_path / "strikes")}
    async with SlackReceiver() as slack:
        settings = {
            "STORE": server().make_database(),
            "RULES": str(rule_file),
            "SLACK_BOT_TOKEN": slack.token,
            "SLACK_API_URL": slack.api_url,
        }
        async with Fleet(tmp_path, settings, environment) as fleet:
            for _ in range(TRIES):
                waiting = [Strike(next(names), *case) for case in sorted(left, key=str)]
                for start in range(0, len(waiting), AT_ONCE):
                    await play(cluster, fleet, strikes, waiting[start : start + AT_ONCE])
                hit = {(each.boundary, each.fault) for each in strikes.committed()}
                left -= hit
            await fleet.idle()
            for each in strikes.committed():
                tally[each.boundary, each.fault] += 1
            runs = await fleet.runs(REPAIR.name)
    with capsys.disabled():
        sys.stdout.write("\n".join(("", *table(tally, BOUNDARIES), "")))
    assert not left, "nobody came by these"
    broken = {run["target"].rpartition("/")[2]: run["outcome"] for run in runs}
    assert set(broken.values()) == {"succeeded"}
    assert Counter(write.name for write in cluster.template_writes()) == dict.fromkeys(broken, 1)
    assert len(runs) == len(broken)


async def play(cluster: RealCluster, fleet: Fleet, strikes: Strikes, planned: Sequence[Strike]) -> None:
    """Break a service for each strike, and wait until all are repaired."""
    deploys = (cluster.deploy(each.service, GOOD, ALSO_GOOD, BROKEN, replicas=1) for each in planned)
    await asyncio.gather(*deploys)
    for each in planned:
        strikes.plan(each)
        await fleet.fire(
            alert(each.service, labels={"scenario": REPAIR.name, "namespace": cluster.namespace})
        )
    wanted = {f"deployment/{cluster.namespace}/{each.service}" for each in planned}

    async def ended() -> bool:
        runs = await fleet.runs(REPAIR.name)
        return wanted <= {run["target"] for run in runs if RunState(run["state"]).is_final}

    await eventually(ended, "each run has ended", within=120)
    for each in planned:
        strikes.withdraw(each)
