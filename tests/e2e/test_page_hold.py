"""The page hold with a real Alertmanager: what heals in time pages nobody, what does not pages by itself."""

from __future__ import annotations

from pathlib import Path

import yaml

from remediator.sandbox.pagerduty import ROUTING_KEY, PagerDutyReceiver
from tests.support.alertmanager import SHIPPED_CONFIG, running_alertmanager, shipped_config
from tests.support.processes import free_port

LABELS = {"alertname": "ServiceDown", "severity": "critical", "job": "auth-service", "namespace": "shop"}
HOLD = 3


def held_config(directory: Path, pager: str) -> str:
    """The shipped routes, their pager leading to `pager`; Remediator is dead, and the hold some seconds."""
    token, key = directory / "token", directory / "key"
    token.write_text("a-token")
    key.write_text(ROUTING_KEY)
    config = yaml.safe_load(shipped_config(f"http://127.0.0.1:{free_port()}/alertmanager", token))
    shipped = yaml.safe_load(SHIPPED_CONFIG.read_text())
    receiver = next(each for each in shipped["receivers"] if each["name"] == "pager")
    receiver["pagerduty_configs"][0] |= {"routing_key_file": str(key), "url": pager}
    config["receivers"] = [each for each in config["receivers"] if each["name"] != "pager"] + [receiver]
    (held,) = [
        each
        for each in config["route"]["routes"]
        if each["receiver"] == "pager" and each.get("group_by") == ["..."]
    ]
    held["group_wait"] = f"{HOLD}s"
    return yaml.safe_dump(config, sort_keys=False)


async def test_healed_within_the_hold_pages_nobody_and_with_remediator_dead_the_page_comes_by_itself(
    tmp_path: Path,
) -> None:
    async with PagerDutyReceiver() as pager:
        config = held_config(tmp_path, pager.url)
        async with running_alertmanager(config, tmp_path) as alertmanager:
            healed, broken = {**LABELS, "instance": "healed"}, {**LABELS, "instance": "broken"}
            await alertmanager.post(healed, {"summary": "healed"})
            await alertmanager.post(broken, {"summary": "broken"})
            await alertmanager.resolve(healed)
            await pager.until(bool, 30)
            assert [incident.summary for incident in pager.incidents] == ["broken"]
