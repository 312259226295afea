"""The generated parts of the pages on rules and actions: run it after changing a key, an action or a check.

``python -m remediator.rulebook.docs docs/rules.md docs/actions.md``
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.durations import format_duration
from remediator.core.leases import LeaseMode
from remediator.core.ports.actions import ActionSpec, CheckSpec, Fence
from remediator.core.targets import CLUSTER_KINDS, KINDS, NAMESPACED_KINDS
from remediator.core.templates import FILTERS, NAMES
from remediator.rulebook.models import RuleFile
from remediator.rulebook.rule_models import Rule
from remediator.rulebook.schema import example_of
from remediator.rulebook.validation import model_in

_FENCES = {
    Fence.TARGET: "the target itself refuses one whose lease is over (`fence: target`)",
    Fence.NONE: "can't be refused (`fence: none`), so it only begins if its lease outlasts it",
}


def parts() -> dict[str, str]:
    """Generated text by the name of its marker."""
    return {
        "rule-keys": "\n".join(_keys(Rule)),
        "file-keys": "\n".join(_keys(RuleFile, without=("rules",))),
        "actions": "\n".join(_specs(ACTIONS)),
        "checks": "\n".join(_specs(CHECKS)),
        "action-details": "\n".join(line for spec in ACTIONS.values() for line in _action(spec)),
        "check-details": "\n".join(line for spec in CHECKS.values() for line in _check(spec)),
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
        yield f"| `{spec.name}` | {_kinds(spec)} | {_cell(spec.summary)} | {_parameters(spec.schema)} |"


def _parameters(schema: Mapping[str, Any]) -> str:
    required = schema.get("required", ())
    found = [
        f"`{name}`{'' if name in required else ' (optional)'}: {_cell(each.get('description', ''))}"
        for name, each in schema.get("properties", {}).items()
    ]
    return "<br>".join(found) or "none"


def _action(spec: ActionSpec) -> Iterator[str]:
    yield from _details(spec, f"steps: [{{action: {spec.name}{_with(spec)}}}]")
    proof = (
        _words(spec.proof) + ", unless its rule has a `verify`" if spec.proof else "the `verify` of its rule"
    )
    yield from (f"- **Proof**: {proof}", f"- **Late writers**: {_FENCES[spec.fence]}")
    if spec.lease is LeaseMode.SHARED:
        yield "- **Beside others**: it leaves its target as it is, and shares it with others that do"
    if spec.preempts:
        yield "- **Before others**: those that only share its target give way to it"
    if spec.critical:
        yield "- **Pauses**: until the last such step is done the world can't be left as it is: a pause waits"
    yield ""


def _check(spec: CheckSpec) -> Iterator[str]:
    yield from _details(spec, f"only_if: [{{check: {spec.name}{_with(spec)}}}]")
    yield ""


def _details(spec: ActionSpec | CheckSpec, use: str) -> Iterator[str]:
    yield from (f"### `{spec.name}`", "", spec.summary, "", "```yaml", use, "```", "")
    properties = cast("Mapping[str, Any]", spec.schema["properties"])
    if properties:
        yield from ("| parameter | left out | meaning | example |", "|---|---|---|---|")
        for name, each in properties.items():
            without = _parameter_left_out(name, each, cast("Sequence[str]", spec.schema.get("required", ())))
            yield f"| `{name}` | {without} | {_cell(each['description'])} | {_listed_examples(each)} |"
        yield ""
    else:
        yield from ("It takes no parameters.", "")
    yield f"- **Targets**: {_kinds(spec)}"
    yield f"- **Permissions**: {_permissions(spec) or 'none'}"


def _parameter_left_out(name: str, each: Mapping[str, Any], required: Sequence[str]) -> str:
    if name in required:
        return "**required**"
    default = each.get("default")
    return "" if default is None else f"`{_yaml(default)}`"


def _listed_examples(each: Mapping[str, Any]) -> str:
    return ", ".join(f"`{_cell(_yaml(example))}`" for example in each["examples"])


def _with(spec: ActionSpec | CheckSpec) -> str:
    example = example_of(spec)
    return f", with: {_yaml(example)}" if example else ""


def _kinds(spec: ActionSpec | CheckSpec) -> str:
    return "all" if spec.kinds == KINDS else ", ".join(sorted(spec.kinds))


def _permissions(spec: ActionSpec | CheckSpec) -> str:
    """What it needs in Kubernetes, verb by verb, as a Role says it."""
    verbs: dict[tuple[str, str], list[str]] = {}
    for group, resource, verb in sorted(spec.permissions):
        verbs.setdefault((group, resource), []).append(verb)
    return "; ".join(
        f"{', '.join(each)} {resource}{f' ({group})' if group else ''}"
        for (group, resource), each in verbs.items()
    )


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
