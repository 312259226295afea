"""Whether the parameters of an action or check can fit, with every reason why not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from remediator.core.ports.actions import ActionSpec, CheckSpec, ParameterError
from remediator.core.templates import TemplateError
from remediator.rulebook.document import Path
from remediator.rulebook.problems import shown
from remediator.rulebook.templates import explained_template

_MARKS = ("{{", "{%", "{#")


#: Stands for parameters that can't be read and are reported already.
UNKNOWN: Mapping[str, Any] = MappingProxyType({})


class BadParameters(ValueError):
    """Parameters don't fit; each of ``problems`` is a path within them and what to write there instead."""

    def __init__(self, problems: list[tuple[Path, str]]) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


def read_parameters(value: object) -> Mapping[str, Any]:
    """Take a mapping; a key without a value stands for an empty one."""
    if value is not None and not isinstance(value, Mapping):
        message = f"parameters have to be a mapping such as {{window: 1h}}, not {shown(value)}"
        raise ValueError(message)  # pydantic makes an error of the field out of a ValueError alone
    return {} if value is None else value


def check_parameters(spec: ActionSpec | CheckSpec | None, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the parameters if they may fit, once their templates are rendered.

    Raises:
        BadParameters: a template can't be read, or the action or check can't take them.
    """
    if params is UNKNOWN:
        return params
    problems = list(_template_problems(params))
    if spec is not None:
        faulty = {path[0] for path, _ in problems}
        problems += _misfits(
            spec, {key: value for key, value in params.items() if key not in faulty}, complete=not faulty
        )
    if problems:
        raise BadParameters(problems)
    return params


def texts(value: object, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every text within a parameter that may be a template, with the path that leads to it."""
    if isinstance(value, str):
        if any(mark in value for mark in _MARKS):
            yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))


def _template_problems(params: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for path, text in texts(params):
        try:
            explained_template(text)
        except TemplateError as error:
            yield path, str(error)


def _misfits(
    spec: ActionSpec | CheckSpec, params: Mapping[str, Any], *, complete: bool
) -> Iterator[tuple[Path, str]]:
    """Ask ``parse``, which names one problem at a time, again without what it just complained about.

    Unless ``complete``, parameters were left out already, and that one is missing is no news.
    """
    properties = spec.schema.get("properties")
    known = list(properties) if isinstance(properties, Mapping) else []
    left = dict(params)
    while True:
        try:
            spec.parse(left, True)
        except ParameterError as error:
            if error.path or complete:
                yield error.path, str(error)
            if not error.path or left.pop(str(error.path[0]), None) is None:
                return
            # What was meant by a misspelt parameter is not missing as well.
            complete = complete and not get_close_matches(str(error.path[0]), known)
        else:
            return
