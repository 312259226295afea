"""What a rule has that it does not say itself: from the policy's `defaults`, else from this build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from remediator.core.durations import format_duration
from remediator.core.rules import DEFAULT_DEADLINE, Mode, Rate
from remediator.rulebook import rule_models as models
from remediator.rulebook.models import Defaults
from remediator.rulebook.policy import DEFAULT_REPORT, Policy
from remediator.rulebook.problems import Place, Reporter

Path = tuple[str, ...]

_FOR_ALL: tuple[Path, ...] = (("mode",), ("severity",), ("deadline",), ("report",), ("escalate",))
#: What a rule without steps has no use for.
_FOR_ACTING: tuple[Path, ...] = (("approval",), *(("limits", key) for key in models.Limits.model_fields))


class Origin(StrEnum):
    """Who says what a rule has."""

    RULE = "rule"
    DEFAULTS = "defaults"
    BUILT_IN = "built in"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a rule has under a key such as ``limits.cooldown``, as it may be written, and where it is."""

    rule: str
    key: str
    value: Any
    origin: Origin
    place: Place | None


def inherited(written: models.Rule, defaults: Defaults) -> models.Rule:
    """The rule with the guards that `defaults` give it; who hears of it is asked of the policy."""
    taken = {
        key: getattr(defaults, key) for key in ("mode", "severity") if _inherits(written, defaults, (key,))
    }
    if written.steps and _inherits(written, defaults, ("approval",)):
        taken["approval"] = defaults.approval
    if written.steps and defaults.limits is not None:
        given = [key for key in models.Limits.model_fields if _inherits(written, defaults, ("limits", key))]
        limits = {key: getattr(defaults.limits, key) for key in given}
        taken["limits"] = written.limits.model_copy(update=limits)
    return written.model_copy(update=taken) if taken else written


def from_defaults(written: models.Rule, defaults: Defaults) -> tuple[str, ...]:
    """The keys that the rule has from ``defaults``."""
    return tuple(".".join(path) for path in _concerned(written) if _inherits(written, defaults, path))


def settings_of(written: models.Rule, policy: Policy, reporter: Reporter) -> Iterator[Setting]:
    """Everything that the rule could have from elsewhere, as it has it."""
    defaults = policy.said.defaults
    for path in _concerned(written):
        origin, place, value = Origin.BUILT_IN, None, _built_in(path)
        if _says(written, path):
            origin, place, value = Origin.RULE, reporter.place(path), _has(written, path)
        elif _says(defaults, path):
            place = policy.reporters["defaults"].place(("defaults", *path))
            origin, value = Origin.DEFAULTS, _has(defaults, path)
        yield Setting(written.name, ".".join(path), _plain(value), origin, place)


def _concerned(written: models.Rule) -> tuple[Path, ...]:
    return (*_FOR_ALL, *(_FOR_ACTING if written.steps else ()))


def _inherits(written: models.Rule, defaults: Defaults, path: Path) -> bool:
    return _says(defaults, path) and not _says(written, path)


def _says(model: Any, path: Path) -> bool:
    for key in path:
        if model is None or key not in model.model_fields_set:
            return False
        model = getattr(model, key)
    return True


def _has(model: Any, path: Path) -> Any:
    for key in path:
        model = getattr(model, key)
    return model


def _built_in(path: Path) -> Any:
    if path == ("report",):
        return DEFAULT_REPORT
    if path == ("deadline",):
        return DEFAULT_DEADLINE
    model = models.Limits if path[0] == "limits" else models.Rule
    return model.model_fields[path[-1]].default


def _plain(value: Any) -> Any:
    match value:
        case Mode():
            return value.word
        case timedelta():
            return format_duration(value) if value else 0
        case Rate():
            return str(value)
        case tuple():
            return [_plain(each) for each in value]
        case models.Approval():
            return {"within": _plain(value.within), "otherwise": value.otherwise.value}
    return value
