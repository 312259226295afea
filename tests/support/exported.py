"""The series that the daemon exports, as a scrape sees them."""

from __future__ import annotations

from remediator.telemetry import Metrics

#: What Prometheus adds to every series that it scrapes.
SCRAPED = frozenset({"job", "instance"})


def series() -> dict[str, frozenset[str]]:
    """The labels of each series by its name, those of the parts of histograms included."""
    registry = Metrics("0").registry
    found = {"up": SCRAPED}
    for family in registry.collect():
        found[family.name + ("_total" if family.type == "counter" else "")] = SCRAPED
    for name, collector in registry._names_to_collectors.items():
        labels = frozenset(getattr(collector, "_labelnames", ()))
        found[name] = labels | SCRAPED | ({"le"} if name.endswith("_bucket") else frozenset())
    return {name: labels for name, labels in found.items() if not name.endswith("_created")}
