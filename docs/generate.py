"""Writes what the documentation takes from the code: run it after changing a state, a reason or a guard."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from remediator.core.diagram import state_diagram
from remediator.core.events import EventKind
from remediator.core.reasons import Reason
from remediator.telemetry import Metrics

HERE = Path(__file__).parent


def parts() -> dict[str, str]:
    """Generated text by the name of its marker."""
    return {
        "states": f"```mermaid\n{state_diagram()}```\n",
        "reasons": _table(("reason", "it says that"), [(r.value, r.meaning) for r in Reason]),
        "metrics": _metrics(),
        "events": "\n".join(f"- `{kind.value}`" for kind in EventKind) + "\n",
    }


def _metrics() -> str:
    """Every metric of the daemon's own as a scrape names it, with its labels."""
    rows = {}
    for collector in Metrics("").registry._collector_to_names:  # noqa: SLF001 - nothing public lists them
        for family in collector.describe() if isinstance(collector, MetricWrapperBase) else ():
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in collector._labelnames)  # noqa: SLF001
            rows[name] = f"| `{name}` | {family.type} | {labels} | {family.documentation} |"
    return (
        "\n".join(["| metric | kind | labels | |", "|---|---|---|---|", *map(rows.get, sorted(rows))]) + "\n"
    )


def filled(text: str) -> str:
    """A page with each ``<!-- begin NAME -->`` … ``<!-- end NAME -->`` filled anew."""
    for name, part in parts().items():
        between = re.compile(rf"(<!-- begin {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = between.sub(lambda found, part=part: f"{found[1]}{part}{found[2]}", text)  # type: ignore[misc]  # mypy can't type a default-bound lambda
    return text


def pages() -> list[Path]:
    """The pages that hold generated parts."""
    return [page for page in sorted(HERE.glob("*.md")) if "<!-- begin " in page.read_text()]


def _table(head: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    lines = [f"| {head[0]} | {head[1]} |", "|---|---|", *(f"| `{a}` | {b} |" for a, b in rows)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for page in pages():
        page.write_text(filled(page.read_text()))
