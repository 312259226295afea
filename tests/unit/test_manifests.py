"""deploy/kubernetes sets the daemon up as the daemon reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.core.rules import Mode
from remediator.settings import load_settings

DEPLOYMENT = Path(__file__).parents[2] / "deploy/kubernetes/daemon/deployment.yaml"
TOKENS = "/etc/remediator/tokens"


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(DEPLOYMENT.read_text())["spec"]["template"]["spec"]
    return spec


def test_the_daemon_starts_with_what_the_manifest_sets(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every variable is a setting, every value fits, both tokens are read; it only warns for want of TLS."""
    for name in ("webhook-token", "operator-token"):
        (tmp_path / name).write_text(f"made-up-{name}\n")
    for variable in pod()["containers"][0]["env"]:
        if "value" in variable:
            monkeypatch.setenv(variable["name"], variable["value"].replace(TOKENS, str(tmp_path)))
        else:
            monkeypatch.setenv(variable["name"], "https://hooks.slack.com/services/made/up")
    settings = load_settings()
    assert settings.mode is Mode.OBSERVE
    assert [token.token.get_secret_value() for token in settings.webhook_token] == ["made-up-webhook-token"]
    assert [token.token.get_secret_value() for token in settings.operator_token] == ["made-up-operator-token"]
    assert [warning.partition(":")[0] for warning in settings.warnings] == ["REMEDIATOR_LISTEN"]


def test_every_path_that_is_set_is_mounted() -> None:
    """The root file system is read-only: what the daemon reads or writes is on a volume of its own."""
    container = pod()["containers"][0]
    mounts = tuple(f"{mount['mountPath']}/" for mount in container["volumeMounts"])
    values = [variable.get("value", "") for variable in container["env"]]
    paths = [value[value.index("/etc/") :] for value in values if "/etc/" in value]
    paths += [value[value.index("/var/") :] for value in values if "/var/" in value]
    assert len(paths) == 4
    assert [path for path in paths if not f"{path}/".startswith(mounts)] == []


def test_the_probed_port_is_the_one_that_is_listened_on() -> None:
    container = pod()["containers"][0]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listen = next(each["value"] for each in container["env"] if each["name"] == "REMEDIATOR_LISTEN")
    probed = {container[probe]["httpGet"]["port"] for probe in ("livenessProbe", "readinessProbe")}
    assert {f":{ports[name]}" for name in probed} == {listen[listen.index(":") :]}
