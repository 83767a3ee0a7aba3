"""Streams for projectors, and who counts what they make of them.

A stream is made of the reviewed flows under `tests/golden/cases`, as conversations of their own,
each told by two replicas that mix and lag. `Stage.count` reads both topics as any consumer would,
without anything of the projector, and holds them against the library's fold of the whole stream.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.cimpl import NewTopic

from harness import kafka_install
from harness.kafka import KafkaCluster
from harness.kafka_topics import SILENT, admin_client, create_topic
from harness.process import ManagedProcess, wait_until
from harness.views import difference, folded
from mirror.base.errors import KafkaUnavailable
from mirror.conversation.event import Event
from mirror.conversation.published import PublishedView
from mirror.kafka.record import Recorder
from mirror.settings import Settings, load
from projector.offsets import Offsets
from tests.services.availability import unavailable

CASES: Final = Path(__file__).parents[1] / "golden" / "cases"
WITHIN: Final = 60.0
# A transaction that was left open ends within a second, a member that died is out within three.
QUICK: Final[dict[str, object]] = {
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 100,
    "group.min.session.timeout.ms": 1_000,
}


@cache
def flow(name: str) -> tuple[Event, ...]:
    """The events of a reviewed flow."""
    lines = (CASES / f"{name}.jsonl").read_bytes().splitlines()
    return tuple(msgspec.json.decode(line, type=Event) for line in lines)


# The id of an unpark is made from that of its conversation, so parks cannot be given another one.
FLOWS: Final = sorted(
    case.stem for case in CASES.glob("*.jsonl") if not case.stem.startswith("P01")
)


def stream(conversations: int, seed: int) -> list[Event]:
    """So many conversations at once, as two replicas tell them; either repeats itself at times."""
    chance = random.Random(seed)
    waiting: list[list[Event]] = []
    for number in range(conversations):
        events = [_as(event, f"c-{seed}-{number}") for event in flow(chance.choice(FLOWS))]
        for _ in range(2):
            again = chance.randrange(len(events)) if chance.random() < 0.2 else 0
            waiting.append([*events[:again], *events])
    told = []
    while waiting:
        history = chance.choice(waiting[:20])
        told.append(history.pop(0))
        if not history:
            waiting.remove(history)
    return told


def _as(event: Event, conversation_id: str) -> Event:
    made = blake2b(f"{conversation_id} {event.event_id}".encode(), digest_size=16).hexdigest()
    return msgspec.structs.replace(event, conversation_id=conversation_id, event_id=made)


class Stage:
    """Three topics of one test, and the settings of projectors there."""

    def __init__(
        self,
        cluster: str,
        partitions: int = 4,
        brokers: Mapping[str, list[int]] | None = None,
        limit: int = 0,
        **environment: str,
    ) -> None:
        """`brokers` maps the end of a topic's name to the broker of each of its partitions. The
        projector's topics take batches up to `limit` bytes, if it is given.
        """
        name = f"test-{uuid.uuid4().hex[:12]}"
        self.cluster = cluster
        self.env: dict[str, str] = {
            "HOME": "/root",
            "KAFKA_BOOTSTRAP_SERVERS": cluster,
            "MIRROR_NAMESPACE": name,
            "MIRROR_TOPIC": name,
            "MIRROR_ONCE_TOPIC": f"{name}.once",
            "MIRROR_CONVERSATIONS_TOPIC": f"{name}.conversations",
            "MIRROR_PARTITIONS": str(partitions),
            "MIRROR_REPLICATION_FACTOR": "1",
            **environment,
        }
        self.settings: Settings = load(self.env)
        admin = admin_client(cluster)
        admin.list_topics(timeout=10)
        for end in ("", ".once", ".conversations"):
            config = {"cleanup.policy": "compact"} if end == ".conversations" else {}
            if limit and end:
                config["max.message.bytes"] = str(limit)
            if brokers is None:
                create_topic(cluster, name + end, partitions=partitions, config=config)
                continue
            placed = [[broker] for broker in brokers[end]]
            topic = NewTopic(name + end, partitions, replica_assignment=placed, config=config)
            admin.create_topics([topic])[name + end].result(20)
        self.sent: list[Event] = []
        self._offsets = Offsets(self.settings)
        self._member = Consumer(  # asks for the group's offsets, and is none of its members
            {
                "bootstrap.servers": cluster,
                "group.id": f"mirror-{name}-projector",
                "isolation.level": "read_committed",
                "logger": SILENT,
            }
        )
        self._recorder = Recorder(name, "mypurecloud.com", "json")
        self._producer = Producer(
            {
                "bootstrap.servers": cluster,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "logger": SILENT,
            }
        )

    def send(self, events: Sequence[Event]) -> None:
        """Produce events as listeners do, and wait until Kafka has them."""
        for event in events:
            record = self._recorder.record(event)
            self._producer.produce(
                record.topic, record.value, record.key, headers=list(record.headers)
            )
            self._producer.poll(0)
        assert self._producer.flush(WITHIN) == 0
        self.sent += events

    def process(self, folder: Path, name: str, **environment: str) -> ManagedProcess:
        """A projector, not started."""
        env: Mapping[str, str | None] = {**self.env, **environment}
        return ManagedProcess.mirror("projector", folder=folder, env=env, name=name)

    def offsets(self, end: str) -> dict[int, int]:
        """The offset behind the last record of each partition of the topic with that end."""
        numbers = range(self.settings.partitions)
        found: dict[int, int] = {}

        def told() -> bool:
            # Right after a broker's restart, or after partitions were added, Kafka refuses a client
            # that does not know it yet: `Offsets` makes another one.
            try:
                found.update(self._offsets.ends(self.settings.topic + end, numbers))
            except KafkaException:
                return False
            return True

        wait_until(told, WITHIN, f"Kafka tells the ends of {self.settings.topic}{end}")
        return found

    def committed(self) -> dict[int, int]:
        """The group's offsets, of partitions that have one; empty where Kafka does not say."""
        try:
            return self._offsets.committed(self._member, range(self.settings.partitions))
        except (KafkaException, KafkaUnavailable):
            return {}  # the group's coordinator loads, or a transaction is open

    def await_projected(self, within: float = WITHIN) -> None:
        """Wait until the group's offsets are at the end of the interaction topic."""
        wanted = {number: end for number, end in self.offsets("").items() if end}
        wait_until(lambda: self.committed() == wanted, within, "all is projected", interval=0.2)

    def read(self, topic: str) -> list[Any]:
        """All committed records of a topic; those of a partition in their order."""
        consumer: Any = Consumer(
            {
                "bootstrap.servers": self.cluster,
                "group.id": f"count-{uuid.uuid4()}",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "logger": SILENT,
            }
        )
        ends = self._offsets.ends(topic, range(self.settings.partitions))
        consumer.assign([TopicPartition(topic, number, 0) for number in ends])
        found: list[Any] = []
        while ends:
            for message in consumer.consume(1_000, timeout=1.0):
                error = message.error()
                if error is None:
                    found.append(message)
                elif (
                    error.code() == KafkaError._PARTITION_EOF
                    # Behind an open transaction there is more to come.
                    and message.offset() >= ends.get(message.partition(), 0)
                ):
                    ends.pop(message.partition(), None)
        consumer.close()
        return found

    def count(self) -> Counted:
        """Both topics, held against the stream."""
        sent = {event.event_id: event for event in self.sent}
        seen = Counter(
            dict(message.headers())["ce_id"].decode() for message in self.read(self.once)
        )
        return Counted(
            missing=len(sent.keys() - seen.keys()),
            twice=sum(number - 1 for number in seen.values()),
            invented=len(seen.keys() - sent.keys()),
            wrong=self._wrong(),
        )

    def _wrong(self) -> list[str]:
        shown, expected = self.views(), self.expected()
        keys = shown.keys() | expected.keys()
        return sorted(key for key in keys if difference(shown.get(key), expected.get(key)))

    @property
    def once(self) -> str:
        """The once topic."""
        return self.settings.once_topic

    def views(self) -> dict[str, PublishedView]:
        """What a wallboard has that reads the topic of conversations from its beginning."""
        found: dict[str, PublishedView] = {}
        for message in self.read(self.settings.conversations_topic):
            key = message.key().decode()
            if message.value() is None:
                found.pop(key, None)
            else:
                found[key] = msgspec.json.decode(message.value(), type=PublishedView)
        return found

    def expected(self) -> dict[str, PublishedView]:
        """The library's fold of all that was sent, in the order of the log."""
        return folded(self.sent)


class Counted(msgspec.Struct):
    """What an independent consumer found. `wrong` are conversations whose view is not the fold."""

    missing: int
    twice: int
    invented: int
    wrong: list[str]


EXACT: Final = Counted(0, 0, 0, [])


def quick_cluster(folder: Path) -> Iterator[str]:
    """A broker that ends what is left open soon."""
    try:
        with KafkaCluster(folder, properties=QUICK) as cluster:
            yield cluster.bootstrap_servers
    except kafka_install.KafkaUnavailable as missing:
        unavailable(str(missing))


NewStage = Callable[..., Stage]
