"""Templates as rule files hold them: errors come with the word that was meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeVar

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

_LOOKING = (nodes.Filter, nodes.Test, nodes.Getattr, nodes.Getitem)
_PLAIN = Environment(autoescape=False)  # noqa: S701  # parses expressions, renders nothing


Found = TypeVar("Found")


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


def out_of_scope(source: str, by: Collection[str]) -> Iterable[tuple[str, bool]]:
    """What a template uses that a rule which counts alerts does not see, and whether it has a `default`.

    Such a rule sees the labels ``by`` which they are counted, and the results of steps.
    """
    return dict.fromkeys(_from_tree(source, lambda tree: _strays(tree, by, guarded=False)))


def _strays(node: nodes.Node, by: Collection[str], *, guarded: bool) -> Iterator[tuple[str, bool]]:
    label = _label(node)
    if label is not None:
        if label not in by:
            yield f"labels.{label}", guarded
        return
    if isinstance(node, nodes.Name):
        if node.name not in ("labels", "steps"):
            yield node.name, guarded
        return
    looked_at = node.node if isinstance(node, _LOOKING) else None
    for child in node.iter_child_nodes():
        yield from _strays(child, by, guarded=child is looked_at and _guards(node, guarded=guarded))


def _guards(node: nodes.Node, *, guarded: bool) -> bool:
    """Whether what a node looks at may be undefined, in a place where itself may (``guarded``) or may not."""
    if isinstance(node, nodes.Filter):
        return node.name in ("default", "d")
    return guarded or isinstance(node, nodes.Test)


def _label(node: nodes.Node) -> str | None:
    """The label that a node looks up by its name, if it does."""
    if not isinstance(node, (nodes.Getattr, nodes.Getitem)) or not isinstance(node.node, nodes.Name):
        return None
    if node.node.name != "labels":
        return None
    if isinstance(node, nodes.Getattr):
        return node.attr
    return str(node.arg.value) if isinstance(node.arg, nodes.Const) else None


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


def _from_tree(source: str, find: Callable[[nodes.Template], Iterable[Found]]) -> list[Found]:
    """What is found in a template's syntax: nothing if it has none, or it is nested too deeply."""
    try:
        return list(find(_PLAIN.parse(source)))
    except (JinjaError, RecursionError, ValueError):
        return []
