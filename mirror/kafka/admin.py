"""Creates and checks topics, and tells whether Kafka can be reached.

`check` and `ensure_topics` block up to their time-out and raise `KafkaUnavailable` with one line
that names the brokers. Both are for start-up and commands, never for the data path.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from mirror.base.errors import KafkaUnavailable
from mirror.base.log import logger
from mirror.base.units import counted
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import admin_config
from mirror.kafka.partition import leaderless
from mirror.kafka.spread import await_spread
from mirror.settings import Settings

# Interactions can be read again for a week; a dead letter waits a month for its reader.
RETENTION_MS: Final = 7 * 24 * 3_600_000
DEAD_LETTER_RETENTION_MS: Final = 30 * 24 * 3_600_000
DEAD_LETTER_PARTITIONS: Final = 3
# A projector that takes over a partition reads all of it. So the uncompacted part is kept small:
# the segments that wait for compaction, and the active segment, which Kafka never compacts.
COMPACTED: Final = {
    "cleanup.policy": "compact",
    "segment.bytes": str(64 * 1024 * 1024),
    "segment.ms": str(3_600_000),
    "min.cleanable.dirty.ratio": "0.2",
}
SPREAD_SECONDS: Final = 30.0
#: The end of the line that says that Kafka cannot be used.
SETTINGS_HINT: Final = " (see KAFKA_BOOTSTRAP_SERVERS and the KAFKA_* settings beside it)"
_ATTEMPT_SECONDS: Final = 5.0
_ATTEMPT_WATCHED_SECONDS: Final = 2.0  # a person at a terminal expects some output
_PAUSE_SECONDS: Final = 0.5

_log = logger("kafka.check")

Waiting = Callable[[str, str, float | None], object]
Outcome = Literal["created", "exists", "fewer_partitions", "more_partitions"]


class TopicState(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `ensure_topics` for a topic; `note` is for people, empty if all is well."""

    name: str
    outcome: Outcome
    partitions: int
    replication_factor: int
    note: str = ""

    def __str__(self) -> str:
        did = "created" if self.outcome == "created" else "is there"
        replicas = counted(self.replication_factor, "replica")
        size = f"{counted(self.partitions, 'partition')}, {replicas}"
        return f"{self.name} {did}: {size}{f' ({self.note})' if self.note else ''}"


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """A reachable cluster: its brokers, and topic → (partitions, replication).

    `addresses` are those that the brokers advertise, `host:port`. `leaderless` has the partitions
    without a leader of the topics that have such, `insync` for each topic the fewest replicas in
    sync of a partition with a leader.
    """

    brokers: int
    topics: dict[str, tuple[int, int]]
    addresses: tuple[str, ...] = ()
    leaderless: dict[str, tuple[int, ...]] = {}
    insync: dict[str, int] = {}

    def partitions(self, settings: Settings) -> dict[str, int]:
        """Existing topic of the mirror → its number of partitions."""
        topics = (settings.topic, settings.dead_letter_topic, settings.agents_topic)
        return {topic: self.topics[topic][0] for topic in topics if topic in self.topics}


def _reason(error: Any, log: ClientLog) -> str:
    cause = error.args[0] if isinstance(error, KafkaException) and error.args else error
    code = cause.code() if isinstance(cause, KafkaError) else None
    if code in {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}:
        return log.last_error or "no broker answers"
    return cause.str() if isinstance(cause, KafkaError) else str(cause)


def _unavailable(settings: Settings, reason: str) -> KafkaUnavailable:
    servers = settings.kafka.properties["bootstrap.servers"]
    return KafkaUnavailable(
        f"Kafka at {servers} cannot be used: {' '.join(reason.split())}{SETTINGS_HINT}"
    )


def _client(settings: Settings, log: ClientLog) -> AdminClient:
    return open_client(AdminClient, admin_config(settings), log)


def _cluster(
    client: AdminClient,
    settings: Settings,
    timeout: float,
    log: ClientLog,
    waiting: Waiting | None = None,
    attempt: float = _ATTEMPT_SECONDS,
) -> Cluster:
    """Ask until there is an answer or `timeout` seconds (0: for ever) have passed."""
    deadline = time.monotonic() + timeout if timeout else None
    while True:
        left = attempt if deadline is None else deadline - time.monotonic()
        try:
            answer = client.list_topics(timeout=max(0.1, min(attempt, left)))
        except KafkaException as error:
            client.poll(0)
            if deadline is not None and time.monotonic() + _PAUSE_SECONDS >= deadline:
                raise _unavailable(settings, _reason(error, log)) from error
            if waiting is not None:
                left = math.inf if deadline is None else deadline - time.monotonic()
                servers = settings.kafka.properties["bootstrap.servers"]
                waiting(servers, _reason(error, log), None if math.isinf(left) else left)
            time.sleep(_PAUSE_SECONDS)
            continue
        topics = {name: topic for name, topic in answer.topics.items() if topic.error is None}
        dead = {name: leaderless(topic.partitions) for name, topic in topics.items()}
        return Cluster(
            brokers=len(answer.brokers),
            addresses=tuple(_address(broker) for broker in answer.brokers.values()),
            topics={
                name: (
                    len(topic.partitions),
                    min((len(p.replicas) for p in topic.partitions.values()), default=0),
                )
                for name, topic in topics.items()
            },
            leaderless={name: tuple(sorted(numbers)) for name, numbers in dead.items() if numbers},
            insync={name: least for name, topic in topics.items() if (least := _insync(topic))},
        )


def _insync(topic: Any) -> int:
    """The fewest replicas in sync of a partition that has a leader, 0 if none has."""
    return min((len(p.isrs) for p in topic.partitions.values() if p.leader >= 0), default=0)


def _address(broker: Any) -> str:
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    return f"{host}:{broker.port}"


def check(settings: Settings, timeout: float) -> Cluster:
    """The cluster, within `timeout` seconds (0: wait for ever).

    Raises `KafkaUnavailable` if no broker answers or the cluster refuses us.
    """
    log = ClientLog("kafka.check")
    return _cluster(_client(settings, log), settings, timeout, log)


def check_topics(
    settings: Settings,
    timeout: float,
    *,
    agents: bool = False,
    waits: Callable[[str], object] = str,
) -> Cluster:
    """Like `check`, and wait for the mirror's topics; with `agents` also for the agents topic.

    `waits` is called with the reason, again and again while it lasts. Raises `KafkaUnavailable`
    that names the missing topic and the fix.
    """
    log = ClientLog("kafka.check")
    client = _client(settings, log)
    wanted = [settings.topic, settings.dead_letter_topic]
    if agents:
        wanted.append(settings.agents_topic)
    deadline = time.monotonic() + timeout if timeout else None
    told: list[str] = []

    def no_broker(_servers: str, reason: str, _left: float | None) -> None:
        waits(str(_unavailable(settings, reason)))

    while True:
        left = 0.0 if deadline is None else max(_PAUSE_SECONDS, deadline - time.monotonic())
        cluster = _cluster(client, settings, left, log, no_broker)
        missing = [name for name in wanted if name not in cluster.topics]
        if not missing:
            return cluster
        reason = (
            f"Kafka has no topic {' and no '.join(missing)}: `mirror init` makes what is missing"
        )
        if deadline is not None and time.monotonic() + _PAUSE_SECONDS >= deadline:
            raise KafkaUnavailable(reason)
        waits(reason)
        if missing != told:
            told = missing
            _log.warning("waiting_for_topics", topics=missing, cure="mirror init")
        time.sleep(_PAUSE_SECONDS)


def _wanted(
    settings: Settings, found: Mapping[str, tuple[int, int]], named: Sequence[str] = ()
) -> list[tuple[str, int, dict[str, str]]]:
    """The mirror's topics, with their partitions and configuration. `found` is the cluster now.

    With `MIRROR_PROJECTORS=0` nobody writes the projector's topics: then they are wanted only if
    they exist or are `named`.
    """
    events = _deleted(RETENTION_MS)
    # The projector's topics have as many partitions as their source.
    projected = found.get(settings.topic, (settings.partitions, 0))[0]
    wanted = [
        (settings.topic, settings.partitions, events),
        (settings.dead_letter_topic, DEAD_LETTER_PARTITIONS, _deleted(DEAD_LETTER_RETENTION_MS)),
    ]
    wanted += [
        (topic, projected, config)
        for topic, config in (
            (settings.once_topic, events),
            (settings.conversations_topic, COMPACTED),
        )
        if settings.has_projectors or topic in found or topic in named
    ]
    if settings.agents:
        wanted.append((settings.agents_topic, settings.partitions, events))
    return wanted


def _deleted(retention_ms: int) -> dict[str, str]:
    return {"cleanup.policy": "delete", "retention.ms": str(retention_ms)}


def ensure_topics(
    settings: Settings,
    timeout: float = 30.0,
    waiting: Waiting | None = None,
    named: Sequence[str] = (),
) -> list[TopicState]:
    """Create the mirror's missing topics. Safe to repeat; never changes an existing topic.

    The projector's topics are created if `MIRROR_PROJECTORS` is not 0, or if they are `named`.
    While no broker answers, `waiting` gets the servers, the reason and the seconds left (None: for
    ever) at each attempt. Returns once every broker that answers knows the topics, so that a
    process that starts now finds them. Raises `KafkaUnavailable` if the cluster cannot be reached,
    or refuses to create a topic.
    """
    log = ClientLog("kafka.init")
    client = _client(settings, log)
    attempt = _ATTEMPT_SECONDS if waiting is None else _ATTEMPT_WATCHED_SECONDS
    cluster = _cluster(client, settings, timeout, log, waiting, attempt)
    wanted = _wanted(settings, cluster.topics, named)
    states = [
        _found(name, partitions, cluster.topics[name])
        if name in cluster.topics
        else _create(client, settings, name, partitions, config, cluster.brokers, log)
        for name, partitions, config in wanted
    ]
    await_spread(
        settings, cluster.addresses, [state.name for state in states], timeout or SPREAD_SECONDS
    )
    return states


def replace_topics(settings: Settings, names: Sequence[str], timeout: float) -> list[TopicState]:
    """Delete the topics of these names, then create all missing topics.

    Raises `KafkaUnavailable` like `ensure_topics`, and if a topic cannot be deleted.
    """
    log = ClientLog("kafka.init")
    client = _client(settings, log)
    cluster = _cluster(client, settings, timeout, log)
    present = [name for name in names if name in cluster.topics]
    if present:
        for name, answer in client.delete_topics(present, request_timeout=20).items():
            try:
                answer.result(25)
            except (KafkaException, TimeoutError) as error:
                reason = f"{name} not deleted, {_reason(error, log) or 'no answer in time'}"
                raise _unavailable(settings, reason) from error
    deadline = time.monotonic() + SPREAD_SECONDS
    while set(present) & _cluster(client, settings, timeout, log).topics.keys():
        if time.monotonic() >= deadline:
            raise _unavailable(settings, f"{' and '.join(present)} not deleted in time")
        time.sleep(_PAUSE_SECONDS)
    return ensure_topics(settings, timeout, named=names)


def _found(name: str, wanted: int, found: tuple[int, int]) -> TopicState:
    partitions, replication = found
    outcome: Outcome = "exists"
    note = ""
    if partitions < wanted:
        outcome = "fewer_partitions"
        note = (
            f"fewer than MIRROR_PARTITIONS={wanted}; adding some moves conversations to other "
            "partitions, so it is left to you"
        )
    elif partitions > wanted:
        outcome = "more_partitions"
        note = f"more than MIRROR_PARTITIONS={wanted}, kept as it is"
    return TopicState(
        name=name,
        outcome=outcome,
        partitions=partitions,
        replication_factor=replication,
        note=note,
    )


def _create(
    client: AdminClient,
    settings: Settings,
    name: str,
    partitions: int,
    config: Mapping[str, str],
    brokers: int,
    log: ClientLog,
) -> TopicState:
    replication = max(1, min(settings.replication_factor, brokers))
    config = dict(config)
    if replication >= 3:
        # With acks=all an event then survives the loss of any one broker.
        config["min.insync.replicas"] = "2"
    topic = NewTopic(name, num_partitions=partitions, replication_factor=replication, config=config)
    outcome: Outcome = "created"
    try:
        client.create_topics([topic], operation_timeout=10, request_timeout=20)[name].result(25)
    except KafkaException as error:
        cause = error.args[0]
        if cause.code() != KafkaError.TOPIC_ALREADY_EXISTS:  # another `mirror init` was faster
            raise _unavailable(settings, f"{name} not created, {_reason(error, log)}") from error
        outcome = "exists"
    except TimeoutError as error:
        raise _unavailable(settings, f"{name} not created in time") from error
    note = ""
    if replication < settings.replication_factor:
        note = (
            f"asked for {settings.replication_factor}; the cluster has {counted(brokers, 'broker')}"
        )
    return TopicState(
        name=name,
        outcome=outcome,
        partitions=partitions,
        replication_factor=replication,
        note=note,
    )
