"""Templates as rule files hold them: read once for each text, errors with the word that was meant."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

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


# Rules share most of their templates, and reading one costs more than anything else in a rule.
@lru_cache(maxsize=4096)
def cached_template(source: str) -> Template:
    """As :func:`remediator.core.templates.template`.

    Raises:
        TemplateError: it can't be read; names and filters that are unknown come with the nearest known.
    """
    try:
        return template(source)
    except TemplateError as error:
        raise TemplateError(_unknown_words(source) or str(error)) from None


@lru_cache(maxsize=4096)
def cached_target(source: str) -> TargetTemplate:
    """As :func:`remediator.core.templates.target_template`.

    Raises:
        TemplateError: as above, or there are not two to four segments.
    """
    try:
        return target_template(source)
    except TemplateError as error:
        raise TemplateError(_unknown_words(source) or str(error)) from None


def results_used(source: str) -> Iterator[str]:
    """The ids of the steps whose results a template uses."""
    tree = _parsed(source) if "steps" in source else None
    if tree is None:
        return
    for attribute in tree.find_all(nodes.Getattr):
        if _is_steps(attribute.node):
            yield attribute.attr
    for item in tree.find_all(nodes.Getitem):
        if _is_steps(item.node) and isinstance(item.arg, nodes.Const):
            yield str(item.arg.value)


def _is_steps(node: nodes.Node) -> bool:
    return isinstance(node, nodes.Name) and node.name == "steps"


def _unknown_words(source: str) -> str:
    tree = _parsed(source)
    if tree is None:
        return ""
    names = dict.fromkeys(each.name for each in tree.find_all(nodes.Name) if each.name not in NAMES)
    filters = dict.fromkeys(each.name for each in tree.find_all(nodes.Filter) if each.name not in FILTERS)
    found = [f"unknown name {shown(name)} in a template: {nearest(name, NAMES)}" for name in names]
    found += [f"unknown filter {shown(name)} in a template: {nearest(name, FILTERS)}" for name in filters]
    return "; ".join(found)


def _parsed(source: str) -> nodes.Template | None:
    if "{%" in source or "{#" in source:
        return None
    try:
        return _PLAIN.parse(source)
    except (JinjaError, RecursionError):
        return None
