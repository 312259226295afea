"""Statements that both backends share name their values, as in ``:now``; here they get places instead."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"(?<!:):([a-z]+)\b")


def placed(statement: str, values: Mapping[str, object]) -> tuple[str, list[object]]:
    """The statement with ``$1, $2, ...`` for the names in it, and their values in that order."""
    names: list[str] = []

    def place(match: re.Match[str]) -> str:
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    return _NAME.sub(place, statement), [values[name] for name in names]
