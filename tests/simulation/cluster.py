"""The cluster: the Kubernetes stand-in's API and controllers in virtual time, reached without HTTP.

Actions and checks are the real ones, over a `KubernetesClient` whose requests are messages: its patches are
judged by the stand-in's patch code, perhaps long after their sender has given up, been paused, or died.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any
from urllib.parse import unquote

from remediator.actions.kubernetes.objects import ATTEMPT, TOKEN
from remediator.clients.kubernetes import ApiError, KubernetesClient, Problem
from remediator.clients.kubernetes.client import JSON_PATCH, Json
from remediator.clients.kubernetes.errors import problem_of
from remediator.rehearse.clockwork import Clockwork, Node
from remediator.sandbox.kubernetes import StandIn
from remediator.sandbox.kubernetes.api import ApiReply, ApiRequest
from remediator.sandbox.kubernetes.audit import AuditEntry
from remediator.sandbox.kubernetes.resources import BY_PLURAL
from remediator.sandbox.kubernetes.store import Object
from tests.simulation.diary import Diary
from tests.simulation.network import Awaited, Network, RefusedError, ResetError
from tests.simulation.patching import SeededUuid, replacing
from tests.simulation.script import deploy
from tests.simulation.weather import LinkWeather

#: How long a client waits for an answer (seconds).
PATIENCE = 10.0
REPLICA_USER = "remediator"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stand-in's objects; what is stored is replaced and never changed, so that they may be shared."""

    objects: Mapping[str, Mapping[tuple[str, str], Object]]
    version: int
    started: frozenset[str]

    @classmethod
    def of(cls, standin: StandIn) -> Snapshot:
        store = standin._store
        objects = {plural: dict(kind) for plural, kind in store._objects.items()}
        return cls(objects, store.version, frozenset(standin._controllers.kubelet._started))

    def restore(self, standin: StandIn) -> None:
        """Put them into a new stand-in."""
        standin._store._objects = {plural: dict(kind) for plural, kind in self.objects.items()}
        standin._store.version = self.version
        standin._controllers.kubelet._started = set(self.started)


@cache
def _at_rest() -> Snapshot:
    """Every service up, as each simulation begins: rolling them out takes longer than the rest of it."""
    clockwork = Clockwork()
    standin, node = _standin(clockwork), clockwork.node("cluster")

    async def settle() -> None:
        standin.start_controllers()
        await deploy(standin)

    with replacing({"remediator.sandbox.kubernetes.store.uuid": SeededUuid(Random(0))}):
        clockwork.run(node.create_task(settle()))
    clockwork.close()
    return Snapshot.of(standin)


def _standin(clockwork: Clockwork) -> StandIn:
    return StandIn(ready_after=0.4, clock=lambda: clockwork.wall)


class Cluster:
    """The stand-in with its clock; `written` is called after each write of a replica that was let in."""

    def __init__(self, clockwork: Clockwork, diary: Diary) -> None:
        self.standin = _standin(clockwork)
        _at_rest().restore(self.standin)
        self._diary = diary
        self.written: Callable[[str, AuditEntry], None] = lambda _who, _entry: None

    def serve(self, who: str, request: ApiRequest, *, awaited: bool) -> ApiReply:
        """Answer a replica's request."""
        reply = self.standin.handle(request)
        if request.verb == "patch":
            entry = self.standin.audit.entries[-1]
            self._note(who, request, reply, entry, awaited=awaited)
            if reply.code < 300:
                self.written(who, entry)
        return reply

    def _note(
        self, who: str, request: ApiRequest, reply: ApiReply, entry: AuditEntry, *, awaited: bool
    ) -> None:
        what = f"patch {request.resource.plural} {request.namespace}/{request.name}: {reply.code}"
        before, after = _annotations(entry.before), _annotations(entry.after)
        if reply.code < 300:
            for key in (TOKEN, ATTEMPT):
                if before.get(key) != after.get(key):
                    what += f" {key.rpartition('/')[2]} {before.get(key)} -> {after.get(key)}"
        elif (late := refused_for_its_token(entry)) is not None:
            what += f" its token {late} is older than {before.get(TOKEN)}"
            self._diary.count("tokens refused by the target")
        if not awaited:
            what += " (nobody waits for the answer)"
            self._diary.count("answers of the cluster lost")
        self._diary.note(who, what)


class SimulatedClient(KubernetesClient):
    """One replica's client."""

    def __init__(
        self, cluster: Cluster, network: Network, node: Node, weather: LinkWeather, diary: Diary
    ) -> None:
        super().__init__(timeout=PATIENCE)
        self._cluster = cluster
        self._network = network
        self._node = node
        self._weather = weather
        self._diary = diary

    async def _request(
        self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), body: object = None
    ) -> Json:
        writing = body is not None
        request = _parsed(method, path, query, body)

        def serve(awaited: Awaited) -> ApiReply:
            if awaited.busy:
                return ApiReply(429, {"message": "too many requests, please try again later"})
            if writing and not self._node.alive:
                self._diary.count("writes that outlived their sender")
            return self._cluster.serve(self._node.name, request, awaited=awaited.waits)

        try:
            async with asyncio.timeout(PATIENCE):
                reply = await self._network.send(self._node, "cluster", self._weather, serve)
        except RefusedError as error:
            raise ApiError(Problem.UNAVAILABLE, str(error)) from None
        except (ResetError, TimeoutError) as error:
            raise self._unanswered(error, writing=writing) from None
        if reply.code >= 300:
            raise ApiError(problem_of(reply.code, writing=writing), f"{reply.code}: {reply.body['message']}")
        return reply.body


def _parsed(method: str, path: str, query: Sequence[tuple[str, str]], body: object) -> ApiRequest:
    """`/apis/apps/v1/namespaces/NAMESPACE/PLURAL/NAME`, as the client spells paths."""
    namespace, plural, *name = path.partition("/namespaces/")[2].split("/")
    return ApiRequest(
        verb="patch" if method == "PATCH" else "get" if name else "list",
        resource=BY_PLURAL[plural],
        namespace=unquote(namespace),
        name=unquote(name[0]) if name else "",
        query=dict(query),
        content_type=JSON_PATCH,
        body=b"" if body is None else json.dumps(body).encode(),
        user=REPLICA_USER,
    )


def attempt_of(entry: AuditEntry) -> str | None:
    """The attempt that a write has put on its object, if it is a change of ours."""
    attempt = _annotations(entry.after).get(ATTEMPT)
    return None if attempt == _annotations(entry.before).get(ATTEMPT) else attempt


def token_after(entry: AuditEntry) -> int | None:
    """The fencing token on the object after a write."""
    token = _annotations(entry.after).get(TOKEN)
    return None if token is None else int(token)


def refused_for_its_token(entry: AuditEntry) -> int | None:
    """The token with which a refused write came, if the object bore a newer one."""
    tested = _tested_token(entry.body)
    held = _annotations(entry.before).get(TOKEN)
    return tested if tested is not None and held is not None and int(held) > tested else None


def _tested_token(operations: Any) -> int | None:
    for each in operations if isinstance(operations, list) else ():
        if each["op"] == "test" and each["path"].endswith(_TOKEN_PATH) and each["value"] is not None:
            return int(each["value"])
    return None


_TOKEN_PATH = TOKEN.replace("/", "~1")


def _annotations(summary: Any) -> dict[str, str]:
    return (summary or {}).get("annotations") or {}
