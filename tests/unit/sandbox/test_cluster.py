"""The stand-in is an API server to kubernetes_asyncio: patches, refusals, selectors, deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kubernetes_asyncio import client
from kubernetes_asyncio.client.exceptions import ApiException

from remediator.sandbox.kubernetes import BROKEN_ANNOTATION, StandIn
from tests.unit.sandbox.asking import BARE, JSON_PATCH, REVISION, body_of, patch
from tests.unit.sandbox.conftest import Api, connect, groups


async def test_generation_moves_with_spec_and_annotations_and_not_with_labels_or_status(
    api: Api, cluster: StandIn
) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()

    async def patched(operation: dict[str, Any]) -> Any:
        return (await patch(api, [operation])).metadata

    assert (await patched({"op": "add", "path": "/metadata/labels/x", "value": "y"})).generation == 1
    assert (await patched({"op": "add", "path": "/metadata/annotations/x", "value": "y"})).generation == 2
    before = await patched({"op": "replace", "path": "/spec/replicas", "value": 2})
    assert before.generation == 3
    await cluster.settled()
    after = cluster.get("deployments", "shop", "web")["metadata"]
    assert after["generation"] == 3
    assert int(after["resourceVersion"]) > int(before.resource_version)


async def test_a_patch_that_changes_nothing_keeps_the_resource_version(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    before = cluster.get("deployments", "shop", "web")
    await patch(api, [{"op": "replace", "path": "/spec/replicas", "value": 3}])
    assert cluster.get("deployments", "shop", "web") == before


ABSENT = "/metadata/annotations/remediator.dev~1attempt"


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": ABSENT, "value": None},
        {"op": "test", "path": "/spec/replicas", "value": 3},
        {"op": "add", "path": ABSENT, "value": "a-1"},
        {"op": "add", "path": "/metadata/annotations", "value": {}},
    ],
)
async def test_json_patches_that_the_api_server_takes(
    api: Api, cluster: StandIn, operation: dict[str, Any]
) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    await patch(api, [operation])


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/spec/replicas", "value": 4},
        {"op": "test", "path": "/spec/replicas", "value": "3"},
        {"op": "test", "path": "/spec/replicas", "value": True},
        {"op": "test", "path": "/metadata/finalizers/0", "value": None},
        {"op": "test", "path": "/spec/template/spec/containers/7", "value": None},
        {"op": "test", "path": f"/metadata/annotations/{REVISION.replace('/', '~1')}", "value": None},
        {"op": "add", "path": "/spec/nothing/here", "value": 1},
        {"op": "replace", "path": ABSENT, "value": "a-1"},
        {"op": "remove", "path": ABSENT},
        {"op": "bogus", "path": "/spec"},
    ],
)
async def test_json_patches_that_do_not_apply_are_a_bare_422(
    api: Api, cluster: StandIn, operation: dict[str, Any]
) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    before = cluster.get("deployments", "shop", "web")
    with pytest.raises(ApiException) as refused:
        await patch(api, [{"op": "replace", "path": "/spec/replicas", "value": 3}, operation])
    body = body_of(refused)
    assert (refused.value.status, body["message"], body["reason"], body["details"]) == (
        422,
        BARE,
        "Invalid",
        {},
    )
    assert cluster.get("deployments", "shop", "web") == before


async def test_adding_below_a_missing_annotations_map_fails_until_the_map_is_added(
    api: Api, cluster: StandIn
) -> None:
    cluster.deploy("shop", "web", "web:1")
    body = {"metadata": {"name": "bare", "namespace": "shop"}, "spec": {}}
    await api.coordination.create_namespaced_lease("shop", body)
    add = {"op": "add", "path": ABSENT, "value": "a-1"}
    missing = {"op": "test", "path": ABSENT, "value": None}
    for operations in ([add], [missing, add]):
        with pytest.raises(ApiException) as refused:
            await api.coordination.patch_namespaced_lease(
                "bare", "shop", operations, _content_type=JSON_PATCH
            )
        assert refused.value.status == 422
    whole = [{"op": "add", "path": "/metadata/annotations", "value": {}}, add]
    found = await api.coordination.patch_namespaced_lease("bare", "shop", whole, _content_type=JSON_PATCH)
    assert found.metadata.annotations == {"remediator.dev/attempt": "a-1"}


@pytest.mark.parametrize(
    ("operation", "code", "reason", "said"),
    [
        ({"path": "/spec/replicas", "value": -1}, 422, "Invalid", "must be greater than or equal to 0"),
        ({"path": "/spec/replicas", "value": "x"}, 422, "Invalid", "spec.replicas"),
        ({"path": "/metadata/annotations", "value": {"n": 5}}, 422, "Invalid", 'metadata.annotations["n"]'),
        ({"path": "/metadata/uid", "value": "x"}, 422, "Invalid", "field is immutable"),
        ({"path": "/metadata/name", "value": "x"}, 400, "BadRequest", "does not match the name on the URL"),
        ({"path": "/metadata/resourceVersion", "value": "1"}, 409, "Conflict", "has been modified"),
        ({"path": "/spec/selector", "value": {"matchLabels": {"app": "x"}}}, 422, "Invalid", "spec.selector"),
        ({"path": "/spec/template/metadata/labels/app", "value": "x"}, 422, "Invalid", "`selector`"),
        ({"path": "/spec/template/spec/containers", "value": []}, 422, "Invalid", "Required value"),
    ],
)
async def test_patches_that_break_the_kinds_rules_are_refused_in_its_words(
    api: Api, cluster: StandIn, operation: dict[str, Any], code: int, reason: str, said: str
) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    with pytest.raises(ApiException) as refused:
        await patch(api, [{"op": "replace"} | operation])
    body = body_of(refused)
    assert (refused.value.status, body["code"], body["reason"]) == (code, code, reason)
    assert said in body["message"]


async def test_missing_things_are_404_and_existing_ones_409(api: Api) -> None:
    with pytest.raises(ApiException) as missing:
        await api.apps.read_namespaced_deployment("web", "shop")
    assert body_of(missing) == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }
    with pytest.raises(ApiException) as nowhere:
        await api.core.create_namespaced_config_map("shop", {"metadata": {"name": "c"}})
    assert body_of(nowhere)["message"] == 'namespaces "shop" not found'
    with pytest.raises(ApiException) as twice:
        await api.core.create_namespace({"metadata": {"name": "default"}})
    assert (twice.value.status, body_of(twice)["reason"]) == (409, "AlreadyExists")


async def test_an_update_from_a_stale_read_conflicts(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    stale = await api.apps.read_namespaced_deployment("web", "shop")
    cluster.annotate("shop", "web", {"seen": "by another"})
    await cluster.settled()
    stale.spec.replicas = 9
    with pytest.raises(ApiException) as refused:
        await api.apps.replace_namespaced_deployment("web", "shop", stale)
    assert (refused.value.status, body_of(refused)["reason"]) == (409, "Conflict")
    fresh = await api.apps.read_namespaced_deployment("web", "shop")
    fresh.spec.replicas = 2
    await api.apps.replace_namespaced_deployment("web", "shop", fresh)
    await cluster.settled()
    assert len(cluster.list("pods", "shop")) == 2


async def test_leases_are_taken_by_compare_and_swap(api: Api) -> None:
    body = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
    taken = await api.coordination.create_namespaced_lease("default", body)
    with pytest.raises(ApiException) as blind:
        await api.coordination.replace_namespaced_lease("leader", "default", body)
    assert "must be specified for an update" in body_of(blind)["message"]
    taken.spec.holder_identity = "b"
    renewed = await api.coordination.replace_namespaced_lease("leader", "default", taken)
    assert renewed.spec.holder_identity == "b"
    with pytest.raises(ApiException) as lost:
        await api.coordination.replace_namespaced_lease("leader", "default", taken)
    assert lost.value.status == 409


async def test_deleting_a_deployment_takes_what_it_owns_along(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    uid = cluster.get("deployments", "shop", "web")["metadata"]["uid"]
    wrong = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid="another"))
    with pytest.raises(ApiException) as refused:
        await api.apps.delete_namespaced_deployment("web", "shop", body=wrong)
    assert refused.value.status == 409
    right = client.V1DeleteOptions(preconditions=client.V1Preconditions(uid=uid))
    assert (await api.apps.delete_namespaced_deployment("web", "shop", body=right)).status == "Success"
    await cluster.settled()
    assert not cluster.list("replicasets", "shop")
    assert not cluster.list("pods", "shop")


async def test_an_orphaning_delete_leaves_the_replica_sets(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    await api.apps.delete_namespaced_deployment("web", "shop", propagation_policy="Orphan")
    await cluster.settled()
    assert len(cluster.list("replicasets", "shop")) == 1
    assert len(cluster.list("pods", "shop")) == 3


async def test_a_deleted_pod_is_replaced(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1", replicas=2)
    await cluster.settled()
    before = {pod["metadata"]["name"] for pod in cluster.list("pods", "shop")}
    await api.core.delete_namespaced_pod(min(before), "shop")
    await cluster.settled()
    after = {pod["metadata"]["name"] for pod in cluster.list("pods", "shop")}
    assert len(after) == 2
    assert len(after & before) == 1


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=a", ["a"]),
        ("app==a,tier!=front", []),
        ("app in (a, b)", ["a", "b"]),
        ("app notin (a)", ["b", "c"]),
        ("tier", ["a"]),
        ("!tier", ["b", "c"]),
        ("", ["a", "b", "c"]),
    ],
)
async def test_label_selectors(api: Api, selector: str, names: list[str]) -> None:
    for name, labels in (("a", {"app": "a", "tier": "front"}), ("b", {"app": "b"}), ("c", {})):
        body = {"metadata": {"name": name, "labels": labels}, "data": {}}
        await api.core.create_namespaced_config_map("default", body)
    found = await api.core.list_config_map_for_all_namespaces(label_selector=selector)
    assert [each.metadata.name for each in found.items] == names


async def test_field_selectors_and_unreadable_ones(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    found = await api.apps.list_deployment_for_all_namespaces(field_selector="metadata.name=web")
    assert [each.metadata.name for each in found.items] == ["web"]
    assert not (await api.apps.list_namespaced_deployment("shop", field_selector="metadata.name!=web")).items
    for wrong in ({"field_selector": "spec.nope=1"}, {"label_selector": "=="}):
        with pytest.raises(ApiException) as refused:
            await api.apps.list_namespaced_deployment("shop", **wrong)
        assert (refused.value.status, body_of(refused)["reason"]) == (400, "BadRequest")


async def test_a_template_can_be_declared_broken_by_annotation(cluster: StandIn) -> None:
    labels = {"app": "web"}
    metadata = {"labels": labels, "annotations": {BROKEN_ANNOTATION: "true"}}
    pod = {"containers": [{"name": "web", "image": "web:1"}]}
    cluster.deploy("shop", "web", "web:1", spec={"template": {"metadata": metadata, "spec": pod}})
    await cluster.settled()
    assert not cluster.healthy("shop", "web")


async def test_without_a_kubelet_pod_status_is_the_tests_to_write(tmp_path: Path) -> None:
    async with StandIn(kubelet=False) as cluster:
        cluster.deploy("shop", "web", "web:1", replicas=1)
        await cluster.settled()
        assert not cluster.healthy("shop", "web")
        async with await connect(cluster, tmp_path / "config") as connection:
            core = groups(connection).core
            (pod,) = cluster.list("pods", "shop")
            ready = {"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}
            await core.patch_namespaced_pod_status(pod["metadata"]["name"], "shop", ready)
        await cluster.settled()
        assert cluster.healthy("shop", "web")


async def test_a_dry_run_answers_and_changes_nothing(api: Api, cluster: StandIn) -> None:
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    before = cluster.get("deployments", "shop", "web")
    operations = [{"op": "replace", "path": "/spec/replicas", "value": 7}]
    answer = await api.apps.patch_namespaced_deployment(
        "web", "shop", operations, dry_run="All", _content_type=JSON_PATCH
    )
    assert answer.spec.replicas == 7
    assert cluster.get("deployments", "shop", "web") == before


async def test_version_and_tokens(tmp_path: Path) -> None:
    async with StandIn(users={"s3cret": "system:serviceaccount:remediator:remediator"}) as cluster:
        async with await connect(cluster, tmp_path / "good") as connection:
            api = groups(connection)
            assert (await api.version.get_code()).major == "1"
            await api.core.list_namespace()
            assert cluster.audit.entries[-1].user == "system:serviceaccount:remediator:remediator"
        for token, code, reason in (("", 403, "Forbidden"), ("guess", 401, "Unauthorized")):
            path = tmp_path / (token or "none")
            async with await connect(cluster, path, token) as connection:
                with pytest.raises(ApiException) as refused:
                    await groups(connection).core.list_namespace()
                assert (refused.value.status, body_of(refused)["reason"]) == (code, reason)


@pytest.mark.parametrize(
    ("spec", "code", "said"),
    [
        ({"template": "x"}, 400, "spec.template: expects an object"),
        ({"template": {"spec": {"containers": ["x"]}}}, 400, "spec.template.spec.containers"),
        ({"replicas": True}, 400, "spec.replicas: expects an integer"),
        ({"selector": {"matchLabels": {"a": 1}}}, 400, 'spec.selector.matchLabels["a"]: expects a string'),
        ({"template": None}, 422, "spec.template.spec.containers: Required value"),
        ({"strategy": {"rollingUpdate": {"maxSurge": "lots"}}}, 422, "maxSurge"),
    ],
)
async def test_misshapen_deployments_are_refused_and_harm_nothing(
    api: Api, cluster: StandIn, spec: dict[str, Any], code: int, said: str
) -> None:
    body = {"metadata": {"name": "odd"}, "spec": {"selector": {"matchLabels": {"a": "b"}}} | spec}
    with pytest.raises(ApiException) as refused:
        await api.apps.create_namespaced_deployment("default", body)
    assert refused.value.status == code
    assert said in body_of(refused)["message"]
    cluster.deploy("shop", "web", "web:1")
    await cluster.settled()
    assert cluster.healthy("shop", "web")


async def test_nulls_and_empty_lists_are_left_out_as_the_api_server_does(cluster: StandIn) -> None:
    labels = {"app": "web"}
    container: dict[str, Any] = {"name": "web", "image": "web:1", "env": [], "args": None, "resources": {}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "volumes": []}}
    found = cluster.deploy("shop", "web", "web:1", spec={"template": template})
    stored = found["spec"]["template"]
    assert stored["metadata"] == {"creationTimestamp": None, "labels": labels}
    assert "volumes" not in stored["spec"]
    assert stored["spec"]["containers"][0].keys() & {"env", "args", "resources"} == {"resources"}
