"""Rule files to a rulebook: every file is read and judged before anything is said about any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from remediator.core.ports.channels import RuleFiles
from remediator.core.rules import Rule, Rulebook
from remediator.core.selections import DEFAULT_HOME
from remediator.rulebook import secrets
from remediator.rulebook.defaults import Setting, settings_of
from remediator.rulebook.document import Document, Path, read
from remediator.rulebook.models import RuleFile
from remediator.rulebook.policy import Policy
from remediator.rulebook.problems import Findings, Place, Problem, Reporter
from remediator.rulebook.review import review
from remediator.rulebook.rule import compile_rule
from remediator.rulebook.rule_models import Rule as RuleModel
from remediator.rulebook.upgrades import FORMAT, UnknownVersion
from remediator.rulebook.validation import Validated, validate

_HEIR = "a name's limits and history go on in one rule alone: leave it out of `was`"


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found; there is a rulebook if and only if there are no errors. ``rules`` counts all rules.

    ``written`` are the rules of the rulebook, each with who reports on it, and so knows where it is written.
    """

    rulebook: Rulebook | None
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
    rules: int
    files: int
    written: tuple[tuple[Rule, Reporter], ...] = ()
    settings: tuple[Setting, ...] = ()


@dataclass(slots=True)
class _Judge:
    home: str
    findings: Findings = field(default_factory=Findings)
    policy: Policy = field(default_factory=Policy)
    entries: list[tuple[Validated[RuleModel], Reporter]] = field(default_factory=list)
    rules: list[tuple[Rule, Reporter]] = field(default_factory=list)

    def read(self, file: str, text: str) -> None:
        found = secrets.find(text)
        text = secrets.masked(text, found)
        document = read(text)
        for each in (*secrets.complaints(text, found), *document.complaints):
            self.findings.errors.append(Problem(Place(file, each.line, each.column), each.message))
        if document.data is not None:
            self._take(file, text, document)

    def _take(self, file: str, text: str, document: Document) -> None:
        data, reporter = document.data, Reporter(file, document, self.findings)
        if not isinstance(data, dict):
            message = "a rule file is a mapping of keys such as `rules`: put a list of rules below `rules:`"
            reporter.error((), message)
            return
        try:
            if FORMAT.version(document) < FORMAT.newest:
                self._take(file, text, read(FORMAT.upgraded(text)))
                return
        except UnknownVersion as unknown:
            reporter.error(("version",), str(unknown))
            return
        rules = data.get("rules")
        rest: dict[str, Any] = {key: value for key, value in data.items() if key != "rules"}
        if not isinstance(rules, list | None):
            rest["rules"] = rules
        self.policy.take(validate(RuleFile, rest, reporter), rest, reporter)
        for index, raw in enumerate(rules if isinstance(rules, list) else ()):
            place = reporter.below("rules", index)
            self.entries.append((validate(RuleModel, raw, place), place))

    def settings(self) -> Iterator[Setting]:
        """What each rule has of what it may leave out."""
        for validated, reporter in self.entries:
            if validated.model is not None:
                yield from settings_of(validated.model, self.policy, reporter)

    def judge(self) -> tuple[str, ...]:
        """Judge everything that was read, and return the channels that hear of runs by default."""
        self.policy.report()
        self.policy.check_defaults()
        for validated, reporter in self.entries:
            before = len(self.findings.warnings)
            rule = compile_rule(validated, self.policy, reporter)
            if not validated.whole:
                del self.findings.warnings[before:]  # they may stem from what was left out
            elif rule is not None:
                self.rules.append((rule, reporter))
        self._check_names()
        if not self.findings.errors:
            self.policy.check_retention([rule for rule, _ in self.rules])
            review(self.rules, self.policy, self.home)
        return self.policy.default_report()

    def _check_names(self) -> None:
        taken: dict[str, Place] = {}
        for name, reporter, path in self._names():
            if name in taken:
                remedy = "write another" if path == ("name",) else _HEIR
                reporter.error(path, f"{name!r} is a rule's name already, in {taken[name]}: {remedy}")
            else:
                taken[name] = reporter.place(path)

    def _names(self) -> Iterator[tuple[str, Reporter, Path]]:
        """Every name that a rule has, and then every one that it had."""
        sound = [(each.model, place) for each, place in self.entries if each.model and each.sound("name")]
        for model, reporter in sound:
            yield model.name, reporter, ("name",)
        for model, reporter in sound:
            for index, name in enumerate(model.was):
                yield name, reporter, ("was", index)


def judge(files: RuleFiles, home: str = DEFAULT_HOME, *, with_settings: bool = False) -> Judgement:
    """Compile rule files, and say everything that is wrong with them; the same files give an equal result.

    ``home`` is the namespace that Remediator itself runs in. Only if asked for, the judgement holds what each
    rule has from where.
    """
    judge = _Judge(home)
    for file in sorted(files.texts):
        judge.read(file, files.texts[file])
    report = judge.judge()
    if not judge.entries and not judge.findings.errors:
        place = Place(min(files.texts), 1, 1) if files.texts else Place(".")
        judge.findings.warnings.append(Problem(place, "no rules here: nothing will be repaired"))
    errors = tuple(sorted(set(judge.findings.errors)))
    warnings = tuple(sorted(set(judge.findings.warnings)))
    rulebook = None if errors else _rulebook(files, judge, report, warnings)
    written = () if errors else tuple(judge.rules)
    settings = tuple(judge.settings()) if with_settings else ()
    return Judgement(rulebook, errors, warnings, len(judge.entries), len(files.texts), written, settings)


def _rulebook(
    files: RuleFiles, judge: _Judge, report: tuple[str, ...], warnings: tuple[Problem, ...]
) -> Rulebook:
    policy = judge.policy
    return Rulebook(
        hash=files.hash,
        rules=tuple(rule for rule, _ in judge.rules),
        brake=policy.brake,
        per_target=policy.per_target,
        scope=policy.scope,
        protect=policy.protect,
        home=judge.home,
        freezes=policy.freezes(),
        severities=policy.severities,
        databases=policy.databases,
        default_report=report,
        contacts=policy.people_known,
        patience=policy.patience,
        watchdog=policy.watchdog,
        retention=policy.retention([rule for rule, _ in judge.rules]),
        warnings=tuple(map(str, warnings)),
    )
