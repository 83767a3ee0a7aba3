"""Pages made from code are current."""

from __future__ import annotations

import re

import pytest

from docs.build.pages import DOCS, PAGES
from mirror.runtime.metrics import ALL, Described
from simulator.cli import main as simulator

METRICS = [metric for metrics in ALL.values() for metric in metrics]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_a_page_is_what_the_code_makes(name: str) -> None:
    """A changed metric changes the page in the same commit: `python -m docs.build.pages`."""
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name]()


def test_the_example_of_settings_names_pages_in_place_of_links() -> None:
    """A plain file has no links: "(Redis)" would lead nowhere."""
    text = PAGES["../deploy/mirror.env.example"]()
    pages = re.findall(r"\(docs/([\w-]+\.md)", text)
    assert "tls.md" in pages
    assert [page for page in pages if not (DOCS / page).exists()] == []
    assert "](" not in text
    assert "(Redis)" not in text


def test_the_simulator_s_options_are_shown() -> None:
    """`mirror simulator` hands its arguments on to a command that has the options."""
    section = PAGES["commands.md"]().partition("## mirror simulator\n")[2].partition("\n## ")[0]
    missing = [option.opts[0] for option in simulator.params if option.opts[0] not in section]
    assert missing == []
    assert "[default: 8090;" in section


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric: Described) -> None:
    """Prefix, lower case, `_total` for counters and only for them, base units, a meaning."""
    assert re.fullmatch(r"mirror_[a-z]+(_[a-z]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not re.search(r"_(ms|kb|mb|minutes|hours)\b", metric.name)
    assert metric.help.endswith(".")


def test_no_metric_is_named_twice() -> None:
    """One word for one thing."""
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
