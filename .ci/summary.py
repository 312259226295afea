"""Prints what each suite really ran, from pytest's JUnit reports; exits 1 unless all of it ran and passed."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

#: Report → the folders of tests/ that must appear in it.
SUITES = {
    "test": ("unit", "store", "kubernetes", "flow", "simulation"),
    "simulate": ("simulation",),
    "teeth": ("simulation",),
    "faults": ("faults",),
    "cluster": ("kubernetes",),
    "e2e": ("e2e",),
}


@dataclass(slots=True)
class Count:
    """How the tests of one folder ended, and their seconds."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    @property
    def run(self) -> int:
        """Tests that ran to an end."""
        return self.passed + self.failed

    @property
    def fine(self) -> bool:
        """Whether something ran, and all of it passed."""
        return self.passed > 0 and not self.failed and not self.skipped

    def add(self, case: ET.Element) -> None:
        """Count one ``testcase``; an expected failure is written as skipped, and counts as such."""
        self.seconds += float(case.get("time", "0"))
        if case.find("failure") is not None or case.find("error") is not None:
            self.failed += 1
        elif case.find("skipped") is not None:
            self.skipped += 1
        else:
            self.passed += 1


def counts(report: Path, folders: tuple[str, ...]) -> dict[str, Count]:
    """Count a report's tests by folder; a folder without tests, or a missing report, counts 0."""
    found: dict[str, Count] = defaultdict(Count, {folder: Count() for folder in folders})
    if report.exists():
        for case in ET.parse(report).iter("testcase"):
            # `tests.unit.test_matchers.TestAnchoring`; a file that can't be imported stands in `name`
            where = (case.get("classname") or case.get("name") or "").split(".")
            found[where[1] if len(where) > 1 and where[0] == "tests" else "(other)"].add(case)
    return dict(found)


def main(reports: Path) -> int:
    """Print the table and return the exit status."""
    fine = True
    print(f"{'suite':<22}{'run':>7}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for suite, folders in SUITES.items():
        for folder, count in counts(reports / f"{suite}.xml", folders).items():
            fine = fine and count.fine
            note = "" if count.fine else "  <- nothing ran" if not count.run else "  <- not all passed"
            print(
                f"{suite + ': ' + folder:<22}{count.run:>7}{count.passed:>8}{count.failed:>8}"
                f"{count.skipped:>9}{count.seconds:>9.1f}{note}"
            )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
