"""Where Remediator itself is: the namespace in which nothing is ever acted on, and its ledger."""

from __future__ import annotations

import os
from pathlib import Path

from remediator.core.selections import DEFAULT_HOME

#: Mounted into every pod that has a ServiceAccount's token, as Remediator's needs one.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def ledger() -> str:
    """Return the URL of the ledger as it is set, for those who need no other setting; empty if it is not."""
    return os.environ.get("REMEDIATOR_STORE", "")


def home() -> str:
    """The pod's own namespace; outside a cluster the one that `deploy/kubernetes` has."""
    try:
        return NAMESPACE_FILE.read_text().strip() or DEFAULT_HOME
    except (OSError, UnicodeDecodeError):
        return DEFAULT_HOME
