"""Raw data against a model: pydantic finds what is wrong, and it is said in plain sentences here."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from remediator.rulebook.document import Path
from remediator.rulebook.parameters import BadParameters
from remediator.rulebook.problems import Reporter, nearest, shown

Model = TypeVar("Model", bound=BaseModel)
_KEY = "[key]"
_MOST_REPAIRS = 16


@dataclass(frozen=True, slots=True)
class Validated(Generic[Model]):
    """A model, and the paths of what had to be left out or replaced to make it; no model at worst."""

    model: Model | None
    left_out: frozenset[Path] = frozenset()

    def sound(self, *keys: str) -> bool:
        """Whether nothing was left out below these top-level keys."""
        return not any(path[0] in keys for path in self.left_out if path)

    @property
    def whole(self) -> bool:
        return self.model is not None and not self.left_out


def validate(kind: type[Model], raw: object, reporter: Reporter) -> Validated[Model]:
    """Make a model; errors are reported, and what is sound of a faulty one is still returned.

    So that everything else that is wrong with it can be found in the same go.
    """
    try:
        return Validated(kind.model_validate(raw))
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
    for error in errors:
        _report(kind, error, reporter)
    return _repaired(kind, raw, errors) if isinstance(raw, dict) else Validated(None)


def _repaired(kind: type[Model], raw: dict[str, Any], errors: list[ErrorDetails]) -> Validated[Model]:
    data = deepcopy(raw)
    left_out: set[Path] = set()
    for _ in range(_MOST_REPAIRS):
        for error in errors:
            left_out.add(_repair(kind, data, error))
        try:
            return Validated(kind.model_validate(data), frozenset(left_out))
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False)
    return Validated(None, frozenset(left_out))


def _repair(kind: type[BaseModel], data: Any, error: ErrorDetails) -> Path:
    """Remove the innermost key that the error's path passes, or put a stand-in there; return its path.

    Never an item of a list: that would move the others.
    """
    loc = _path(error)
    keyed: tuple[dict[str, Any], Path] | None = None
    for depth, part in enumerate(loc):
        if isinstance(data, dict):
            stand_ins = getattr(_model_at(kind, loc[:depth]), "stand_ins", {})
            if depth == len(loc) - 1 and part in stand_ins:
                data[str(part)] = stand_ins[part]
                return loc
            if part in data:
                keyed = data, loc[: depth + 1]
        if not _has(data, part):
            break
        data = data[part]
    if keyed is None:
        return loc
    del keyed[0][str(keyed[1][-1])]
    return keyed[1]


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _report(kind: type[BaseModel], error: ErrorDetails, reporter: Reporter) -> None:
    at_key = bool(error["loc"]) and (error["type"] == "extra_forbidden" or error["loc"][-1] == _KEY)
    path = _path(error)
    raised = error.get("ctx", {}).get("error")
    if isinstance(raised, BadParameters):
        for within, message in raised.problems:
            unknown = message.startswith("unknown ")
            reporter.error(path + within, message, key=unknown)
        return
    if error["type"] == "missing":
        reporter.error(path[:-1], _missing(kind, path))
        return
    reporter.error(path, _sentence(kind, error, path), key=at_key)


def _path(error: ErrorDetails) -> Path:
    """The path as it is written: defaults that don't fit are named by their field, not by its alias."""
    loc = error["loc"]
    # pydantic puts this behind a key that it refuses, and a file may have a key of that very name
    if len(loc) > 1 and loc[-1] == _KEY and error["type"] != "extra_forbidden":
        loc = loc[:-1]
    return (*loc[:-1], "with") if loc and loc[-1] == "params" else loc


def _missing(kind: type[BaseModel], path: Path) -> str:
    model = _model_at(kind, path[:-1])
    described = next(
        (each.description for name, each in _fields(model) if name == path[-1] and each.description), None
    )
    return f"key {str(path[-1])!r} is missing" + (f": {described}" if described else "")


def _sentence(kind: type[BaseModel], error: ErrorDetails, path: Path) -> str:
    if error["type"] == "extra_forbidden":
        known = [name for name, _ in _fields(_model_at(kind, path[:-1]))]
        return f"unknown key {shown(path[-1])}: {nearest(str(path[-1]), known)}"
    if error["type"] == "value_error":
        return str(error.get("ctx", {}).get("error"))
    wording = _WORDINGS.get(error["type"])
    if wording is None:
        return error["msg"][:1].lower() + error["msg"][1:]
    name = f"{path[-1]!r} " if path and isinstance(path[-1], str) else "this "
    return name + wording(error)


def _kind_of(error: ErrorDetails) -> str:
    given = error.get("input")
    match given:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
    return "a mapping"


def _wants(what: str) -> Callable[[ErrorDetails], str]:
    return lambda error: f"has to be {what}, not {_kind_of(error)}"


def _wants_text(error: ErrorDetails) -> str:
    given = _kind_of(error)
    quoted = ": put it in quotes" if given in ("a number", "true or false") else ""
    return f"has to be text, not {given}{quoted}"


_MAPPING = _wants("a mapping of keys")
_LIST = _wants("a list")
_WORDINGS: Mapping[str, Callable[[ErrorDetails], str]] = {
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "string_type": _wants_text,
}


def _fields(model: type[BaseModel] | None) -> Iterator[tuple[str, Any]]:
    """The keys of a model as they are written, with what is known of them."""
    for name, each in (model.model_fields if model is not None else {}).items():
        yield each.alias or name, each


def _model_at(kind: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The model of the mapping that ``path`` leads to."""
    annotation: Any = kind
    for part in path:
        model = model_in(annotation)
        if model is not None and isinstance(part, str) and not _is_collection(annotation):
            annotation = next((each.annotation for name, each in _fields(model) if name == part), None)
        else:
            annotation = _element(annotation)
    return model_in(annotation)


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The one model that an annotation holds, in whatever list, mapping or alternative."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (model_in(part) for part in typing.get_args(annotation))
    return next((model for model in found if model is not None), None)


def _bare(annotation: Any) -> Any:
    while typing.get_origin(annotation) in (typing.Annotated, typing.Union, types.UnionType):
        annotation = typing.get_args(annotation)[0]
    return annotation


def _is_collection(annotation: Any) -> bool:
    return typing.get_origin(_bare(annotation)) in (tuple, list, Mapping, dict)


def _element(annotation: Any) -> Any:
    arguments = [each for each in typing.get_args(_bare(annotation)) if each is not Ellipsis]
    return arguments[-1] if arguments else None
