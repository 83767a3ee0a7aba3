"""Makes both topics anew from the retained past: `mirror projector rebuild`.

It deletes both topics and makes them again, with as many partitions as the interaction topic has.
It also deletes the group's offsets, so the next projector begins with the oldest record. No
projector may run meanwhile: it would write its state of the old topics into the new ones.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from mirror.base.errors import KafkaUnavailable, MirrorError
from mirror.kafka.admin import TopicState, check, replace_topics
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import admin_config
from mirror.kafka.faults import cause
from mirror.kafka.projected import group_id
from mirror.settings import Settings

ANSWER_SECONDS: Final = 20.0
_GONE: Final = frozenset({KafkaError.GROUP_ID_NOT_FOUND, KafkaError.COORDINATOR_NOT_AVAILABLE})


def rebuild(settings: Settings) -> list[TopicState]:
    """Make both topics anew, and return their states.

    Raises `MirrorError` if a projector runs, and `KafkaUnavailable` if Kafka does not answer or
    refuses us.
    """
    cluster = check(settings, settings.startup_timeout)
    if settings.topic not in cluster.topics:
        raise KafkaUnavailable(
            f"Kafka has no topic {settings.topic}: there is nothing to rebuild from"
        )
    admin: Any = open_client(AdminClient, admin_config(settings), ClientLog("kafka.rebuild"))
    # Kafka deletes only a group without members, so this also checks that no projector runs.
    group = group_id(settings)
    try:
        # Wait until librdkafka knows the brokers. It then drops its first handle, and a request
        # that was sent through that handle would fail.
        admin.list_topics(timeout=ANSWER_SECONDS)
        admin.delete_consumer_groups([group], request_timeout=ANSWER_SECONDS)[group].result(
            ANSWER_SECONDS + 5
        )
    except (KafkaException, TimeoutError) as error:
        reason = cause(error)
        code = None if reason is None else reason.code()
        if code == KafkaError.NON_EMPTY_GROUP:
            raise MirrorError(
                f"projectors run, the group {group} has members: stop all of them (one that was "
                "killed counts for ten seconds more), and rebuild then"
            ) from error
        if code not in _GONE:
            text = "no answer in time" if reason is None else reason.str()
            raise KafkaUnavailable(f"the group {group} cannot be deleted: {text}") from error
    names = (settings.once_topic, settings.conversations_topic)
    made = replace_topics(settings, names, settings.startup_timeout)
    return [state for state in made if state.name in names]
