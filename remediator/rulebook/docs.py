"""The generated parts of the guide to rule files: run it after changing a key, an action or a check."""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.durations import format_duration
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.core.targets import CLUSTER_KINDS, KINDS, NAMESPACED_KINDS
from remediator.core.templates import FILTERS, NAMES
from remediator.rulebook.models import RuleFile
from remediator.rulebook.rule_models import Rule
from remediator.rulebook.validation import model_in


def parts() -> dict[str, str]:
    """Generated text by the name of its marker."""
    return {
        "rule-keys": "\n".join(_keys(Rule)),
        "file-keys": "\n".join(_keys(RuleFile, without=("rules",))),
        "actions": "\n".join(_specs(ACTIONS)),
        "checks": "\n".join(_specs(CHECKS)),
        "targets": "\n".join(_targets()),
        "templates": f"Names: {_words(NAMES)}.\nFilters: {_words(FILTERS)}.",
    }


def filled(page: str) -> str:
    """A page with the text between each ``<!-- begin NAME -->`` and ``<!-- end NAME -->`` made anew."""
    for name, text in parts().items():
        before, begin, rest = page.partition(f"<!-- begin {name} -->\n")
        _, end, after = rest.partition(f"<!-- end {name} -->")
        if begin and end:
            page = f"{before}{begin}{text}\n{end}{after}"
    return page


def _keys(model: type[BaseModel], prefix: str = "", without: tuple[str, ...] = ()) -> Iterator[str]:
    if not prefix:
        yield from ("| key | left out | meaning | example |", "|---|---|---|---|")
    for name, key in model.model_fields.items():
        if name in without:
            continue
        path = prefix + (key.alias or name)
        yield f"| `{path}` | {_left_out(key)} | {_cell(key.description or '')} | {_example(key)} |"
        inner = model_in(key.annotation)
        if inner is not None:
            yield from _keys(inner, path + _suffix(key))


def _suffix(key: FieldInfo) -> str:
    """How a path goes on below a key: `a.b`, `a[].b` in a list, `a.NAME.b` in a mapping by name."""
    for part in (key.annotation, *typing.get_args(key.annotation)):
        origin = typing.get_origin(part)
        if origin is tuple:
            return "[]."
        if origin is Mapping:
            return ".NAME."
    return "."


def _left_out(key: FieldInfo) -> str:
    if key.is_required():
        return "**required**"
    default = key.default
    if default in (None, "", (), {}) or isinstance(default, BaseModel):
        return ""
    if hasattr(default, "total_seconds"):
        return f"`{format_duration(default)}`" if default else "`0`"
    return f"`{_yaml(getattr(default, 'word', default))}`"


def _example(key: FieldInfo) -> str:
    return f"`{_cell(_yaml(key.examples[0]))}`" if key.examples else ""


def _yaml(value: Any) -> str:
    """A value as it may be written on one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name}: {_yaml(each)}" for name, each in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value}"
    quoted = isinstance(value, str) and re.search(r"[{}\[\]#,\"*]|: ", text)
    return f"'{text}'" if quoted else text


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _specs(specs: Mapping[str, ActionSpec] | Mapping[str, CheckSpec]) -> Iterator[str]:
    yield from ("| name | targets | what it does | parameters |", "|---|---|---|---|")
    for spec in specs.values():
        kinds = "all" if spec.kinds == KINDS else ", ".join(sorted(spec.kinds))
        yield f"| `{spec.name}` | {kinds} | {_cell(spec.summary)} | {_parameters(spec.schema)} |"


def _parameters(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    found = [
        f"`{name}`{'' if name in required else ' (optional)'}: {_cell(each.get('description', ''))}"
        for name, each in schema.get("properties", {}).items()
    ]
    return "<br>".join(found) or "none"


def _targets() -> Iterator[str]:
    for kind in sorted(NAMESPACED_KINDS):
        yield f"- `{kind}/NAMESPACE/NAME`"
    for kind in sorted(CLUSTER_KINDS):
        yield f"- `{kind}/NAME`"


def _words(words: tuple[str, ...]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        Path(argument).write_text(filled(Path(argument).read_text()))
