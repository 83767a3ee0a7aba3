"""Checks of our Kafka user's rights: topics, the tracker's group, an idempotent producer.

The broker says which rights we have on topics and groups; the check writes nothing and joins no
group. No broker says whether a producer may be idempotent. So the check makes a producer, waits
until the brokers give it a producer id, and closes it without sending a record.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Producer, TopicCollection
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AclOperation,
    AdminClient,
)

from mirror.base.errors import EXIT_DEPENDENCY, MirrorError
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import producer_config
from mirror.settings import Settings

TIMEOUT_SECONDS: Final = 8.0
# A cluster that has just started gives out producer ids only after some seconds.
NUMBER_SECONDS: Final = 15.0
_STATISTICS_MS: Final = 100
_POLL_SECONDS: Final = 0.1
# States of librdkafka's idempotent producer: it has its id; it will never get one.
_NUMBERED: Final = "Assigned"
_REFUSED: Final = "FatalError"
_ENDS: Final = frozenset({_NUMBERED, _REFUSED})
_OF_TOPICS: Final = (AclOperation.READ, AclOperation.WRITE, AclOperation.DESCRIBE)
_OF_GROUPS: Final = (AclOperation.READ, AclOperation.DESCRIBE)
_HIDDEN: Final = frozenset(
    {KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
)
# A group's coordinator moves, or the offsets topic is just being created.
_UNSETTLED: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)
_PAUSE_SECONDS: Final = 0.5


class _Idempotence(msgspec.Struct, frozen=True):
    """How far the producer is in getting its producer id."""

    idemp_state: str = ""


class _Statistics(msgspec.Struct, frozen=True):
    """The part of librdkafka's statistics (its STATISTICS.md) that the check reads."""

    eos: _Idempotence = _Idempotence()


_statistics: Final = msgspec.json.Decoder(_Statistics).decode


def tracker_group(settings: Settings) -> str:
    """The consumer group of all coordinators, with the platform's prefix."""
    return f"{settings.kafka.prefix}mirror-{settings.namespace}-tracker"


def check_rights(settings: Settings, client: AdminClient, topics: list[str]) -> Iterator[Finding]:
    """Findings on our rights on `topics`, which exist, and on the tracker's group."""
    yield from topic_rights(client, topics)
    yield _group(settings, client)


def topic_rights(client: AdminClient, topics: list[str]) -> Iterator[Finding]:
    """Findings on our rights on `topics`, which exist."""
    if not topics:
        return
    try:
        described = client.describe_topics(
            TopicCollection(topics),
            include_authorized_operations=True,
            request_timeout=TIMEOUT_SECONDS,
        )
        allowed = {
            name: answer.result(TIMEOUT_SECONDS).authorized_operations
            for name, answer in described.items()
        }
    except (KafkaException, TimeoutError) as error:
        yield doubtful(
            "kafka.rights",
            "Kafka rights",
            f"this broker does not tell them ({reason(error)})",
            "none, where the mirror works",
        )
        return
    yield rights(allowed)


def rights(allowed: dict[str, list[AclOperation] | None]) -> Finding:
    """`allowed` is topic → operations that the broker allows us; None if it has no ACLs."""
    lacking = [
        f"{operation.name} on {topic}"
        for topic, operations in allowed.items()
        if operations is not None
        for operation in _OF_TOPICS
        if operation not in operations and AclOperation.ALL not in operations
    ]
    if lacking:
        return bad(
            "kafka.rights",
            "Kafka rights",
            f"lacks {', '.join(lacking)}",
            "kafka-acls --add for it: Read, Write, Describe on the topics",
            EXIT_DEPENDENCY,
        )
    return good("kafka.rights", "Kafka rights", "may read and write the topics")


def _group(settings: Settings, client: AdminClient) -> Finding:
    name = tracker_group(settings)
    try:
        allowed = _allowed_on_group(client, name)
    except (KafkaException, TimeoutError) as error:
        if _code(error) in _HIDDEN:
            return group(name, [], settings.kafka.prefix)
        return doubtful(
            "kafka.group",
            f"group {name}",
            f"this broker does not tell its rights ({reason(error)})",
            "none, where conversations are tracked",
        )
    return group(name, allowed, settings.kafka.prefix)


def _allowed_on_group(client: AdminClient, name: str) -> list[AclOperation] | None:
    """The operations that the group's coordinator allows; waits while a coordinator is elected."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            answer = client.describe_consumer_groups(
                [name], include_authorized_operations=True, request_timeout=TIMEOUT_SECONDS
            )[name]
            allowed: list[AclOperation] | None = answer.result(
                TIMEOUT_SECONDS
            ).authorized_operations
        except KafkaException as error:
            if _code(error) not in _UNSETTLED or time.monotonic() >= deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
        else:
            return allowed


def _code(error: Exception) -> int | None:
    cause = error.args[0] if isinstance(error, KafkaException) else None
    return int(cause.code()) if isinstance(cause, KafkaError) else None


def group(name: str, allowed: list[AclOperation] | None, prefix: str) -> Finding:
    """`allowed` are our operations on the tracker's group; None without ACLs.

    With a `prefix` of the platform, the platform's own command creates the group.
    """
    lacking = [
        operation.name
        for operation in _OF_GROUPS
        if allowed is not None and operation not in allowed and AclOperation.ALL not in allowed
    ]
    subject = f"group {name}"
    if not lacking:
        return good("kafka.group", subject, "coordinators may join it")
    cure = f"kafka-acls --add --operation Read --operation Describe --group {name}"
    if prefix:
        own = name.removeprefix(prefix)
        cure = f"heroku kafka:consumer-groups:create {own}; on a cluster of your own {cure}"
    return bad(
        "kafka.group",
        subject,
        f"lacks {' and '.join(lacking)}: no conversation is tracked, and no zombie found",
        cure,
        EXIT_DEPENDENCY,
    )


def check_idempotence(settings: Settings, seconds: float = NUMBER_SECONDS) -> Finding:
    """Whether the brokers give an idempotent producer its id within `seconds`."""
    log = ClientLog("kafka.doctor")
    state = ""

    def note(text: str) -> None:
        nonlocal state
        state = _statistics(text).eos.idemp_state

    config: dict[str, Any] = {
        **producer_config(settings, "doctor"),
        "statistics.interval.ms": _STATISTICS_MS,
        "stats_cb": note,
    }
    try:
        producer = open_client(Producer, config, log)
    except MirrorError as error:
        return _unusable("kafka.idempotence", "idempotent writing", error)
    deadline = time.monotonic() + seconds
    try:
        while state not in _ENDS and time.monotonic() < deadline:
            producer.poll(_POLL_SECONDS)
    except KafkaException as error:  # a refusal is fatal to the producer, and poll raises it
        return idempotence(_REFUSED, reason(error))
    return idempotence(state, log.last_error)


def idempotence(state: str, said: str) -> Finding:
    """`state` is the last state of librdkafka's idempotent producer, `said` its last error."""
    subject = "idempotent writing"
    if state == _NUMBERED:
        return good("kafka.idempotence", subject, "the brokers number our records")
    return bad(
        "kafka.idempotence",
        subject,
        f"the brokers give no producer id ({said or 'no answer in time'})",
        "kafka-acls --add --operation IdempotentWrite --cluster (before Kafka 2.8), or Write on "
        "the topics",
        EXIT_DEPENDENCY,
    )


def _unusable(check: str, subject: str, error: MirrorError) -> Finding:
    """librdkafka does not take the settings."""
    return bad(check, subject, str(error), "correct the KAFKA_* settings", error.exit_code)


def reason(error: Exception) -> str:
    """Why a call of Kafka failed, in a few words."""
    if not isinstance(error, KafkaException):
        return "no answer in time"
    cause = error.args[0]
    return f"{cause.name()}: {cause.str()}"
