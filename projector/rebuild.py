"""Makes both topics anew from the retained past: `mirror projector rebuild`.

Both are deleted and made again, with as many partitions as the interaction topic has, and the
group's offsets are forgotten; the next projector begins with the oldest record. A projector that
ran meanwhile would write into the new topics what it keeps of the old ones, so none may.
"""

from __future__ import annotations

from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from mirror.base.errors import KafkaUnavailable, MirrorError
from mirror.kafka.admin import TopicState, check, replace_topics
from mirror.kafka.config import ClientLog, admin_config, open_client
from mirror.kafka.faults import cause
from mirror.kafka.projected import group_id
from mirror.settings import Settings

ANSWER_SECONDS: Final = 20.0
_GONE: Final = frozenset({KafkaError.GROUP_ID_NOT_FOUND, KafkaError.COORDINATOR_NOT_AVAILABLE})


def rebuild(settings: Settings) -> list[TopicState]:
    """What became of the topics.

    Raises `MirrorError` where a projector runs, and `KafkaUnavailable` where Kafka does not answer
    or refuses us.
    """
    cluster = check(settings, settings.startup_timeout)
    if settings.topic not in cluster.topics:
        raise KafkaUnavailable(
            f"Kafka has no topic {settings.topic}: there is nothing to rebuild from"
        )
    admin: Any = open_client(AdminClient, admin_config(settings), ClientLog("kafka.rebuild"))
    # A group without members alone can be deleted, so this is the check too.
    group = group_id(settings)
    try:
        # Else the request may be under way when librdkafka, which then knows the brokers, drops the
        # handle that it began with.
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
            why = "no answer in time" if reason is None else reason.str()
            raise KafkaUnavailable(f"the group {group} cannot be deleted: {why}") from error
    names = (settings.once_topic, settings.conversations_topic)
    made = replace_topics(settings, names, settings.startup_timeout)
    return [state for state in made if state.name in names]
