"""The JSON Schema of test files, for editors."""

from __future__ import annotations

from typing import Any

from remediator.rehearse.models import TestFile
from remediator.rulebook.schema import DIALECT, AsWritten


def json_schema() -> dict[str, Any]:
    """The format's JSON Schema, in draft 2020-12."""
    described = TestFile.model_json_schema(schema_generator=AsWritten)
    return {"$schema": DIALECT, **described, "title": "Remediator rule tests"}
