"""Tokens that live a second do not make a channel a second."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.small_mirror import CLIENT, HOSTS, SECRET, small_mirror

WATCHED_SECONDS = 15.0
# Two shards' worth and their successors, far below one a second.
MOST_CHANNELS = 8


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.kafka
@pytest.mark.timeout(120)
def test_a_token_of_a_second_makes_few_channels(kafka: str, tmp_path: Path) -> None:
    """Channels go on and are not mirror anew for an expiry that comes too soon to be one."""
    with small_mirror(tmp_path, kafka, {}, "--client", f"{CLIENT}:{SECRET}:1") as mirror:
        end = time.monotonic() + WATCHED_SECONDS
        while time.monotonic() < end:
            channels = mirror.org.get("/_sim/channels")["channels"]
            assert len(channels) <= MOST_CHANNELS
            time.sleep(1.0)
        assert mirror.org.get("/_sim/stats")["requests"]["POST /api/v2/notifications/channels"] <= (
            MOST_CHANNELS
        )
        logs = [mirror.processes[host].stderr for host in HOSTS]
        assert all("token_short_lived" in log for log in logs)
