"""The page hold with a real Alertmanager: what heals in time pages nobody, what does not pages by itself.

A repair that failed is not waited out: Remediator pages as soon as it knows.
"""

from __future__ import annotations

from pathlib import Path

import yaml

from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.pagerduty import ROUTING_KEY, PagerDutyReceiver
from tests.e2e.daemon import serving
from tests.support.alertmanager import SHIPPED_CONFIG, running_alertmanager, shipped_config
from tests.support.processes import free_port
from tests.support.rulebooks import image, rules

LABELS = {"alertname": "ServiceDown", "severity": "critical", "job": "auth-service", "namespace": "shop"}


def held_config(directory: Path, pager: str, *, port: int, hold: int) -> str:
    """The shipped routes, their pager leading to `pager`, Remediator on `port`, the hold so many seconds."""
    token, key = directory / "token", directory / "key"
    token.write_text("a-token")
    key.write_text(ROUTING_KEY)
    config = yaml.safe_load(shipped_config(f"http://127.0.0.1:{port}/alertmanager", token))
    shipped = yaml.safe_load(SHIPPED_CONFIG.read_text())
    receiver = next(each for each in shipped["receivers"] if each["name"] == "pager")
    receiver["pagerduty_configs"][0] |= {"routing_key_file": str(key), "url": pager}
    config["receivers"] = [each for each in config["receivers"] if each["name"] != "pager"] + [receiver]
    (held,) = [
        each
        for each in config["route"]["routes"]
        if each["receiver"] == "pager" and each.get("group_by") == ["..."]
    ]
    held["group_wait"] = f"{hold}s"
    return yaml.safe_dump(config, sort_keys=False)


async def test_healed_within_the_hold_pages_nobody_and_with_remediator_dead_the_page_comes_by_itself(
    tmp_path: Path,
) -> None:
    async with PagerDutyReceiver() as pager:
        config = held_config(tmp_path, pager.url, port=free_port(), hold=3)
        async with running_alertmanager(config, tmp_path) as alertmanager:
            healed, broken = {**LABELS, "instance": "healed"}, {**LABELS, "instance": "broken"}
            await alertmanager.post(healed, {"summary": "healed"})
            await alertmanager.post(broken, {"summary": "broken"})
            await alertmanager.resolve(healed)
            await pager.until(bool, 30)
            assert [incident.summary for incident in pager.incidents] == ["broken"]


async def test_a_run_that_failed_pages_at_once_while_alertmanager_still_holds_its_page(
    tmp_path: Path,
) -> None:
    async with PagerDutyReceiver() as pager, StandIn(ready_after=0.005) as cluster:
        # Of one release only: there is nothing to go back to.
        cluster.deploy(LABELS["namespace"], LABELS["job"], image(LABELS["job"], 1), replicas=1)
        await cluster.settled()
        port = free_port()
        config = held_config(tmp_path, pager.url, port=port, hold=120)
        (tmp_path / "rules.yaml").write_text(rules())
        settings = {
            "MODE": "live",
            "RULES": str(tmp_path / "rules.yaml"),
            "STORE": f"sqlite:///{tmp_path / 'ledger.db'}",
            "WEBHOOK_TOKEN_FILE": str(tmp_path / "token"),
            "PAGERDUTY_ROUTING_KEY": ROUTING_KEY,
            "PAGERDUTY_URL": pager.url,
            "KUBECONFIG": str(cluster.kubeconfig(tmp_path / "kubeconfig")),
        }
        async with running_alertmanager(config, tmp_path) as alertmanager:
            with serving(tmp_path, port, settings) as daemon:
                await alertmanager.post(LABELS, {"summary": "of Alertmanager"})
                await pager.until(bool, 60)
                (run,) = daemon.runs()
                assert run["outcome"] == "failed"
                (incident,) = pager.incidents
                assert run["id"] in str(incident.events), "it is Remediator's, and the held one has not come"
                assert incident.summary != "of Alertmanager"
