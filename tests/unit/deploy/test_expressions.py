"""Alerts and dashboard ask only for metrics and labels that there are."""

from __future__ import annotations

import json
import re

import pytest

from mirror.runtime.metrics import ALL
from tests.unit.deploy.expressions import DASHBOARD, alerts, panels, selectors

KNOWN = {metric.name: dict(metric.labels) for metrics in ALL.values() for metric in metrics}
SERIES = {
    f"{metric.name}_{suffix}": metric.name
    for metrics in ALL.values()
    for metric in metrics
    if metric.kind == "histogram"
    for suffix in ("bucket", "count", "sum")
}
EXPRESSIONS = [*panels(), *((name, rule["expr"]) for name, rule in alerts().items())]


@pytest.mark.parametrize(("title", "expression"), EXPRESSIONS)
def test_every_metric_and_label_exists(title: str, expression: str) -> None:
    """A renamed metric or state cannot leave a panel empty or an alert silent."""
    found = selectors(expression)
    assert found, title
    for selector in found:
        name, _, labels = selector.partition("{")
        if name == "up" or name.startswith("process_"):
            continue
        if name not in KNOWN:
            name = SERIES[name]
        for label, values in re.findall(r'(\w+)=~?"([^"]*)"', labels):
            known = set(KNOWN[name][label])
            assert set(values.split("|")) <= known or known == {"…"}, title


def test_every_alert_says_what_and_leads_to_the_runbook() -> None:
    """A severity, a summary, and a link to the entry of its own name."""
    for name, rule in alerts().items():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/runbook.md#{name.lower()}"


def test_the_dashboard_is_one_that_grafana_can_lay_out() -> None:
    """Panel ids differ, no two panels overlap, all fit the grid of 24, each says what it shows."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    ids = [panel["id"] for panel in document["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        cells = {
            (x, y)
            for x in range(grid["x"], grid["x"] + grid["w"])
            for y in range(grid["y"], grid["y"] + grid["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["datasource"]["uid"] == "${datasource}"
