"""Steps and checks of a rule: ids, targets' kinds, times, and which results their templates may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from remediator.actions.specs import ACTIONS, CHECKS
from remediator.core.durations import format_duration
from remediator.core.ports.actions import ActionSpec, CheckSpec
from remediator.core.rules import Condition, Expect, Step, Verify
from remediator.rulebook import rule_models as models
from remediator.rulebook.document import Path
from remediator.rulebook.parameters import texts
from remediator.rulebook.problems import Reporter, nearest, shown
from remediator.rulebook.templates import out_of_scope, results_used

#: How long actions' own checks may take when a rule names no proof.
USUAL_PROOF = timedelta(minutes=8)


@dataclass(slots=True)
class StepCompiler:
    """Compiles one rule's steps and checks; ``kind`` is the target's where it is written out.

    ``deadline`` is ``None`` where it can't be read, and then no time is compared with it; ``ids_known`` says
    whether every step's id could be read. ``by`` are the labels by which the rule counts alerts, if it does.
    """

    reporter: Reporter
    kind: str | None
    deadline: timedelta | None
    ids_known: bool
    by: tuple[str, ...] | None = None

    def steps(
        self, written: tuple[models.StepUse, ...], key: str, earlier: Iterable[str] = ()
    ) -> tuple[Step, ...]:
        """Compile the steps under ``key``; ``earlier`` are the ids of those that come before them."""
        ids = list(earlier)
        own = {step.id for step in written if step.id is not None}
        compiled = []
        for index, step in enumerate(written):
            place = self.reporter.below(key, index)
            step_id = step.id or _usual_id(step.action, own.union(ids))
            if step_id in ids:
                place.error(("id",), f"step id {step_id!r} is given twice in this rule: write another")
            self._fits_target(place, "action", ACTIONS.get(step.action))
            if "timeout" in step.model_fields_set:
                self._fits_deadline(place, "timeout", step.timeout)
            self._results(place, step.params, ids)
            ids.append(step_id)
            compiled.append(Step(step_id, step.action, step.params, step.timeout, step.retry))
        return tuple(compiled)

    def conditions(
        self, written: Iterable[models.CheckUse], path: Path, steps: Iterable[str] = ()
    ) -> tuple[Condition, ...]:
        """Compile the checks that ``path`` leads to; ``steps`` are the ids that their templates may use."""
        compiled = []
        known = list(steps)
        for index, use in enumerate(written):
            place = self.reporter.below(*path, index)
            self._fits_target(place, "check", CHECKS.get(use.check))
            self._results(place, use.params, known)
            expect = use.expect if isinstance(use, models.FactUse) else Expect.YES
            compiled.append(Condition(use.check, use.params, expect))
        return tuple(compiled)

    def verify(self, written: models.Verify, steps: Iterable[str]) -> Verify:
        place = self.reporter.below("verify")
        self._fits_deadline(place, "within", written.within)
        if written.stable_for >= written.within:
            message = (
                f"{format_duration(written.stable_for)} does not fit into `within` "
                f"{format_duration(written.within)}: shorten it, or lengthen `within`"
            )
            place.error(("stable_for",), message)
        checks = self.conditions(written.checks, ("verify", "checks"), steps)
        return Verify(checks, written.within, written.stable_for)

    def usual_proof(self, steps: tuple[Step, ...]) -> Verify | None:
        """The proof of a rule that names none: its actions' own checks."""
        names = dict.fromkeys(check for step in steps for check in ACTIONS[step.action].proof)
        if not names:
            return None
        within = min(USUAL_PROOF, self.deadline or USUAL_PROOF)
        return Verify(tuple(Condition(name) for name in names), within)

    def _fits_target(self, place: Reporter, key: str, spec: ActionSpec | CheckSpec | None) -> None:
        if self.kind is None or spec is None or self.kind in spec.kinds:
            return
        listed = ", ".join(sorted(spec.kinds))
        place.error((key,), f"{spec.name} is for {listed}, but the rule's target is a {self.kind}")

    def _fits_deadline(self, place: Reporter, key: str, length: timedelta) -> None:
        if self.deadline is None or length <= self.deadline:
            return
        message = (
            f"`{key}` {format_duration(length)} is longer than the rule's `deadline` "
            f"{format_duration(self.deadline)}, which ends it: shorten it, or lengthen the deadline"
        )
        place.warn((key,), message, key=False)

    def _results(self, place: Reporter, params: Mapping[str, object], known: list[str]) -> None:
        for path, text in texts(params):
            for name in results_used(text):
                if name not in known and self.ids_known:
                    message = f"no earlier step has the id {shown(name)}: {nearest(name, known)}"
                    place.error(("with", *path), message)
            check_scope(text, self.by, place, ("with", *path))


def check_scope(source: str, by: tuple[str, ...] | None, place: Reporter, path: Path) -> None:
    """Report what a template of a rule that counts alerts by these labels uses beside them."""
    if by is None:
        return
    for name, guarded in out_of_scope(source, by):
        unseen = f"{shown(name)} is not in scope: with `count` only the labels in `by` are ({', '.join(by)})"
        if guarded:
            place.warn(path, f"{unseen}, so its `default` always holds", key=False)
        else:
            remedy = "add it there" if name.startswith("labels.") else "leave it out"
            place.error(path, f"{unseen}: {remedy}")


def _usual_id(action: str, taken: set[str]) -> str:
    base = action.rpartition(".")[2]
    number = 1
    while (name := base if number == 1 else f"{base}_{number}") in taken:
        number += 1
    return name
