"""A listener with the native reader beside one without: one stream, both tell the same of it."""

from __future__ import annotations

from collections import Counter

import msgspec
import pytest

from harness.oracle import judge
from harness.pages import fetch, samples
from harness.process import free_ports, wait_until
from simulator.ledger import Truth
from tests.integration.test_listener_fleet import Fleet, fleet
from tests.unit.native.twins import needs_native

__all__ = ["fleet"]
pytestmark = needs_native


@pytest.mark.slow
def test_both_readers_tell_the_same_transitions(fleet: Fleet) -> None:
    """Each transition comes from both, under one id; the shadow finds no difference."""
    (port,) = free_ports(1)
    fleet.env |= {"MIRROR_NATIVE": "require", "MIRROR_NATIVE_SHADOW": "5"}
    fleet.env |= {"MIRROR_METRICS_PORT": str(port), "MIRROR_METRICS_HOST": "127.0.0.1"}
    fleet.add("north")
    del fleet.env["MIRROR_METRICS_PORT"], fleet.env["MIRROR_NATIVE_SHADOW"]
    fleet.env["MIRROR_NATIVE"] = "off"
    fleet.add("south")
    fleet.until_covered("north", "south")
    fleet.org.post("/_sim/control", {"action": "start"})
    wait_until(lambda: len(fleet.events()) > 600, 30.0, "events")
    fleet.until_quiet()
    events = fleet.events()
    verdict = judge(msgspec.convert(fleet.org.ledger(), list[Truth]), events)
    assert (verdict.missing, verdict.invented) == ([], [])
    counts = Counter(event.event_id for event in events if event.origin == "live")
    assert set(counts.values()) == {2}
    found = samples(fetch(port, "/metrics")[1])
    assert found['mirror_native_info{version="0.1.0"}'] == 1
    assert found["mirror_native_frames_total"] > 0.5 * found["mirror_frames_total"]
    assert found["mirror_native_shadowed_frames_total"] > 0
    assert found["mirror_native_differences_total"] == 0
    assert found["mirror_native_failures_total"] == 0
