"""The few calls of the Kubernetes API that actions and checks are made of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec

from remediator import __version__
from remediator.clients.kubernetes.config import connect, credential_error
from remediator.clients.kubernetes.errors import ApiError, Problem, message_of, one_line, problem_of

Json = dict[str, Any]
Operation = Mapping[str, object]

JSON_PATCH = "application/json-patch+json"

#: Raised before a byte of the request was sent.
_NEVER_SENT = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
)

_REASKS = 2
_LONGEST_WAIT = 5.0


class KubernetesClient:
    """Talks to one cluster, over connections that stay open until :meth:`close`.

    ``kubeconfig`` names a file; without it the pod's own service account is used. ``timeout`` is in
    seconds, for each request from its first byte to its answer's last. Nothing is loaded or opened before
    the first call. Every call raises :class:`ApiError` and nothing else.
    """

    def __init__(self, kubeconfig: str | Path | None = None, *, timeout: float = 10.0) -> None:
        self._kubeconfig = kubeconfig
        self._timeout = timeout
        # connecting is given up earlier than the whole, which then is known not to have been sent
        self._phases = aiohttp.ClientTimeout(total=None, connect=timeout / 2, sock_connect=timeout / 2)
        self._opening = asyncio.Lock()
        self._api: Any = None

    async def version(self) -> str:
        """The API server's version, such as ``v1.31.2``: the cheapest sign that it answers us."""
        return str((await self._read("/version")).get("gitVersion", "unknown"))

    async def get_deployment(self, namespace: str, name: str) -> Json:
        return await self._read(_path("deployments", namespace, name))

    async def find_pod(self, namespace: str, name: str) -> Json | None:
        """The pod of that name, if there is one; looked for in the list, so that one verb is enough."""
        query = [("fieldSelector", f"metadata.name={name}")]
        found: list[Json] = (await self._read(_path("pods", namespace), query)).get("items") or []
        return found[0] if found else None

    async def count_deployments(self, namespace: str) -> int:
        """How many Deployments there are in a namespace."""
        return len((await self._read(_path("deployments", namespace))).get("items") or ())

    async def list_replica_sets(self, deployment: Mapping[str, Any]) -> list[Json]:
        """The ReplicaSets that the Deployment controls."""
        metadata = deployment["metadata"]
        found = await self._list("replicasets", metadata["namespace"], deployment["spec"]["selector"])
        return [each for each in found if _controller(each) == metadata["uid"]]

    async def list_pods(self, deployment: Mapping[str, Any]) -> list[Json]:
        """The pods that the Deployment's selector selects."""
        return await self._list("pods", deployment["metadata"]["namespace"], deployment["spec"]["selector"])

    async def patch_deployment(self, namespace: str, name: str, operations: Sequence[Operation]) -> Json:
        """Send one JSON Patch, once, and return the Deployment after it.

        Raises:
            ApiError: with ``Problem.LOST`` it may have been applied, or still be; with any other, it wasn't.
        """
        return await self._patch(_path("deployments", namespace, name), operations)

    async def patch_replica_set(self, namespace: str, name: str, operations: Sequence[Operation]) -> Json:
        """As :meth:`patch_deployment`."""
        return await self._patch(_path("replicasets", namespace, name), operations)

    async def close(self) -> None:
        """Close every connection; a later call opens them again."""
        api, self._api = self._api, None
        if api is not None:
            await api.close()

    async def _list(self, plural: str, namespace: str, selector: Mapping[str, Any]) -> list[Json]:
        query = [("labelSelector", selector_text(selector))]
        found: list[Json] = (await self._read(_path(plural, namespace), query)).get("items") or []
        return found

    async def _read(self, path: str, query: Sequence[tuple[str, str]] = ()) -> Json:
        for _ in range(_REASKS):
            try:
                return await self._request("GET", path, query=query)
            except ApiError as error:
                if error.retry_after is None or error.retry_after > _LONGEST_WAIT:
                    raise
                await asyncio.sleep(error.retry_after)
        return await self._request("GET", path, query=query)

    async def _patch(self, path: str, operations: Sequence[Operation]) -> Json:
        return await self._request("PATCH", path, body=[dict(operation) for operation in operations])

    async def _request(
        self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), body: object = None
    ) -> Json:
        writing = body is not None
        # with a content type of its own, even a GET of /version is refused: 406
        typed = {"Content-Type": JSON_PATCH} if writing else {}
        api = await self._opened()
        # a kept connection that the server has closed is noticed now, and not by writing to it in vain
        await asyncio.sleep(0)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await api.call_api(
                    path,
                    method,
                    query_params=list(query),
                    header_params={"Accept": "application/json", **typed},
                    body=body,
                    auth_settings=["BearerToken"],
                    _preload_content=False,
                    _request_timeout=self._phases,
                )
                async with answer:
                    content = await answer.read()
        except _NEVER_SENT as error:
            raise ApiError(
                Problem.UNAVAILABLE, one_line(f"the API server can't be reached: {error}")
            ) from None
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise self._unanswered(error, writing=writing) from None
        except credential_error() as error:
            raise ApiError(
                Problem.UNAVAILABLE, one_line(f"no credentials for the API server: {error}")
            ) from None
        return _decoded(answer, content, writing=writing)

    def _unanswered(self, error: Exception, *, writing: bool) -> ApiError:
        late = isinstance(error, TimeoutError)
        why = f"no answer within {self._timeout:g} s" if late else (str(error) or type(error).__name__)
        problem = Problem.LOST if writing else Problem.UNAVAILABLE
        return ApiError(problem, one_line(f"the API server's reply was lost: {why}"))

    async def _opened(self) -> Any:
        async with self._opening:
            if self._api is None:
                self._api = await connect(self._kubeconfig, f"remediator/{__version__}")
        return self._api


def _decoded(answer: aiohttp.ClientResponse, content: bytes, *, writing: bool) -> Json:
    if not 200 <= answer.status < 300:
        # Some refusals say their status themselves.
        said = message_of(content).removeprefix(f"{answer.status}: ") or answer.reason or "no reason given"
        raise ApiError(
            problem_of(answer.status, writing=writing),
            f"{answer.status}: {said}",
            retry_after=_seconds(answer.headers.get("Retry-After")),
        )
    try:
        return msgspec.json.decode(content, type=Json)
    except msgspec.DecodeError:
        problem = Problem.LOST if writing else Problem.UNAVAILABLE
        raise ApiError(problem, "what answered is no API server: its answer is no JSON object") from None


def selector_text(selector: Mapping[str, Any]) -> str:
    """A LabelSelector as the API's query writes it."""
    parts = [f"{key}={value}" for key, value in (selector.get("matchLabels") or {}).items()]
    for wanted in selector.get("matchExpressions") or ():
        key, values = wanted["key"], ",".join(wanted.get("values") or ())
        match wanted["operator"]:
            case "In":
                parts.append(f"{key} in ({values})")
            case "NotIn":
                parts.append(f"{key} notin ({values})")
            case "Exists":
                parts.append(key)
            case _:
                parts.append(f"!{key}")
    return ",".join(parts)


def _path(plural: str, namespace: str, name: str = "") -> str:
    root = "/api/v1" if plural == "pods" else "/apis/apps/v1"
    below = f"/{quote(name, safe='')}" if name else ""
    return f"{root}/namespaces/{quote(namespace, safe='')}/{plural}{below}"


def _controller(found: Json) -> str | None:
    owners = found["metadata"].get("ownerReferences") or ()
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), None)


def _seconds(text: str | None) -> float | None:
    """Retry-After in its form of seconds, the only one that API servers write."""
    return float(text) if text is not None and text.isdecimal() else None
