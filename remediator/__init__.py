"""Fixes the alerts that a machine can safely fix, proves it, and pages a person for the rest."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

__all__ = ["__version__", "shipped_role", "shipped_rules"]

__version__ = version("remediator")


def shipped_rules() -> Path:
    """Return the folder of the rules that come with Remediator.

    A wheel carries them inside the package, a checkout has them beside it.
    """
    return _shipped("rules", "rules")


def shipped_role() -> Path:
    """Return the manifest of the Role that `deploy/kubernetes` grants in each namespace."""
    return _shipped("role.yaml", "deploy/kubernetes/target/role.yaml")


def _shipped(packed: str, checked_out: str) -> Path:
    package = Path(__file__).parent
    found = package / "_shipped" / packed
    return found if found.exists() else package.parent / checked_out
