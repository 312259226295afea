"""Templates as rule files hold them: errors come with the word that was meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from jinja2 import Environment, nodes
from jinja2 import TemplateError as JinjaError

from remediator.core.templates import (
    FILTERS,
    NAMES,
    TargetTemplate,
    Template,
    TemplateError,
    target_template,
    template,
)
from remediator.rulebook.problems import nearest, shown

_PLAIN = Environment(autoescape=False)  # noqa: S701  # parses expressions, renders nothing


def explained_template(source: str) -> Template:
    """As :func:`remediator.core.templates.template`.

    Raises:
        TemplateError: it can't be read; names and filters that are unknown come with the nearest known.
    """
    try:
        return template(source)
    except TemplateError as error:
        raise TemplateError(_unknown_words(source) or str(error)) from None


def explained_target(source: str) -> TargetTemplate:
    """As :func:`remediator.core.templates.target_template`.

    Raises:
        TemplateError: as above, or there are not two to four segments.
    """
    try:
        return target_template(source)
    except TemplateError as error:
        raise TemplateError(_unknown_words(source) or str(error)) from None


def results_used(source: str) -> Iterable[str]:
    """The ids of the steps whose results a template uses."""
    return _from_tree(source, _results) if "steps" in source else ()


def _results(tree: nodes.Template) -> Iterator[str]:
    for attribute in tree.find_all(nodes.Getattr):
        if _is_steps(attribute.node):
            yield attribute.attr
    for item in tree.find_all(nodes.Getitem):
        if _is_steps(item.node) and isinstance(item.arg, nodes.Const):
            yield str(item.arg.value)


def _is_steps(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "steps"


def _unknown_words(source: str) -> str:
    if "{%" in source or "{#" in source:
        return ""
    return "; ".join(_from_tree(source, _unknown))


def _unknown(tree: nodes.Template) -> Iterator[str]:
    names = dict.fromkeys(each.name for each in tree.find_all(nodes.Name) if each.name not in NAMES)
    for name in names:
        yield f"unknown name {shown(name)} in a template: {nearest(name, NAMES)}"
    filters = dict.fromkeys(each.name for each in tree.find_all(nodes.Filter) if each.name not in FILTERS)
    for name in filters:
        yield f"unknown filter {shown(name)} in a template: {nearest(name, FILTERS)}"


def _from_tree(source: str, find: Callable[[nodes.Template], Iterable[str]]) -> list[str]:
    """What is found in a template's syntax: nothing if it has none, or it is nested too deeply."""
    try:
        return list(find(_PLAIN.parse(source)))
    except (JinjaError, RecursionError, ValueError):
        return []
