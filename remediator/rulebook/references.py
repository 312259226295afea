"""The secrets that a rulebook refers to: a replica that can't read them does not propose it."""

from __future__ import annotations

from collections.abc import Iterator

from remediator.core.ports.channels import RulebookError
from remediator.core.references import Reference
from remediator.core.rules import Rulebook
from remediator.settings.references import secret


def require_secrets(rulebook: Rulebook) -> None:
    """Read every secret that the rulebook refers to, and forget it.

    Raises:
        RulebookError: some can't be read here; every one is named at once.
    """
    problems = []
    for reference in dict.fromkeys(_references(rulebook)):
        try:
            secret(reference)
        except ValueError as error:
            problems.append(f"the secret {reference.written} can't be had: {error}")
    if problems:
        raise RulebookError(tuple(problems))


def _references(rulebook: Rulebook) -> Iterator[Reference]:
    channels = [channel for rule in rulebook.rules for channel in rule.report]
    keys = [contact.pagerduty for contact in rulebook.contacts]
    for text in (*(each.partition(":")[2] for each in (*rulebook.default_report, *channels)), *keys):
        if (reference := Reference.parse(text)) is not None:
            yield reference
