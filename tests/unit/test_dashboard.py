"""deploy/grafana/remediator.json: it asks for what there is, shows all of it, and lies as it should."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.exported import SCRAPED, series
from tests.support.promql import Query, Selector, parse

FOLDER = Path(__file__).parents[2] / "deploy/grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "remediator.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SHOWN = [panel for panel in PANELS if panel["type"] != "row"]
#: Told by alerts alone: as a number on a wall they would say nothing.
ALERTED_ONLY = {"remediator_approval_lapses_seconds"}
COLUMNS = 24


def _targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in SHOWN:
        yield from ((f"{panel['title']} {target['refId']}", target) for target in panel["targets"])


def _expressions() -> Iterator[tuple[str, str]]:
    yield from ((name, target["expr"]) for name, target in _targets())
    yield from ((each["name"], each["expr"]) for each in DASHBOARD["annotations"]["list"] if "expr" in each)


EXPRESSIONS = dict(_expressions())
TARGETS = dict(_targets())


def test_promql_is_read_with_its_series_matchers_and_labels() -> None:
    read = parse(
        'histogram_quantile(0.99, sum by (le, a) (rate(x_bucket{b="}", c=~"$d"}[$__rate_interval]))) > 1e3'
        " unless on (b) group_left (e) (y offset 15m or sum(z) without (f))"
    )
    assert read.selectors == (
        Selector("x_bucket", {"b": "}", "c": "$d"}),
        Selector("y", {}),
        Selector("z", {}),
    )
    assert read.labels == {"le", "a", "b", "e", "f"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_a_query_asks_for_series_and_labels_that_there_are(name: str) -> None:
    there, query = series(), parse(EXPRESSIONS[name])
    assert query.selectors
    for selector in query.selectors:
        assert selector.metric in there
        assert set(selector.matchers) <= there[selector.metric]
        assert selector.matchers.keys() >= SCRAPED, "it has to follow the variables"
    assert query.labels <= _labels(query)


def _labels(query: Query) -> frozenset[str]:
    there = series()
    return frozenset[str]().union(*(there[each.metric] for each in query.selectors))


@pytest.mark.parametrize("name", TARGETS)
def test_a_legend_names_labels_that_the_query_keeps(name: str) -> None:
    target = TARGETS[name]
    assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= parse(target["expr"]).labels


def test_every_metric_is_shown() -> None:
    asked = {each.metric for text in EXPRESSIONS.values() for each in parse(text).selectors}
    families = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in series()}
    ours = {name for name in families if name.startswith("remediator_")} - ALERTED_ONLY
    shown = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in asked}
    assert ours - shown == set()


def test_variables_ask_for_metrics_and_labels_that_there_are() -> None:
    there = series()
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            asked, label = re.findall(r"label_values\((.+), (\w+)\)", variable["query"]["query"])[0]
            (selector,) = parse(asked).selectors
            assert {label, *selector.matchers} <= there[selector.metric]


def test_every_variable_in_a_query_is_one_of_the_dashboard_or_grafanas() -> None:
    names = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD)))
    assert used <= names | {"__rate_interval", "__range", "__all"}


def test_it_fits_any_grafana() -> None:
    """No data source, folder or id of one installation; a schema that Grafana 10.4 and later read."""
    assert DASHBOARD["schemaVersion"] >= 39
    assert "id" not in DASHBOARD
    sources = re.findall(r'"uid": "([^"]*)"', json.dumps(DASHBOARD))
    assert set(sources) == {"${datasource}", "-- Grafana --", DASHBOARD["uid"]}


def test_panels_have_ids_of_their_own_and_say_what_they_show() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    assert [panel["title"] for panel in SHOWN if not panel["description"]] == []
    refs = [[target["refId"] for target in panel["targets"]] for panel in SHOWN]
    assert all(len(set(each)) == len(each) for each in refs)


def test_panels_lie_side_by_side_without_overlap_or_gap() -> None:
    cells = {panel["title"]: _cells(panel["gridPos"]) for panel in PANELS}
    for (one, mine), (other, its) in combinations(cells.items(), 2):
        assert not mine & its, (one, other)
    taken = set[tuple[int, int]]().union(*cells.values())
    height = max(y for _, y in taken) + 1
    assert taken == {(x, y) for x in range(COLUMNS) for y in range(height)}


def _cells(place: dict[str, int]) -> set[tuple[int, int]]:
    columns = range(place["x"], place["x"] + place["w"])
    return {(x, y) for x in columns for y in range(place["y"], place["y"] + place["h"])}


def test_it_can_be_put_up_as_a_config_map() -> None:
    made = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["configMapGenerator"]
    (one,) = made
    assert one["files"] == ["remediator.json"]
    assert one["options"]["labels"] == {"grafana_dashboard": "1"}
