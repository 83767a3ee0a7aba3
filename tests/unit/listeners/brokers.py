"""Brokers that a test rules, and producers that talk to them in place of librdkafka's.

Nothing happens but in calls of the test: a producer hands its records on when it is polled. What
brokers do with them is the test's choice, and how fast they do it is drawn by chance.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, Final, Literal

import msgspec
from confluent_kafka import KafkaError

from mirror.kafka.partition import partition as partition_of

STATISTICS_SECONDS: Final = 0.25
# Of librdkafka's clock, in µs: not before the present, so that no sample seems old.
PRESENT: Final = 1 << 60
FAILURES: Final = (
    "NOT_ENOUGH_REPLICAS",
    "KAFKA_STORAGE_ERROR",
    "OUT_OF_ORDER_SEQUENCE_NUMBER",
    "_MSG_TIMED_OUT",
)

Place = tuple[str, int]  # topic, partition
State = Literal["takes", "silent", "fails"]
Report = Callable[[KafkaError | None, "Message"], object]


def error(name: str) -> KafkaError:
    """As librdkafka reports it."""
    return KafkaError(getattr(KafkaError, name), name, False, False, False)


class Message:
    """A record in a producer, as delivery reports show it."""

    def __init__(self, place: Place, value: bytes, key: str | None, report: Report) -> None:
        self.report = report
        self._place = place
        self._value = value
        self._key = key

    def topic(self) -> str:
        """As confluent-kafka's."""
        return self._place[0]

    def partition(self) -> int:
        """As confluent-kafka's."""
        return self._place[1]

    def value(self) -> bytes:
        """As confluent-kafka's."""
        return self._value

    def key(self) -> bytes | None:
        """As confluent-kafka's."""
        return None if self._key is None else self._key.encode()


class Cluster:
    """Brokers and what they were given.

    `logs`: partition → the values that it took, in order. `states`: what a partition does, if it
    does not take records. `shut`: topics that nobody may write. `room`: how many records fit into
    a producer.
    """

    def __init__(self, rng: Random, topics: Mapping[str, int], clock: Callable[[], float]) -> None:
        """`topics`: topic → its number of partitions."""
        self.rng = rng
        self.topics = topics
        self.clock = clock
        self.logs: defaultdict[Place, list[bytes]] = defaultdict(list)
        self.states: dict[Place, State] = {}
        self.shut: set[str] = set()
        self.room = 100_000

    def failure(self, place: Place) -> KafkaError | None:
        """Why a partition fails what it is given, None if it does not."""
        if place[0] in self.shut:
            return error("TOPIC_AUTHORIZATION_FAILED")
        if self.states.get(place) == "fails":
            return error(self.rng.choice(FAILURES))
        return None


class ClusterProducer:
    """A producer for a cluster, with as much of confluent-kafka's as the listener calls."""

    def __init__(
        self, cluster: Cluster, statistics: Callable[[str], None], *, all_reports: bool
    ) -> None:
        """`all_reports`: report successes too."""
        self._cluster = cluster
        self._statistics = statistics
        self._statistics_at = cluster.clock()
        self._all_reports = all_reports
        self._queues: defaultdict[Place, deque[Message]] = defaultdict(deque)
        self._entered: Counter[Place] = Counter()
        self._acked: Counter[Place] = Counter()
        self._reports: deque[tuple[Message, KafkaError | None]] = deque()
        self._is_purged = False

    def produce(
        self,
        topic: str,
        value: bytes,
        key: str | None,
        partition: int = -1,
        callback: Report | None = None,
        on_delivery: Report | None = None,
        timestamp: int = 0,
        headers: Any = None,
    ) -> None:
        """As confluent-kafka's."""
        assert not self._is_purged
        assert not timestamp
        assert headers
        if len(self) >= self._cluster.room:
            raise BufferError("the queue is full")
        if partition < 0:
            partition = partition_of(key, self._cluster.topics[topic]) if key else 0
        report = callback or on_delivery
        assert report is not None
        place = (topic, partition)
        self._entered[place] += 1
        self._queues[place].append(Message(place, value, key, report))

    def poll(self, _seconds: float) -> int:
        """Let the brokers answer; serve the statistics and the reports."""
        for place, queue in self._queues.items():
            if queue:
                self._answer(place, queue)
        if not self._is_purged and self._cluster.clock() >= self._statistics_at:
            self._statistics_at = self._cluster.clock() + STATISTICS_SECONDS
            self._statistics(self._counts())
        while self._reports:
            message, failure = self._reports.popleft()
            message.report(failure, message)
        return 0

    def _answer(self, place: Place, queue: deque[Message]) -> None:
        rng = self._cluster.rng
        failure = self._cluster.failure(place)
        if failure is not None and rng.random() < 0.5:
            self._reports.extend((message, failure) for message in queue)
            queue.clear()
        elif failure is None and self._cluster.states.get(place) != "silent":
            for _ in range(min(len(queue), rng.choice([0, 5, 50, 500]))):
                message = queue.popleft()
                self._cluster.logs[place].append(message.value())
                self._acked[place] += 1
                if self._all_reports:
                    self._reports.append((message, None))

    def _counts(self) -> str:
        topics = {
            topic: {
                "partitions": {
                    str(number): {
                        "partition": number,
                        "leader": 1,
                        "msgs": self._entered[topic, number],
                        "acked_msgid": self._acked[topic, number],
                    }
                    for number in range(count)
                }
            }
            for topic, count in self._cluster.topics.items()
        }
        eos = {"idemp_state": "Assigned"}
        found = {"ts": PRESENT, "brokers": {}, "eos": eos, "topics": topics}
        return msgspec.json.encode(found).decode()

    def purge(self, **_how: bool) -> None:
        """As confluent-kafka's. Brokers may have taken records without an acknowledgement."""
        self._is_purged = True
        rng = self._cluster.rng
        for place, queue in self._queues.items():
            taken = 0
            if queue and self._cluster.failure(place) is None and rng.random() < 0.5:
                taken = rng.randrange(len(queue) + 1)
            log = self._cluster.logs[place]
            log.extend(message.value() for message in list(queue)[:taken])
            self._reports.extend((message, error("_PURGE_QUEUE")) for message in queue)
            queue.clear()

    def list_topics(self, *_: object, **_more: object) -> None:
        """As confluent-kafka's."""

    def __len__(self) -> int:
        return sum(map(len, self._queues.values())) + len(self._reports)
