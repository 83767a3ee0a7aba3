"""A publisher without a Kafka: what it refuses leaves nothing behind in memory.

The clock is the test's. The producers are librdkafka's own, with the address of a closed port.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from harness.process import free_ports, wait_until
from listeners.counters import Counters
from listeners.publish.publisher import (
    BUSY_TICK_SECONDS,
    IDLE_TICK_SECONDS,
    MOVING_TICK_SECONDS,
    Publisher,
)
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event
from mirror.settings import load

REFUSED = 100_000
UNDER_WAY = 2_000  # when the producer is given up: several slices
BATCH = 500
LANES = 4
# Of 100,000 records: what a record leaves behind, even one block, would be twenty times as many.
MOST_BLOCKS = 5_000


def event(number: int) -> Event:
    """One of few conversations, so that what is remembered of a key does not grow."""
    return Event(
        event_id=f"{number:032x}",
        event_type="answer",
        conversation_id=f"conversation-{number % 50}",
        participant_id="p",
        state="connected",
        occurred_at="2026-11-23T10:00:00.000Z",
        received_at="2026-11-23T10:00:00.100Z",
        source_topic="v2.users.u1.conversations",
        address="x" * 500,
    )


def agent(number: int) -> AgentEvent:
    """A presence of one of few agents."""
    return AgentEvent(
        event_id=f"{number:032x}",
        event_type="presence",
        user_id=f"user-{number % 50}",
        presence="AVAILABLE",
        occurred_at="2026-11-23T10:00:00.000Z",
        received_at="2026-11-23T10:00:00.100Z",
    )


class Scene:
    """A publisher, its counters, and its clock."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.now = 1_000.0
        self.counters = Counters()
        self.others = producers()  # of other tests
        settings = load(
            {
                "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_ports(1)[0]}",
                "MIRROR_SPOOL_DIR": str(folder),
                "MIRROR_SPOOL_LIMIT": "64KiB",
                "MIRROR_SUBSCRIBE": "users,agents",
                **more,
            }
        )
        topics = {settings.topic: LANES, settings.dead_letter_topic: 1}
        self.publisher = Publisher(
            settings, "l", self.counters, partitions=topics, clock=lambda: self.now
        )
        self._number = 0

    def turn(self, seconds: float = 0.05) -> None:
        """One pass of the loop."""
        self.now += seconds
        self.publisher.tick(self.now)

    def send(self, count: int) -> None:
        """Hand in events, a batch at a time, each taken by the spool's thread before the next."""
        for _ in range(count // BATCH):
            for index in range(BATCH):
                self.publisher.events([event(self._number + index)])
            self._number += BATCH
            self.turn()
            wait_until(self._is_taken, 30.0, "the spool's thread takes the batch")

    def send_agents(self, count: int) -> None:
        """Hand in states of agents, which the direct producer does not deliver."""
        self.publisher.agents([agent(number) for number in range(count)])
        wait_until(self._is_given_up, 10.0, "the direct producer is retired")
        wait_until(self._is_taken, 30.0, "the spool's thread takes the states")

    def _is_given_up(self) -> bool:
        # Mostly at the second look. An event of librdkafka between two looks counts as a record
        # that moved.
        self.turn(10.0)
        return self.publisher.mode == "spooling"

    def _is_taken(self) -> bool:
        self.turn()
        return not self.publisher.pending

    def give_up(self) -> None:
        """Have the direct producer retired, with records in it."""
        for number in range(UNDER_WAY):
            self.publisher.events([event(number)])
        wait_until(self._is_given_up, 10.0, "the direct producer is retired")
        wait_until(self._is_taken, 30.0, "what was under way is taken back")


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """Ended behind the test, as in a process that stops."""
    made = Scene(tmp_path)
    yield made
    made.publisher.stop(0.0)


def producers() -> int:
    """How many of this process are not ended."""
    gc.collect()
    return sum(isinstance(living, Producer) for living in gc.get_objects())


def test_a_producer_that_was_given_up_is_ended(scene: Scene) -> None:
    """One that lives on, polled by nobody, would collect a statistic each quarter of a second."""
    both = scene.others + 2  # its own and that of its drain, which the spool's thread makes
    wait_until(lambda: producers() == both, 10.0, "both producers are made")
    scene.give_up()

    def is_ended() -> bool:
        scene.turn(0.0)  # the clock stands: its successor is not due yet, and would be counted
        return producers() < both

    wait_until(is_ended, 10.0, "the producer is ended")
    assert scene.counters.failed == UNDER_WAY


def test_ticks_are_as_frequent_as_records_move(scene: Scene) -> None:
    """Rare without a record, more frequent with one under way, most while records are taken
    back."""
    publisher = scene.publisher

    def is_idle() -> bool:
        scene.turn(0.0)  # librdkafka's events count as records under way until they are polled
        return publisher.tick_seconds == IDLE_TICK_SECONDS

    wait_until(is_idle, 10.0, "nothing is under way")
    publisher.events([event(1)])
    assert publisher.tick_seconds == BUSY_TICK_SECONDS
    wait_until(scene._is_given_up, 10.0, "the direct producer is retired")
    assert publisher.tick_seconds == MOVING_TICK_SECONDS


def test_what_is_refused_leaves_nothing_in_memory(scene: Scene) -> None:
    """A full spool refuses for hours: a hundred thousand records are counted, and gone."""
    scene.give_up()
    scene.send(10 * BATCH)
    lost = scene.counters.lost
    assert lost, "the spool is not full"
    gc.collect()
    before = sys.getallocatedblocks()
    scene.send(REFUSED)
    gc.collect()
    assert scene.counters.lost == lost + REFUSED
    assert sys.getallocatedblocks() - before < MOST_BLOCKS


def test_states_of_agents_that_are_lost_are_told_and_end_no_coverage(scene: Scene) -> None:
    """They fill their half of the spool; interactions are kept behind them."""
    scene.send_agents(UNDER_WAY)
    lost = scene.counters.lost
    assert lost
    assert any("genesys-agents" in reason for reason in scene.publisher.reasons)
    scene.publisher.events([event(number) for number in range(10)])
    wait_until(scene._is_taken, 30.0, "the interactions are stored")
    assert scene.counters.lost == lost
    assert scene.publisher.refusing_since is None


class Pausing(Scene):
    """Records that pause in each lane, behind stored ones that Kafka is taking. librdkafka has room
    for two records."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, KAFKA_CONF_QUEUE_BUFFERING_MAX_MESSAGES="2")
        publisher = self.publisher
        self.path, self.store = publisher._path, publisher._store
        for number in range(LANES * 2):
            record = publisher.recorder.record(event(number))
            self.store.keep(-number, record, self.store.lane(record, 0), self.now)
        publisher._keeper._drain.acked_at = self.now
        self.turn(0.0)
        self.send_some()

    def send_some(self) -> None:
        """A record for each of the conversations."""
        for number in range(LANES * 2):
            self.publisher.events([event(number)])

    def deliver(self) -> None:
        """Kafka has the stored records."""
        for lane, count in list(self.store.waiting.items()):
            self.store.acknowledge(lane, count)


@pytest.fixture
def pausing(tmp_path: Path) -> Iterator[Pausing]:
    """Ended behind the test."""
    made = Pausing(tmp_path)
    yield made
    made.publisher.stop(0.0)


def test_a_full_queue_ends_the_pauses_of_all_lanes(pausing: Pausing) -> None:
    """The first lane fills it. The records of the others, whose pauses end too, are stored."""
    assert len(pausing.path.pauses.lanes()) > 1
    pausing.deliver()
    pausing.turn()
    assert pausing.publisher.mode == "spooling"
    assert pausing.path.pauses.count == 0
    assert sum(pausing.store.waiting.values()) == LANES * 2 - 2


def test_no_record_overtakes_a_pausing_one(pausing: Pausing) -> None:
    """If the topic fails while records pause, newer ones of their lanes pause behind them: stored
    at once, they would be sent first."""
    waiting = dict(pausing.store.waiting)
    pausing.path._shut = frozenset({pausing.publisher.recorder.topic})
    pausing.send_some()
    assert pausing.store.waiting == waiting
    assert pausing.path.pauses.count == LANES * 4
