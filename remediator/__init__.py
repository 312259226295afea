"""Fixes the alerts that a machine can safely fix, proves it, and pages a person for the rest."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

__all__ = ["__version__", "shipped_rules"]

__version__ = version("remediator")


def shipped_rules() -> Path:
    """Return the folder of the rules that come with Remediator.

    A wheel carries them inside the package, a checkout has them beside it.
    """
    package = Path(__file__).parent
    packed = package / "_shipped" / "rules"
    return packed if packed.is_dir() else package.parent / "rules"
