"""deploy/ agrees with the daemon that it sets up, and with the rules that it ships."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from remediator.core.rules import Mode
from remediator.settings import load_settings

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "deploy/kubernetes/daemon/deployment.yaml"
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


def test_every_rule_file_is_mounted() -> None:
    """kustomize takes no wildcards: a rule file that rules/Kustomization omits isn't in the cluster."""
    folder = ROOT / "rules"
    generator = yaml.safe_load((folder / "Kustomization").read_text())["configMapGenerator"][0]
    shipped = {path.relative_to(folder) for path in folder.rglob("*.yaml")}
    read = {path.as_posix() for path in shipped if path.parts[0] != "tests"}
    assert set(generator["files"]) == read


def alerts_with_rules() -> set[str]:
    """The alert names that the shipped rules ask for."""
    texts = [path.read_text() for path in (ROOT / "rules").glob("*.yaml")]
    rules = [rule for text in texts for rule in yaml.safe_load(text).get("rules", ())]
    matchers = [matcher for rule in rules for matcher in rule["when"]["matchers"]]
    return {found[1] for matcher in matchers if (found := re.fullmatch(r'alertname="(\w+)"', matcher))}


def test_prometheus_raises_and_alertmanager_routes_every_alert_that_has_a_rule() -> None:
    prometheus = yaml.safe_load((ROOT / "deploy/prometheus/playbook.rules.yml").read_text())
    raised = {rule["alert"] for group in prometheus["groups"] for rule in group["rules"]}
    alertmanager = yaml.safe_load((ROOT / "deploy/alertmanager/alertmanager.yml").read_text())
    routes = [route for route in alertmanager["route"]["routes"] if route["receiver"] == "remediator"]
    routed = {name for route in routes for name in re.findall(r"[A-Z]\w+", " ".join(route["matchers"]))}
    assert alerts_with_rules()
    assert alerts_with_rules() | {"Watchdog"} == routed == raised
