"""`mirror topics`: lists the mirrored topics by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from mirror.fleet.names import Family
    from mirror.fleet.topics import TopicView
    from mirror.settings import Settings

# How many of the latest events are searched for the last event of each topic: a second's work.
BACKLOG: Final = 20_000
_READ_SECONDS: Final = 15.0
# "a rotating, b rotating": those of both replicas are shown, however narrow the terminal is.
_TWO_STATES: Final = 22


@click.command(short_help="List mirrored queues and users by name.")
@click.option("--queue", help="Only queues with this name (a glob), id or beginning of an id.")
@click.option("--user", help="Only users with this name (a glob), id or beginning of an id.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def topics(queue: str | None, user: str | None, as_json: bool) -> None:
    """List mirrored queues and users by name, with shard, channels and last event.

    \b
    mirror topics --queue 'Support*'
    mirror topics --user 3067f15a

    The last event is searched among the latest events in Kafka. Users have names only with
    MIRROR_PII=keep.
    """
    from console.context import redis_of_settings
    from console.render import echo, echo_json
    from mirror.base.errors import KafkaUnavailable
    from mirror.fleet.topics import read_topics

    with redis_of_settings() as (client, _, settings):
        every = read_topics(client, settings)
    found = [topic for topic in every if _is_wanted(topic, queue, user)]
    _refuse_unknown(every, found, queue, user)
    oldest_ms: int | None = None
    problem: KafkaUnavailable | None = None
    try:
        oldest_ms = date_topics(settings, found) if found else None
    except KafkaUnavailable as error:
        problem = error
    if as_json:
        echo_json({"topics": found})
    else:
        echo(topics_text(found, oldest_ms))
    if problem is not None:
        raise problem


def _is_wanted(topic: TopicView, queue: str | None, user: str | None) -> bool:
    from mirror.fleet.topics import is_called

    if queue is None and user is None:
        return True
    wanted = queue if topic.kind == "queue" else user
    return wanted is not None and is_called(topic.name, topic.id, wanted)


def _refuse_unknown(
    every: list[TopicView], found: list[TopicView], queue: str | None, user: str | None
) -> None:
    """Raise `SettingsError` for a filter that matches nothing, as other commands do."""
    from console.names import no_such
    from mirror.base.errors import SettingsError

    families: tuple[tuple[Family, str, str | None], ...] = (
        ("queues", "--queue", queue),
        ("users", "--user", user),
    )
    for family, option, text in families:
        is_queue = family == "queues"
        if text is not None and not any((topic.kind == "queue") == is_queue for topic in found):
            count = len({topic.id for topic in every if (topic.kind == "queue") == is_queue})
            raise SettingsError(no_such(option, text, family, count))


def date_topics(settings: Settings, found: list[TopicView]) -> int | None:
    """Add to each topic the age of its last event. Returns the age of the oldest event that was
    read, None if there was no event.

    An event belongs to the topic that brought it, and to those of its queue and its agent: if both
    bring a transition, each listener produces it once. Raises `KafkaUnavailable`.
    """
    import time

    from mirror.conversation.times import epoch_ms
    from mirror.kafka.consume import latest_events

    last: dict[str, str] = {}
    oldest = ""
    for event in latest_events(settings, BACKLOG, _READ_SECONDS):
        oldest = min(oldest or event.received_at, event.received_at)
        for key in (event.source_topic, event.queue_id, event.agent_id):
            if key:
                last[key] = max(last.get(key, ""), event.received_at)
    now_ms = round(time.time() * 1000)
    for topic in found:
        # A user's states are events of another Kafka topic.
        told = max(
            last.get(topic.topic, ""), last.get(topic.id, "") if topic.kind != "states" else ""
        )
        topic.last_event_ms = max(0, now_ms - epoch_ms(told)) if told else None
    return max(0, now_ms - epoch_ms(oldest)) if oldest else None


def topics_text(found: list[TopicView], oldest_ms: int | None) -> str:
    """The output of `mirror topics`; `oldest_ms` is the age of the oldest searched event."""
    from console.render import NARROW, Column, age, joined, styled, table
    from console.views import state
    from mirror.base.units import counted

    def last(topic: TopicView) -> str:
        if topic.last_event_ms is not None:
            return age(topic.last_event_ms)
        return "?" if oldest_ms is None or topic.kind == "states" else f"over {age(oldest_ms)}"

    def channels(topic: TopicView) -> str:
        if topic.refused is not None:
            return "refused"
        states = {replica.state for replica in topic.replicas} or {"lost"}
        if len(states) == 1:
            return state(*states)
        return ", ".join(f"{replica.replica} {replica.state}" for replica in topic.replicas)

    shown = table(
        (
            "KIND",
            Column("NAME", 2 * NARROW),
            Column("ID", NARROW),
            Column("SHARD", NARROW, drop=1),
            Column("CHANNELS", _TWO_STATES),
            Column("LISTENERS", drop=2),
            "LAST EVENT",
        ),
        (
            (
                topic.kind,
                topic.name or "-",
                topic.id,
                topic.shard,
                channels(topic),
                ", ".join(f"{at.replica} {at.listener}" for at in topic.replicas if at.listener)
                or "-",
                last(topic),
            )
            for topic in found
        ),
        empty="No topic is mirrored: `mirror status` says why.",
    )
    if not found:
        return shown
    mark = styled("!", fg="yellow")
    refused = [
        joined(" ", (mark, f"{topic.name or topic.id}: {topic.refused}"))
        for topic in found
        if topic.refused
    ]
    return "\n".join([shown, *refused, "", counted(len(found), "topic")])


COMMANDS = (topics,)
