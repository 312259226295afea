"""Reads the secrets that rule files refer to, each time that one is used: a rotated one counts at once."""

from __future__ import annotations

import os
from pathlib import Path

from remediator.core.references import Keeper, Reference
from remediator.settings.parse import read_text


def secret(reference: Reference) -> str:
    """The secret; it is to be used at once, and kept nowhere.

    Raises:
        ValueError: it can't be read, or is not one plain line; the message names the place, not the secret.
    """
    if reference.keeper is Keeper.ENV:
        found = os.environ.get(reference.name, "")
        missing = f"the variable {reference.name} is not set: set it for the daemon"
    else:
        found = read_text(Path(reference.name)).strip("\r\n")
        missing = f"{reference.name} is empty: put the secret into it"
    if not found:
        raise ValueError(missing)
    if not found.isprintable() or found != found.strip():
        raise ValueError(
            f"what {reference.written} holds is not one plain line: no spaces around it, no breaks in it"
        )
    return found
