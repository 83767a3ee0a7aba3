"""Durations as Prometheus gets them, and the bounded words for calls to Genesys."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from mirror.base.tally import Tally
from mirror.genesys.timing import KINDS, OUTCOMES, Calls, kind_of, outcome_of, total
from mirror.runtime.histograms import Gauges, Histograms
from mirror.runtime.metrics import LAST_FRAME, LATENCY, REQUESTS, TOKEN_LEFT


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """Name and labels → value, as a scrape has them."""
    return {
        sample.name + "".join(f"|{value}" for _, value in sorted(sample.labels.items())): float(
            sample.value
        )
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_a_histogram_counts_up_to_each_end() -> None:
    """Cumulative, with the whole at +Inf; a value on a bound is within it; none is negative."""
    tally = Tally((0.1, 1.0))
    for seconds, count in ((0.1, 3), (0.5, 2), (7.0, 1), (-4.0, 1)):
        tally.add(seconds, count)
    registry = CollectorRegistry()
    registry.register(Histograms(LATENCY, lambda: {("read",): tally, ("occurred",): Tally((1.0,))}))
    found = samples(registry)
    name = "mirror_event_latency_seconds"
    assert found[f"{name}_bucket|0.1|read"] == 4
    assert found[f"{name}_bucket|1.0|read"] == 6
    assert found[f"{name}_bucket|+Inf|read"] == found[f"{name}_count|read"] == 7
    assert found[f"{name}_sum|read"] == pytest.approx(0.3 + 1.0 + 7.0)
    assert found[f"{name}_count|occurred"] == 0


def test_gauges_have_no_series_for_what_is_not_known() -> None:
    """With a label or without."""
    registry = CollectorRegistry()
    ages = {"1": 2.5}
    registry.register(Gauges(LAST_FRAME, lambda: ages))
    registry.register(Gauges(TOKEN_LEFT, dict))
    assert samples(registry) == {"mirror_shard_last_frame_age_seconds|1": 2.5}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("POST /oauth/token", "token"),
        ("POST /api/v2/notifications/channels", "channels"),
        ("PUT /api/v2/notifications/channels/…/subscriptions", "subscriptions"),
        ("GET /api/v2/routing/queues/divisionviews/all", "listing"),
        ("GET /api/v2/users", "listing"),
        ("GET /api/v2/conversations/…", "conversation"),
        ("POST /api/v2/analytics/conversations/details/query", "analytics"),
        ("GET /api/v2/notifications/availabletopics", "other"),
    ],
)
def test_calls_are_told_by_what_they_ask_for(name: str, kind: str) -> None:
    """Few kinds, whatever the path."""
    assert kind_of(name) == kind


def test_outcomes_are_few() -> None:
    """Each status has one."""
    found = {status: outcome_of(status) for status in (200, 204, 401, 403, 404, 410, 429, 400, 503)}
    assert list(found.values()) == (
        ["done", "done", "refused", "refused", "not_found", "not_found", "limited"] + ["failed"] * 2
    )
    assert outcome_of(None) == "no_answer"


def test_the_calls_of_all_clients_are_one_sum() -> None:
    """No label says whose they were, and each series is there from the beginning."""
    calls, other_calls = Calls(), Calls()
    calls.add("GET /api/v2/users", 200, 0.2)
    other_calls.add("GET /api/v2/users", 200, 0.4)
    other_calls.add("POST /oauth/token", None, 15.0)
    registry = CollectorRegistry()
    registry.register(Histograms(REQUESTS, lambda: total((calls, other_calls))))
    found = samples(registry)
    name = "mirror_genesys_request_seconds"
    assert found[f"{name}_sum|listing|done"] == pytest.approx(0.6)
    assert found[f"{name}_count|token|no_answer"] == 1
    assert sum(key.startswith(f"{name}_count") for key in found) == len(KINDS) * len(OUTCOMES)
