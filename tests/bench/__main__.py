"""`python -m tests.bench [--rows ingest,burst,…] [--rounds N]`: measures, prints the table, writes it."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from tests.bench import machine, report
from tests.bench.context import Bench
from tests.bench.findings import Finding
from tests.bench.processes import Gone
from tests.bench.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs/performance.md"


def _chosen(_: click.Context, __: click.Parameter, text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in names if name not in ROWS]:
        raise click.BadParameter(f"no such row: {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return names


@click.command()
@click.option(
    "--rows", default=",".join(ROWS), callback=_chosen, help="Which rows to measure, comma-separated."
)
@click.option(
    "--rounds", default=3, show_default=True, type=click.IntRange(1), help="Interleaved rounds a row."
)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    help="A folder on a disk for ledgers; default: a temporary one.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default="build/bench.json",
    show_default=True,
    help="The JSON document.",
)
@click.option(
    "--patience", default=10.0, show_default=True, help="Seconds to wait, a round, for a calm machine."
)
@click.option("--page", is_flag=True, help="Also put the table into docs/performance.md.")
def main(rows: list[str], rounds: int, work: Path | None, out: Path, patience: float, *, page: bool) -> None:
    """Measure Remediator side by side with bare handlers and peers; exit 1 when a goal is missed."""
    console = Console(width=None if sys.stdout.isatty() else 180)
    with tempfile.TemporaryDirectory(prefix="remediator-bench-", dir=work) as folder:
        bench = Bench(rounds, Path(folder), console, patience)
        environment = machine.describe(bench.work) | {"rounds": rounds}
        findings = asyncio.run(_measure(bench, rows))
    environment["busy"] = [round(share, 2) for share in bench.busy]
    console.print(report.table(findings))
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(report.document(environment, findings, bench.paces))
    text = report.markdown(environment, findings, bench.paces)
    out.with_suffix(".md").write_text(text + "\n")
    if page:
        report.embed(PAGE, text)
    sys.exit(any(finding.verdict == "FAIL" for finding in findings))


async def _measure(bench: Bench, rows: Sequence[str]) -> list[Finding]:
    findings: list[Finding] = []
    for name in rows:
        bench.console.rule(name)
        try:
            findings += await ROWS[name](bench)
        except Gone as gone:
            bench.console.log(f"{name} could not be measured: {gone}", markup=False)
            findings.append(Finding.unmeasured(name))
    return findings


if __name__ == "__main__":
    main()
