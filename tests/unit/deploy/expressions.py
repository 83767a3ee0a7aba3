"""The PromQL of what is shipped: alert rules and the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

DEPLOY = Path(__file__).parents[3] / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
DASHBOARD = DEPLOY / "grafana" / "dashboard.json"
_SELECTOR = re.compile(r"\b((?:mirror|process)_[a-z_]+|up)\b(\{[^}]*\})?")


def alerts() -> dict[str, dict[str, Any]]:
    """Name → rule."""
    document = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    return {rule["alert"]: rule for group in document["groups"] for rule in group["rules"]}


def panels() -> list[tuple[str, str]]:
    """Title and expression of each query of the dashboard."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return [
        (panel["title"], target["expr"])
        for panel in document["panels"]
        for target in panel.get("targets", ())
    ]


def selectors(expression: str) -> list[str]:
    """The metrics that an expression asks for, with their label matchers."""
    return [name + (labels or "") for name, labels in _SELECTOR.findall(expression)]
