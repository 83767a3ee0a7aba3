"""`mirror conversations`: lists active conversations, or shows one leg by leg."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import redis

    from console.names import Called
    from mirror.conversation.course import Course
    from mirror.redis.keys import Keys
    from mirror.settings import Settings

# The longest time to read a partition for one conversation.
READ_SECONDS: Final = 30.0
# A record may be a little older than the start of its conversation: clocks differ.
MARGIN_MS: Final = 60_000
LOOK_BACK: Final = "1d"


@click.command(short_help="List active conversations, or show one, leg by leg.")
@click.argument("conversation_id", metavar="[ID]", required=False)
@click.option("--overdue", is_flag=True, help="Only conversations that are due for verification.")
@click.option("--queue", help="Only conversations with an open leg of this queue: its name or id.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option(
    "--since",
    metavar="T",
    help="How far back to look for ID: an age, or RFC 3339 (UTC). "
    f"[default: its start if it is active, else {LOOK_BACK}]",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def conversations(
    conversation_id: str | None,
    overdue: bool,
    queue: str | None,
    limit: int,
    since: str | None,
    as_json: bool,
) -> None:
    """List active conversations, soonest verification first, or show one, leg by leg.

    ID may be the beginning of an id; if several active conversations match, they are listed. To
    show an ended conversation give its whole id: its events are read from Kafka, as far as Kafka
    still has them. Times are UTC.

    In JSON, times are RFC 3339 as in events. `verification_due_at` is when a janitor will verify
    the conversation, null if it has ended. `more` says whether the list was cut at --limit.
    """
    import time

    from console.context import redis_of_settings
    from console.conversation_views import conversations_text, document
    from console.moments import epoch_ms
    from console.names import Called, find_ids, is_whole_id
    from console.render import echo, echo_json, say
    from mirror.fleet.names import Names
    from mirror.fleet.tracked import find_active, list_conversations, show_conversation

    now_ms = round(time.time() * 1000)
    since_ms = None if since is None else epoch_ms("--since", since, now_ms)
    with redis_of_settings() as (client, keys, settings):
        called = Called(Names(client, keys))
        if conversation_id is None:
            ids = find_ids(client, keys, "queues", "--queue", (queue,)) if queue else (None,)
            found = list(
                list_conversations(client, keys, overdue=overdue, queue=ids[0], limit=limit + 1)
            )
        else:
            whole = is_whole_id(conversation_id)
            matches = [] if whole else find_active(client, keys, conversation_id, limit + 1)
            if len(matches) < 2:
                found_id = matches[0] if matches else conversation_id
                _show_one(client, keys, settings, found_id, since_ms, called, as_json)
                return
            shown = (show_conversation(client, keys, match) for match in matches)
            found = [view for view in shown if view is not None]
        more = len(found) > limit
        del found[limit:]
        if as_json:
            echo_json({"conversations": [document(view) for view in found], "more": more})
        else:
            is_filtered = overdue or queue is not None
            echo(conversations_text(found, called, is_filtered=is_filtered))
        if more:
            say(f"mirror: only the first {limit} conversations: a higher --limit shows more")


def _show_one(
    client: redis.Redis,
    keys: Keys,
    settings: Settings,
    conversation_id: str,
    since_ms: int | None,
    called: Called,
    as_json: bool,
) -> None:
    """Show a conversation from the tracker and from Kafka.

    Raises `MirrorError` if neither knows it, and `KafkaUnavailable` after showing the tracker's
    part.
    """
    import time

    from console.conversation_views import course_document, course_text, tracked_course
    from console.moments import epoch_ms
    from console.names import is_whole_id
    from console.render import echo, echo_json
    from mirror.base.errors import KafkaUnavailable, MirrorError
    from mirror.conversation.course import course
    from mirror.conversation.times import show_ms
    from mirror.fleet.pinned import read_pinned
    from mirror.fleet.tracked import show_conversation
    from mirror.kafka.consume import conversation_events

    now_ms = round(time.time() * 1000)
    view = show_conversation(client, keys, conversation_id)
    if view is None and not is_whole_id(conversation_id):
        raise MirrorError(
            f"no active conversation begins with {conversation_id}. For an ended one, give the "
            f"whole id, or find it by `mirror tail --conversation {conversation_id} --since 2h`"
        )
    if since_ms is None and view is not None:
        since_ms = view.since_ms - MARGIN_MS
    elif since_ms is None:
        since_ms = epoch_ms("--since", LOOK_BACK, now_ms)
    problem: KafkaUnavailable | None = None
    found: Course | None = None
    try:
        found = course(
            conversation_events(
                settings, conversation_id, since_ms, READ_SECONDS, read_pinned(client, keys)
            )
        )
    except KafkaUnavailable as error:
        if view is None:
            raise
        problem = error
    if found is None and view is None:
        raise MirrorError(
            f"conversation {conversation_id} is not active, and Kafka has no event of it since "
            f"{show_ms(since_ms)}: a longer --since looks further back"
        )
    if found is None:
        assert view is not None
        found = tracked_course(view)
    for leg in found.legs:
        leg.queue_name = called.name("queues", leg.queue_id)
        leg.agent_name = called.name("users", leg.agent_id)
    if as_json:
        echo_json({"conversations": [course_document(found, view)]})
    else:
        echo(course_text(found, view.due_in_ms if view else None, show_ms(now_ms)))
    if problem is not None:
        raise problem


COMMANDS = (conversations,)
