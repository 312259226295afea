"""Parameters: what fits, what doesn't and where, and the schema that says so to editors."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.actions.parameters import share_of
from remediator.actions.registry import build_actions, build_checks
from remediator.actions.specs import ACTIONS, CHECKS
from remediator.clients.alertmanager import AlertmanagerClient
from remediator.clients.kubernetes import KubernetesClient
from remediator.core.ports.actions import Action, ActionSpec, Check, CheckSpec, Fence, ParameterError

SPECS: dict[str, ActionSpec | CheckSpec] = {**ACTIONS, **CHECKS}
UNDO, SCALE = "kubernetes.rollout_undo", "kubernetes.scale"
SINCE, READY = "kubernetes.rolled_out_within", "kubernetes.pods_ready"


@pytest.mark.parametrize(
    ("name", "raw", "field", "value"),
    [
        (SCALE, {"replicas": 0}, "replicas", 0),
        (SCALE, {"replicas": "5"}, "replicas", 5),
        (SCALE, {"replicas": 1000}, "replicas", 1000),
        (UNDO, {}, "to_revision", None),
        (UNDO, {"to_revision": "3"}, "to_revision", 3),
        (SINCE, {"window": "1h30m"}, "window", timedelta(minutes=90)),
        (READY, {}, "minimum", "100%"),
        (READY, {"minimum": 2}, "minimum", 2),
        (READY, {"minimum": "2"}, "minimum", 2),
        (READY, {"minimum": " 80 % "}, "minimum", "80%"),
    ],
)
def test_what_fits_becomes_a_typed_value(
    name: str, raw: dict[str, object], field: str, value: object
) -> None:
    assert getattr(SPECS[name].parse(raw, False), field) == value


@pytest.mark.parametrize(
    ("name", "raw", "path", "says"),
    [
        (SCALE, {"replicas": 1001}, ("replicas",), "less than or equal to 1000"),
        (SCALE, {"replicas": -1}, ("replicas",), "greater than or equal to 0"),
        (SCALE, {"replicas": True}, ("replicas",), "whole number"),
        (SCALE, {"replicas": 2.5}, ("replicas",), "whole number"),
        (SCALE, {"replicas": "many"}, ("replicas",), "valid integer"),
        (SCALE, {"replicas": "{{ labels.n }}"}, ("replicas",), "valid integer"),
        (SCALE, {}, (), "'replicas' is missing"),
        (SCALE, {"replicsa": 1}, ("replicsa",), "did you mean 'replicas'?"),
        (UNDO, {"to_revision": 0}, ("to_revision",), "greater than or equal to 1"),
        (SINCE, {"window": 60}, ("window",), "such as 30s"),
        (SINCE, {"window": "1 hour"}, ("window",), "such as 30s"),
        (READY, {"minimum": "101%"}, ("minimum",), "such as 2 or 80%"),
        (READY, {"minimum": -1}, ("minimum",), "such as 2 or 80%"),
        (READY, {"minimum": True}, ("minimum",), "such as 2 or 80%"),
        ("kubernetes.rollout_restart", {"now": 1}, ("now",), "it takes none"),
    ],
)
def test_what_does_not_fit_says_where_and_what_to_write(
    name: str, raw: dict[str, object], path: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ParameterError) as raised:
        SPECS[name].parse(raw, False)
    assert raised.value.path == path
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("name", "field"), [(SCALE, "replicas"), (UNDO, "to_revision"), (SINCE, "window"), (READY, "minimum")]
)
def test_a_template_passes_any_field_until_it_is_rendered(name: str, field: str) -> None:
    raw = {field: "{{ labels.value }}"}
    SPECS[name].parse(raw, True)
    with pytest.raises(ParameterError):
        SPECS[name].parse(raw, False)


def test_templates_do_not_excuse_what_is_no_template() -> None:
    with pytest.raises(ParameterError):
        SPECS[SCALE].parse({"replicas": "many"}, True)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_every_schema_describes_each_parameter_and_lets_templates_pass(spec: ActionSpec | CheckSpec) -> None:
    schema: Any = spec.schema
    assert schema["additionalProperties"] is False
    for prop in schema["properties"].values():
        assert prop["description"]
        assert {"type": "string", "pattern": r"\{\{"} in prop["anyOf"]


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.name)
def test_every_spec_has_its_implementation_and_a_sentence(spec: ActionSpec | CheckSpec) -> None:
    client = KubernetesClient()
    made: dict[str, Action | Check] = {
        **build_actions(client),
        **build_checks(client, AlertmanagerClient([])),
    }
    assert made.keys() == SPECS.keys()
    assert made[spec.name].spec is spec
    assert spec.summary.endswith(".")
    assert spec.kinds


def test_every_action_is_fenced_by_its_target_and_proven_by_a_check() -> None:
    for spec in ACTIONS.values():
        assert spec.fence is Fence.TARGET
        assert spec.proof
        assert set(spec.proof) <= CHECKS.keys()


@given(st.integers(0, 100), st.integers(0, 1000))
def test_a_percentage_is_rounded_up(percent: int, total: int) -> None:
    needed = share_of(f"{percent}%", total)
    assert needed * 100 >= percent * total
    assert (needed - 1) * 100 < percent * total


def test_neither_specs_nor_actions_load_the_sdk() -> None:
    """It takes 35 MiB, which a rulebook without Kubernetes does not pay."""
    code = "import sys, remediator.actions.registry; sys.exit('kubernetes_asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
