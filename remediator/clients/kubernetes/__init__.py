"""The Kubernetes API by kubernetes-asyncio, whose exceptions and models end here.

Objects come and go as the plain JSON that the API server speaks: the SDK's models drop fields that they
don't know, and cost more time than the request.
"""

from __future__ import annotations

from remediator.clients.kubernetes.client import KubernetesClient
from remediator.clients.kubernetes.errors import ApiError, Problem

__all__ = ["ApiError", "KubernetesClient", "Problem"]
