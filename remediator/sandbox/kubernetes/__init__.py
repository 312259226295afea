"""An embedded stand-in for a Kubernetes cluster: API server, controllers and kubelet in one asyncio process.

Small, and spoken to over HTTP like any cluster. It keeps to what kube-apiserver and kube-controller-manager
do for the kinds that it serves; it has no watches, no server-side apply, no managedFields and no scheduler.
"""

from __future__ import annotations

from remediator.sandbox.faults import Answer, DropReply, Hang, Late, Refuse
from remediator.sandbox.kubernetes.audit import AuditEntry, AuditLog
from remediator.sandbox.kubernetes.http import Matching
from remediator.sandbox.kubernetes.kubelet import BROKEN_ANNOTATION
from remediator.sandbox.kubernetes.standin import StandIn
from remediator.sandbox.kubernetes.status import StatusError

__all__ = [
    "BROKEN_ANNOTATION",
    "Answer",
    "AuditEntry",
    "AuditLog",
    "DropReply",
    "Hang",
    "Late",
    "Matching",
    "Refuse",
    "StandIn",
    "StatusError",
]
