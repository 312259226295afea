"""The policy: what is said once for all rules, gathered from whichever file says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import partial

from remediator.core.contacts import Contact
from remediator.core.durations import format_duration
from remediator.core.freezes import Freeze
from remediator.core.retention import Retention
from remediator.core.rules import (
    AlertTrigger,
    Brake,
    Budget,
    Database,
    Limits,
    Patience,
    Rule,
    Severity,
    Share,
    WatchdogPolicy,
)
from remediator.core.selections import Selection
from remediator.core.targets import DEFAULT_CLUSTER, Target
from remediator.rulebook import models
from remediator.rulebook.addresses import channel
from remediator.rulebook.document import Path
from remediator.rulebook.freezes import compiled
from remediator.rulebook.problems import Reporter, nearest, shown
from remediator.rulebook.validation import Validated

#: The severities of which there is no need to say anything; a rule may name them in any rulebook.
SEVERITIES = ("P0", "P1", "P2", "P3")
DEFAULT_REPORT = ("slack:#incidents",)

_OF_EACH_FILE = ("version", "rules")
_NOT_BUILT = ("backups",)


@dataclass(slots=True)
class Policy:
    """The policy as it was written: values by key, and who reports on each key."""

    said: models.RuleFile = field(default_factory=models.RuleFile)
    reporters: dict[str, Reporter] = field(default_factory=dict)
    broken: set[str | int] = field(default_factory=set)

    def take(self, validated: Validated[models.RuleFile], keys: Iterable[str], reporter: Reporter) -> None:
        """Add what one file says under these keys; a key that another file has too is an error."""
        taken = {}
        for key in keys:
            if key in _OF_EACH_FILE or key not in models.RuleFile.model_fields:
                continue
            if (earlier := self.reporters.get(key)) is not None:
                place = earlier.place((key,), key=True)
                reporter.error((key,), f"{key!r} is given in {place} already: keep it in one file", key=True)
                continue
            self.reporters[key] = reporter
            if validated.model is not None:
                taken[key] = getattr(validated.model, key)
        self.broken |= {path[0] for path in validated.left_out if path}
        self.said = self.said.model_copy(update=taken)

    @property
    def severity_names(self) -> list[str]:
        return [*SEVERITIES, *(name for name in self.said.severities if name not in SEVERITIES)]

    @property
    def contacts(self) -> frozenset[str] | None:
        """Who can be named; ``None`` if no file says."""
        return frozenset(self.said.contacts) if "contacts" in self.reporters else None

    @property
    def people_known(self) -> tuple[Contact, ...]:
        """The contacts as they can be called."""
        return tuple(
            Contact(
                name,
                each.summary,
                each.slack or "",
                each.pagerduty or "",
                each.email or "",
                each.phone or "",
                each.wait,
            )
            for name, each in self.said.contacts.items()
        )

    def sound(self, *keys: str) -> bool:
        """Whether nothing was left out of these keys, so that errors can be judged by them."""
        return self.broken.isdisjoint(keys)

    def channels(self, written: tuple[str, ...], key: str, reporter: Reporter) -> tuple[str, ...]:
        """Channels, with the policy's short names replaced; bad ones are reported below ``key``."""
        found = []
        for index, each in enumerate(written):
            try:
                found.append(self.said.channels.get(each) or channel(each))
            except ValueError as error:
                if self.sound("channels"):
                    reporter.error((key, index), _with_names(str(error), each, self.said.channels))
        return tuple(found)

    def people(self, written: tuple[str, ...], key: str, reporter: Reporter) -> tuple[str, ...]:
        """Check that these are contacts."""
        for index, name in enumerate(written):
            if self.contacts is None:
                message = f"nobody says who {shown(name)} is: list it in `contacts`"
                reporter.warn((key, index), message, key=False)
            elif name not in self.contacts and self.sound("contacts"):
                message = f"unknown contact {shown(name)}: {nearest(name, sorted(self.contacts))}"
                reporter.error((key, index), message)
        return written

    def report(self) -> None:
        """Report what this version loads but does not act on yet, and what is wrong between the keys."""
        for name in _NOT_BUILT:
            if getattr(self.said, name):
                self.reporters[name].warn((name,), f"`{name}` is not acted on by this version yet")
        self._report_selections()
        self.freezes()
        self._report_patience()

    def _report_selections(self) -> None:
        for index, each in enumerate(self.said.protect):
            if not any((each.namespaces, each.kinds, each.names, each.labels)) and self.sound("protect"):
                message = "this protects everything: name namespaces, kinds, names or labels"
                self.reporters["protect"].error(("protect", index), message)

    def _report_patience(self) -> None:
        patience = self.patience
        in_order = patience.ask_after <= patience.vanish_after <= patience.lapse_after
        if not in_order and self.sound("episodes"):
            message = (
                "nothing is closed before it is asked about, nor sooner without proof than with it:"
                " write `ask_after`, `vanish_after` and `lapse_after` in growing order"
            )
            self.reporters["episodes"].error(("episodes",), message)

    def check_retention(self, rules: Iterable[Rule]) -> None:
        """Report what is written to be kept for less long than something looks back at it."""
        reporter, kept = self.reporters.get("retention"), self.said.retention
        if reporter is None or not self.sound("retention", "limits", "brake"):
            return
        needed = max(kept.events, self._looks_back(rules))
        if kept.decisions < needed:
            message = (
                "decisions have to be kept as long as events are, and as any limit looks back:"
                f" {format_duration(needed)} at least"
            )
            reporter.error(("retention", "decisions"), message)

    def retention(self, rules: Iterable[Rule]) -> Retention:
        """What is kept; where nothing is written, at least as long as any limit looks back."""
        written = self.said.retention
        needed = max(written.decisions, written.events, self._looks_back(rules))
        return Retention(written.bodies, written.events, needed)

    def _looks_back(self, rules: Iterable[Rule]) -> timedelta:
        lengths = [self.brake.longest_window]
        for rule in rules:
            lengths.append(rule.limits.looks_back)
            if isinstance(rule.trigger, AlertTrigger) and rule.trigger.count is not None:
                lengths.append(rule.trigger.count.within)
        if self.per_target is not None:
            lengths.append(self.per_target.looks_back)
        return max(lengths)

    @property
    def brake(self) -> Brake:
        written, usual = self.said.brake, self.said.brake.targets.window
        return Brake(
            everywhere=_budget(written, usual),
            namespaces={name: _budget(each, usual) for name, each in written.namespaces.items()},
            release_after=written.release_after,
        )

    @property
    def watchdog(self) -> WatchdogPolicy:
        written = self.said.watchdog
        return WatchdogPolicy(written.matchers, written.within)

    @property
    def patience(self) -> Patience:
        written = self.said.episodes
        return Patience(written.ask_after, written.vanish_after, written.lapse_after)

    @property
    def per_target(self) -> Limits | None:
        written = self.said.limits.per_target
        return None if written is None else Limits(cooldown=written.cooldown, rate=written.rate)

    @property
    def scope(self) -> Selection | None:
        return None if self.said.scope is None else _selection(self.said.scope)

    @property
    def protect(self) -> tuple[Selection, ...]:
        return tuple(_selection(each) for each in self.said.protect)

    def freezes(self) -> tuple[Freeze, ...]:
        """The freezes; what is wrong between the keys of one is reported."""
        found = []
        for index, each in enumerate(self.said.freezes):
            place = self.reporters["freezes"].below("freezes", index)
            covered = _selection(each)
            frozen = compiled(
                each.summary, each.begins, each.ends, each.timezone, covered, partial(place.error, ("from",))
            )
            found += [frozen] if frozen is not None else []
        return tuple(found)

    @property
    def severities(self) -> tuple[Severity, ...]:
        return tuple(
            Severity(name, each.matchers, each.respond_within) for name, each in self.said.severities.items()
        )

    @property
    def databases(self) -> tuple[Database, ...]:
        return tuple(
            Database(Target(DEFAULT_CLUSTER, "database", "", name), each.objects)
            for name, each in self.said.databases.items()
        )

    def default_report(self) -> tuple[str, ...]:
        written = self.said.defaults.report
        if written is None:
            return DEFAULT_REPORT
        return self.channels(written, "report", self.reporters["defaults"].below("defaults"))

    def check_severity(self, written: str | None, path: Path, reporter: Reporter) -> None:
        """Check that this is a level of urgency."""
        known = self.severity_names
        if written is not None and written not in known and self.sound("severities"):
            reporter.error(path, f"unknown severity {shown(written)}: {nearest(written, known)}")

    def check_defaults(self) -> None:
        """Check what `defaults` name: contacts and a severity."""
        if (reporter := self.reporters.get("defaults")) is not None:
            place = reporter.below("defaults")
            self.people(self.said.defaults.escalate, "escalate", place)
            self.check_severity(self.said.defaults.severity, ("severity",), place)


def _budget(written: models.Brake | models.NamespaceBrake, usual: timedelta) -> Budget:
    """A budget; a share without a window of its own has that of the targets beside it, else the ``usual``."""
    budget = Budget(**{each.name: getattr(written, each.name) for each in fields(Budget)})
    if written.share is None:
        return budget
    percent, window = written.share
    beside = written.targets.window if written.targets else usual
    return replace(budget, share=Share(percent, window or beside))


def _selection(written: models.Names) -> Selection:
    given = {name: getattr(written, name) for name in type(written).model_fields}
    return Selection(**{each.name: given[each.name] for each in fields(Selection) if each.name in given})


def _with_names(message: str, written: str, names: Mapping[str, str]) -> str:
    return f"{message}; or {nearest(written, names)}" if names and ":" not in written else message
