"""A queue is deleted while its topic is still in the list: the other topics do not suffer."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.process import wait_until
from tests.integration.small_mirror import small_mirror

SECONDS = 40.0
TOPICS = 14  # of two queues and twelve users
REPLICAS = 2


@pytest.mark.slow
@pytest.mark.redis
@pytest.mark.kafka
@pytest.mark.timeout(180)
@pytest.mark.parametrize("answer", ["rejected", "invalid"])
def test_a_deleted_queue_takes_no_other_topic_down(kafka: str, tmp_path: Path, answer: str) -> None:
    """Channels are made anew before discovery knows of it, and Genesys refuses that topic, or the
    whole list for it: users and the other queue are mirrored."""
    with small_mirror(tmp_path, kafka, {}, "--quirk", f"absent_owner={answer}") as mirror:
        org = mirror.org

        def subscribed(topics: int) -> bool:
            channels = org.get("/_sim/channels")["channels"]
            return [c["topics"] for c in channels if c["connected"]] == [topics] * REPLICAS

        wait_until(lambda: subscribed(TOPICS), SECONDS, "every topic is set")
        queue = org.get("/api/v2/routing/queues")["entities"][0]["id"]
        org.post("/_sim/control", {"states": {queue: "deleted"}})
        org.fault(fault="evict")
        wait_until(lambda: subscribed(TOPICS - 1), SECONDS, "every other topic is set")
        order = {"action": "spawn", "scenario": "internal_call", "count": 5, "speed": 40}
        spawned = set(org.post("/_sim/control", order)["conversation_ids"])
        org.drain()

        def told() -> bool:
            events = mirror.events()
            return spawned <= {e.conversation_id for e in events if e.event_type == "end"}

        wait_until(told, SECONDS, "the ends of the conversations are in Kafka")
        assert any("topics_rejected" in process.stderr for process in mirror.processes.values())
