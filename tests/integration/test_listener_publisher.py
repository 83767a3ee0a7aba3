"""The publisher against a real Kafka: keyed as Java does, in order through an outage, nothing lost.

Not shown here: a broker that loses what it acknowledged, and the loss of the disk.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message

from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic, read_topic
from listeners.counters import Counters
from listeners.publish.held import HELD_RECORDS
from listeners.publish.publisher import Publisher
from mirror.base.tally import Tally
from mirror.conversation.agent_event import AgentEvent
from mirror.conversation.event import Event, identity
from mirror.kafka.record import read_event
from mirror.settings import Settings, load

PARTITIONS = 6
# A topic that does not take the event of `Driver.refused`. With batches of librdkafka's usual size,
# small events would share its batch.
LIMIT = {"max.message.bytes": "100000"}
PLAIN = {"KAFKA_CONF_COMPRESSION_CODEC": "none"}


def event(conversation: int, number: int, note: str = "") -> Event:
    """The `number`th event of a conversation."""
    name = f"conversation-{conversation}"
    return Event(
        event_id=identity(name, str(number)),
        event_type="answer",
        conversation_id=name,
        participant_id=str(number),
        state="connected",
        occurred_at="2026-11-23T10:00:00.000Z",
        received_at="2026-11-23T10:00:00.100Z",
        source_topic="v2.users.u1.conversations",
        address=note or None,
    )


def murmur2(data: bytes) -> int:
    """Kafka's 32-bit murmur2 of a key, as its Java clients compute it."""
    mask = 0xFFFFFFFF
    value = 0x9747B28C ^ len(data)
    whole = len(data) // 4 * 4
    for start in range(0, whole, 4):
        word = int.from_bytes(data[start : start + 4], "little") * 0x5BD1E995 & mask
        word = (word ^ word >> 24) * 0x5BD1E995 & mask
        value = value * 0x5BD1E995 & mask ^ word
    if len(data) > whole:
        value = (value ^ int.from_bytes(data[whole:], "little")) * 0x5BD1E995 & mask
    value = (value ^ value >> 13) * 0x5BD1E995 & mask
    return value ^ value >> 15


def configure(servers: str, topic: str, letters: str, spool: Path, **more: str) -> Settings:
    """Settings of a listener on these topics."""
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": servers,
        "MIRROR_TOPIC": topic,
        "MIRROR_DEAD_LETTER_TOPIC": letters,
        "MIRROR_SPOOL_DIR": str(spool),
    }
    return load(environment | more)


class Driver:
    """A publisher with its clockwork turned by the test."""

    def __init__(self, settings: Settings, name: str = "listener-1") -> None:
        self.counters = Counters()
        self.publisher = Publisher(settings, name, self.counters)
        self._numbers: dict[int, int] = {}

    def send(self, count: int, conversations: int = 5) -> None:
        """Publish `count` events, spread over the conversations."""
        for index in range(count):
            conversation = index % conversations
            number = self._numbers.get(conversation, 0)
            self._numbers[conversation] = number + 1
            self.publisher.events([event(conversation, number)])

    def refused(self, conversation: int) -> Event:
        """Publish an event that is too large for the topic."""
        number = self._numbers.get(conversation, 0)
        self._numbers[conversation] = number + 1
        large = event(conversation, number, note="x" * 120_000)
        self.publisher.events([large])
        return large

    def is_calm(self, refused: int) -> bool:
        """Everything is in Kafka, so many as dead letters."""
        publisher = self.publisher
        is_all = publisher.mode == "direct" and not publisher.pending
        return is_all and self.counters.rejected == refused

    def numbers(self) -> dict[str, list[int]]:
        """Conversation → the numbers of its events."""
        return {f"conversation-{name}": list(range(n)) for name, n in self._numbers.items()}

    def until(self, done: Callable[[], bool], timeout: float = 30.0) -> None:
        """Tick until `done`."""
        deadline = time.monotonic() + timeout
        while not done():
            assert time.monotonic() < deadline, f"{self.publisher.mode}: {self.counters}"
            self.publisher.tick(time.monotonic())
            time.sleep(0.005)

    def settled(self) -> bool:
        """Everything is in Kafka."""
        return self.publisher.mode == "direct" and self.counters.delivered == sum(
            self._numbers.values()
        )


def first_seen(records: list[Message]) -> dict[str, list[int]]:
    """Conversation → the numbers of its events in log order, repeats dropped."""
    seen: dict[str, list[int]] = {}
    for record in records:
        found = read_event(record.value())
        numbers = seen.setdefault(found.conversation_id, [])
        if int(found.participant_id or -1) not in numbers:
            numbers.append(int(found.participant_id or -1))
    return seen


def assert_only_these_are_refused(
    driver: Driver, servers: str, topic: str, letters: str, refused: list[Event]
) -> None:
    """All other events are in the topic in order, and exactly these are dead letters."""
    expected = driver.numbers()
    for large in refused:
        expected[large.conversation_id].remove(int(large.participant_id or -1))
    assert first_seen(read_topic(servers, topic)) == expected
    found = [read_event(letter.value()) for letter in read_topic(servers, letters)]
    assert sorted(found, key=identity_of) == sorted(refused, key=identity_of)
    assert (driver.counters.rejected, driver.counters.lost) == (len(refused), 0)


def identity_of(found: Event) -> str:
    """The id of an event."""
    return found.event_id


def test_records_are_partitioned_as_java_clients_do(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """murmur2 of the conversation id decides the partition, and headers are CloudEvents."""
    topic = make_topic(partitions=PARTITIONS)
    driver = Driver(configure(kafka, topic, make_topic(), tmp_path))
    driver.send(200, conversations=40)
    driver.publisher.stop(10.0)
    records = read_topic(kafka, topic, count=200)
    for record in records:
        key = record.key()
        assert isinstance(key, bytes)
        assert record.partition() == (murmur2(key) & 0x7FFFFFFF) % PARTITIONS
        headers = dict(record.headers() or [])
        assert headers["ce_type"] == b"genesys.interaction.answer"
        assert headers["content-type"] == b"application/json"
    assert len({record.partition() for record in records}) == PARTITIONS
    assert driver.counters.delivered == 200
    assert list(tmp_path.iterdir()) == [], "an empty spool leaves no folder"


def test_a_frozen_broker_costs_no_event_and_no_order(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """Events before, during and after an outage arrive, in order after dropping repeats."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=3)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    driver = Driver(configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool"))
    driver.send(500)
    driver.until(driver.settled)
    cluster.brokers[0].pause()
    driver.send(500)
    durable = driver.publisher.durable_at()
    driver.until(lambda: driver.counters.spool_records >= 500)
    assert driver.publisher.mode != "direct"
    driver.until(lambda: driver.publisher.durable_at() > durable)  # the disk has them
    driver.send(500)
    driver.until(lambda: driver.counters.spool_records >= 1000)
    cluster.brokers[0].resume()
    driver.send(500)
    driver.until(driver.settled)
    driver.send(100)
    driver.until(driver.settled)
    assert driver.counters.outages == 1
    driver.publisher.stop(5.0)
    seen = first_seen(read_topic(cluster.bootstrap_servers, topic))
    assert seen == {f"conversation-{c}": list(range(420)) for c in range(5)}
    assert driver.counters.lost == 0


def test_stopping_while_kafka_is_away_keeps_everything_for_the_next_process(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """What could not be delivered waits on disk; whoever starts next delivers it first."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=3)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    settings = configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool")
    driver = Driver(settings)
    driver.send(50)
    driver.until(driver.settled)
    cluster.brokers[0].pause()
    driver.send(300)
    started = time.monotonic()
    driver.publisher.stop(3.0)
    assert time.monotonic() - started < 8.0
    assert driver.counters.spool_records == 300

    following = Driver(settings, "listener-2")
    following.send(10, conversations=1)  # newer than all that was left
    following.until(lambda: following.publisher.mode != "direct")
    cluster.brokers[0].resume()
    following.until(lambda: following.publisher.mode == "direct")
    following.publisher.stop(5.0)
    seen = first_seen(read_topic(cluster.bootstrap_servers, topic))
    assert seen == {f"conversation-{c}": list(range(70)) for c in range(5)}
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_record_that_the_broker_refuses_becomes_a_dead_letter(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """One event over the topic's limit does not hold up its neighbours, nor is it lost."""
    topic = make_topic(partitions=1, config={"max.message.bytes": "20000"})
    letters = make_topic()
    driver = Driver(configure(kafka, topic, letters, tmp_path, KAFKA_CONF_COMPRESSION_CODEC="none"))
    driver.publisher.events([event(1, 0), event(1, 1, note="x" * 30_000), event(1, 2)])
    driver.until(lambda: driver.publisher.mode == "direct" and driver.counters.rejected == 1)
    driver.until(lambda: not driver.publisher.pending)
    driver.publisher.stop(5.0)
    assert first_seen(read_topic(kafka, topic)) == {"conversation-1": [0, 2]}
    (letter,) = read_topic(kafka, letters, count=1)
    headers = dict(letter.headers() or [])
    assert headers["mirror.errors.stage"] == b"produce"
    assert headers["mirror.errors.exception.class.name"] == b"MSG_SIZE_TOO_LARGE"
    assert letter.key() == b"v2.users.u1.conversations"
    assert read_event(letter.value()) == event(1, 1, note="x" * 30_000)


def test_nothing_overtakes_the_neighbours_of_a_refused_record(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """Those of its batch come back with it; younger ones must not leave meanwhile."""
    topic, letters = make_topic(partitions=1, config=LIMIT), make_topic()
    driver = Driver(configure(kafka, topic, letters, tmp_path, **PLAIN))
    refused = []
    for rounds in range(3):
        driver.send(200, conversations=2)
        driver.until(partial(driver.is_calm, rounds))
        driver.send(20, conversations=2)
        refused.append(driver.refused(1))
        for _ in range(100):
            driver.send(4, conversations=2)
            driver.publisher.tick(time.monotonic())
            time.sleep(0.001)
        driver.until(partial(driver.is_calm, rounds + 1))
    driver.publisher.stop(5.0)
    assert_only_these_are_refused(driver, kafka, topic, letters, refused)


def test_nothing_overtakes_the_neighbours_of_a_stored_record_that_is_refused(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """Also on the way from the disk. The other partition keeps its order too."""
    cluster = kafka_cluster_factory(1)
    servers = cluster.bootstrap_servers
    topic = create_topic(servers, "events", partitions=2, config=LIMIT)
    letters = create_topic(servers, "letters")
    driver = Driver(configure(servers, topic, letters, tmp_path / "spool", **PLAIN))
    driver.send(20)
    driver.until(driver.settled)
    cluster.brokers[0].pause()
    refused = []
    for conversation in (1, 2, 1):
        driver.send(400)
        refused.append(driver.refused(conversation))
    driver.send(400)
    driver.until(lambda: driver.counters.spool_records >= 1603)
    cluster.brokers[0].resume()
    driver.until(partial(driver.is_calm, len(refused)))
    driver.publisher.stop(5.0)
    assert_only_these_are_refused(driver, servers, topic, letters, refused)


def test_a_record_that_librdkafka_refuses_is_cut_into_a_dead_letter(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """Over the client's own limit: a dead letter that says how large it was."""
    topic, letters = make_topic(), make_topic()
    driver = Driver(configure(kafka, topic, letters, tmp_path))
    driver.publisher.events([event(1, 0, note="x" * 1_500_000), event(1, 1)])
    driver.publisher.stop(5.0)
    assert first_seen(read_topic(kafka, topic, count=1)) == {"conversation-1": [1]}
    (letter,) = read_topic(kafka, letters, count=1)
    truncated = dict(letter.headers() or [])["mirror.errors.truncated-bytes"]
    assert isinstance(truncated, bytes)
    assert int(truncated) > 1_500_000


def test_a_full_spool_is_loud_and_keeps_the_oldest(tmp_path: Path) -> None:
    """Over its limit the newest are refused and counted, and the refusal is visible."""
    nobody = configure("127.0.0.1:9", "events", "letters", tmp_path, MIRROR_SPOOL_LIMIT="50KiB")
    driver = Driver(nobody)
    driver.send(200)
    counters = driver.counters
    driver.until(lambda: counters.spool_records + counters.lost == 200)
    kept = counters.spool_records
    assert 0 < kept < 200
    assert driver.publisher.refusing_since is not None
    driver.publisher.stop(1.0)
    assert counters.spool_records == kept


def fill_disk(driver: Driver) -> None:
    """Let SQLite find the disk full from now on."""
    database = driver.publisher._store._own._database
    pages = database.execute("PRAGMA page_count").fetchone()[0]
    database.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_costs_nothing_when_kafka_comes_back_first(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """What the disk refuses waits in memory and goes to Kafka from there, in order."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=3)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    driver = Driver(configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool"))
    driver.send(100)
    driver.until(driver.settled)
    cluster.brokers[0].pause()
    driver.send(200)
    driver.until(lambda: driver.counters.spool_records >= 200)
    driver.until(lambda: time.monotonic() - driver.publisher.durable_at() < 0.5)
    fill_disk(driver)
    durable = driver.publisher.durable_at()
    driver.send(300)
    driver.until(lambda: driver.counters.held > 0)
    assert driver.publisher.durable_at() - durable < 1.0, "memory is not durable"
    cluster.brokers[0].resume()
    driver.send(100)
    driver.until(driver.settled)
    driver.send(100)
    driver.until(driver.settled)
    driver.publisher.stop(5.0)
    seen = first_seen(read_topic(cluster.bootstrap_servers, topic))
    assert seen == {f"conversation-{c}": list(range(160)) for c in range(5)}
    assert driver.counters.lost == 0


def test_memory_is_bounded_when_disk_and_kafka_are_away(tmp_path: Path) -> None:
    """Beyond what may wait in memory the newest are lost, counted, and the loss is visible."""
    driver = Driver(configure("127.0.0.1:9", "events", "letters", tmp_path))
    driver.send(10)
    driver.until(lambda: driver.counters.spool_records > 0)
    fill_disk(driver)
    driver.send(HELD_RECORDS + 5_000)
    driver.until(lambda: driver.publisher.refusing_since is not None)
    assert driver.counters.held <= HELD_RECORDS
    assert 0 < driver.counters.lost <= 5_000
    driver.publisher.stop(1.0)


def test_a_spool_damaged_while_it_drains_does_not_stop_the_rest(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """Damaged records are set aside and counted; all others arrive, later ones too."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=1)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    driver = Driver(configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool"))
    cluster.brokers[0].pause()
    driver.send(400, conversations=1)
    driver.until(lambda: driver.counters.spool_records >= 400)
    database = driver.publisher._store._own._database
    database.execute("UPDATE records SET value = x'00' WHERE sequence = 200")
    cluster.brokers[0].resume()
    driver.until(lambda: driver.publisher.mode == "direct", timeout=60.0)
    driver.send(100, conversations=1)
    driver.until(lambda: not driver.publisher.pending)
    driver.publisher.stop(5.0)
    (numbers,) = first_seen(read_topic(cluster.bootstrap_servers, topic)).values()
    assert numbers == [number for number in range(500) if number != 199]
    assert driver.counters.spools_damaged == 1
    assert [path.name for path in (tmp_path / "spool").iterdir()] == ["listener-1.broken-1"]


@pytest.mark.parametrize("encoding", ["json", "msgpack"])
def test_agents_go_to_their_own_topic_by_way_of_the_spool_too(
    kafka: str, make_topic: Callable[..., str], tmp_path: Path, encoding: str
) -> None:
    """A state taken while Kafka is away and one taken later: both there, keyed by the user."""
    topic, letters, agents = make_topic(), make_topic(), make_topic(partitions=PARTITIONS)
    more = {
        "MIRROR_SUBSCRIBE": "users,agents",
        "MIRROR_AGENTS_TOPIC": agents,
        "MIRROR_ENCODING": encoding,
    }
    states = [
        AgentEvent(
            event_id=identity("u1", "routing_status", word),
            event_type="routing_status",
            user_id="u1",
            routing_status=word,
            occurred_at="2026-11-23T10:00:00.000Z",
            received_at="2026-11-23T10:00:00.100Z",
            source_topic="v2.users.u1.routingStatus",
        )
        for word in ("IDLE", "INTERACTING")
    ]
    away = Driver(configure("127.0.0.1:9", topic, letters, tmp_path, **more))
    away.publisher.agents(states[:1])
    away.publisher.stop(1.0)
    assert away.counters.spool_records == 1

    driver = Driver(configure(kafka, topic, letters, tmp_path, **more), "listener-2")
    driver.until(lambda: driver.publisher.mode != "direct")
    driver.until(lambda: driver.publisher.mode == "direct")
    driver.publisher.agents(states[1:])
    driver.publisher.stop(5.0)
    records = read_topic(kafka, agents, count=2)
    decode = msgspec.json.decode if encoding == "json" else msgspec.msgpack.decode
    assert [decode(record.value() or b"", type=AgentEvent) for record in records] == states
    for record, state in zip(records, states, strict=True):
        assert record.key() == b"u1"
        assert dict(record.headers() or []) == {
            "ce_specversion": b"1.0",
            "ce_id": state.event_id.encode(),
            "ce_type": b"genesys.agent.routing_status",
            "ce_source": b"/genesys/mypurecloud.com/v2.users.u1.routingStatus",
            "ce_time": b"2026-11-23T10:00:00.000Z",
            "ce_origin": b"live",
            "content-type": f"application/{encoding}".encode(),
        }
    assert read_topic(kafka, topic) == []


@pytest.mark.slow
def test_a_killed_broker_comes_back(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """kill -9 and a restart of the only broker, with events all the while."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=3)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    driver = Driver(configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool"))
    driver.send(500)
    cluster.brokers[0].kill()
    driver.send(500)
    driver.until(lambda: driver.publisher.mode != "direct")
    cluster.brokers[0].start()
    driver.send(500)
    driver.until(driver.settled, timeout=60.0)
    driver.publisher.stop(5.0)
    seen = first_seen(read_topic(cluster.bootstrap_servers, topic))
    assert seen == {f"conversation-{c}": list(range(300)) for c in range(5)}


def test_latency_is_told_straight_and_through_an_outage(
    kafka_cluster_factory: Callable[[int], KafkaCluster], tmp_path: Path
) -> None:
    """In milliseconds while Kafka is there; what waited on disk counts with all of its wait."""
    cluster = kafka_cluster_factory(1)
    topic = create_topic(cluster.bootstrap_servers, "events", partitions=3)
    letters = create_topic(cluster.bootstrap_servers, "letters")
    driver = Driver(configure(cluster.bootstrap_servers, topic, letters, tmp_path / "spool"))
    publisher = driver.publisher

    def send(count: int) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
        for number in range(count):
            made = event(number % 5, number)
            made.received_at = made.occurred_at = now
            publisher.events([made])
            publisher.mark(time.monotonic(), made)

    def read() -> Tally:
        return publisher.latency.tallies()[("read",)]

    def count() -> int:
        return sum(read().counts)

    def reached(so_many: int) -> bool:
        return count() == so_many

    send(200)
    driver.until(partial(reached, 200))
    warm = read().seconds
    for so_many in range(220, 401, 20):
        send(20)
        driver.until(partial(reached, so_many))
    assert (read().seconds - warm) / 200 < 0.5
    assert sum(publisher.latency.tallies()[("occurred",)].counts) > 0
    before = read().seconds
    cluster.brokers[0].pause()
    send(300)
    gone = time.monotonic()
    driver.until(lambda: driver.counters.spool_records == 300)
    driver.until(lambda: time.monotonic() - gone > 8.0)
    cluster.brokers[0].resume()
    driver.until(lambda: publisher.mode == "direct")
    told = count() - 400
    assert 250 <= told <= 300, "samples stand for what waited"
    assert 8.0 < (read().seconds - before) / told < 60.0
    publisher.stop(5.0)
