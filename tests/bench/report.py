"""The run as a table for the terminal, a JSON document, and the Markdown that docs/performance.md holds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from rich.table import Table

from tests.bench.findings import Finding, figure
from tests.bench.machine import Pace

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
COLUMNS = ("what", "Remediator", "beside it", "", "ratio", "goal", "verdict")


def cells(finding: Finding) -> tuple[str, ...]:
    """One line of the table, in the order of COLUMNS."""
    theirs = finding.their_median
    return (
        finding.what,
        f"{figure(finding.median)} {finding.unit}",
        "" if theirs is None else f"{figure(theirs)} {finding.unit}",
        finding.beside,
        "" if finding.ratio is None else f"{finding.ratio:.2f}",
        "" if finding.goal is None else str(finding.goal),
        finding.verdict,
    )


def table(findings: Sequence[Finding]) -> Table:
    """For the terminal."""
    colours = {"PASS": "green", "FAIL": "bold red", "": ""}
    made = Table(*COLUMNS, title="Medians of interleaved rounds")
    for finding in findings:
        made.add_row(
            *cells(finding)[:-1], f"[{colours[finding.verdict]}]{finding.verdict}" if finding.verdict else ""
        )
    return made


def markdown(
    environment: Mapping[str, Any], findings: Sequence[Finding], paces: Mapping[str, Sequence[Pace]]
) -> str:
    """For the documentation: the environment in a paragraph, then the table."""
    lines = [_paragraph(environment, paces), "", _line(COLUMNS), _line(["---"] * len(COLUMNS))]
    return "\n".join([*lines, *(_line(cells(finding)) for finding in findings)])


def document(
    environment: Mapping[str, Any], findings: Sequence[Finding], paces: Mapping[str, Sequence[Pace]]
) -> str:
    """Everything that was measured, each round's number included, as JSON."""
    told = {
        "environment": dict(environment),
        "fsync_ms": {
            row: [{"p50": pace.p50, "p99": pace.p99} for pace in taken] for row, taken in paces.items()
        },
        "findings": [
            {
                "row": finding.row,
                "what": finding.what,
                "unit": finding.unit,
                "ours": list(finding.ours),
                "beside": finding.beside,
                "theirs": list(finding.theirs),
                "ratio": finding.ratio,
                "goal": None if finding.goal is None else str(finding.goal),
                "verdict": finding.verdict,
            }
            for finding in findings
        ],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def embed(page: Path, text: str) -> None:
    """Put `text` between the markers of `page`. Raises ValueError when the page has no such markers."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{page} has no {BEGIN} … {END} to write between")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def _line(parts: Sequence[str]) -> str:
    return "| " + " | ".join(part.replace("|", "\\|") for part in parts) + " |"


def _others(busy: Sequence[float]) -> str:
    if not busy:
        return ""
    least, most, middle = (f"{share:.0%}" for share in (min(busy), max(busy), median(busy)))
    return f"Before its rounds others kept {least} to {most} of the CPUs busy, {middle} in the median. "


def _paragraph(environment: Mapping[str, Any], paces: Mapping[str, Sequence[Pace]]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    disk = "; ".join(
        f"{row} {' '.join(f'{figure(pace.p50)}/{figure(pace.p99)}' for pace in taken)}"
        for row, taken in paces.items()
    )
    return (
        f"Taken {environment['taken']} in {environment['rounds']} rounds on {environment['cpus']} × "
        f"{environment['processor']}, {environment['memory_gib']} GiB, Linux {environment['kernel']}, "
        f"{environment['filesystem']}; {versions}. {_others(environment['busy'])}"
        + (f"The disk's own pace beside the durable rounds, fsync p50/p99 in ms: {disk}." if disk else "")
    )
