"""Where the cluster is and who we are there: a kubeconfig, or the pod's own service account."""

from __future__ import annotations

import asyncio
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from remediator.clients.kubernetes.errors import ApiError, Problem, one_line
from remediator.clients.proxies import proxy_for


async def connect(kubeconfig: str | Path | None, user_agent: str) -> Any:
    """A ``kubernetes_asyncio.client.ApiClient``, without a request sent yet.

    Raises:
        ApiError: ``Problem.UNAVAILABLE``, when there is no configuration, or none that can be used.
    """
    # takes a second and 35 MiB: not at all without a rule that needs it, and not on the event loop
    sdk = await asyncio.to_thread(import_module, "kubernetes_asyncio.client")
    config = await asyncio.to_thread(import_module, "kubernetes_asyncio.config")
    configuration = sdk.Configuration()
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=str(kubeconfig), client_configuration=configuration, persist_config=False
            )
        api = sdk.ApiClient(configuration=configuration)
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        where = "in-cluster (KUBECONFIG is not set)" if kubeconfig is None else f"KUBECONFIG {kubeconfig}"
        why = "it is no YAML" if isinstance(error, yaml.YAMLError) else error  # whose message quotes the file
        message = one_line(f"no usable configuration for Kubernetes from {where}: {why}")
        raise ApiError(Problem.UNAVAILABLE, message) from None
    api.user_agent = user_agent
    _settle_proxy(api.rest_client, configuration.host)
    return api


def _settle_proxy(rest: Any, host: str) -> None:
    """Ask the environment for a proxy once: the SDK's session asks at every request, through a thread."""
    rest.proxy = rest.proxy or proxy_for(host)
    trusting = rest.pool_manager
    rest.pool_manager = _Session(
        aiohttp.ClientSession(connector=trusting.connector, trust_env=False, read_bufsize=2**21)
    )
    trusting.detach()


class _Session:
    """The SDK's session, with request bodies as the API server itself would write them."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, **arguments: Any) -> aiohttp.ClientResponse:
        data = arguments.get("data")
        if isinstance(data, str):
            arguments["data"] = as_go_writes(json.loads(data))
        return await self._session.request(**arguments)

    async def close(self) -> None:
        await self._session.close()


def as_go_writes(value: object) -> str:
    """JSON as Go's encoder writes it: raw UTF-8, but ``& < >`` and U+2028, U+2029 escaped.

    The API server's JSON Patch compares the bytes of a `test`'s strings with its own encoding of the object
    (tried on 1.20.2), so that any other spelling of the same text is refused as a change.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_ESCAPED_BY_GO)


_ESCAPED_BY_GO = {ord(each): f"\\u{ord(each):04x}" for each in "&<>\u2028\u2029"}


def credential_error() -> type[Exception]:
    """What the SDK raises when credentials that expired can't be renewed: before it sends anything."""
    error: type[Exception] = import_module("kubernetes_asyncio.config").ConfigException
    return error
