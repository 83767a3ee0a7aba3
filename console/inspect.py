"""The commands that look: status and its parts, conversations, gaps, the event's schema."""

from __future__ import annotations

import click

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.command()
@as_json
def status(as_json: bool) -> None:
    """Health, listeners, shards, gaps and conversations."""
    from console.context import read_status
    from console.views import status_text

    found = read_status()
    _show(found, as_json, status_text(found))


@click.command()
@as_json
def listeners(as_json: bool) -> None:
    """The listeners and their beats."""
    from console.context import read_status
    from console.views import listeners_text

    found = read_status().listeners
    _show({"listeners": found}, as_json, listeners_text(found))


@click.command()
@as_json
def shards(as_json: bool) -> None:
    """The shards and the channels of their replicas."""
    from console.context import read_status
    from console.views import shards_text

    found = read_status().shards
    _show({"shards": found}, as_json, shards_text(found))


@click.command()
@as_json
def channels(as_json: bool) -> None:
    """The channels that are open, with what they cost and brought."""
    from console.context import redis_of_settings
    from console.views import channels_text
    from mirror.fleet.status import read_channels

    with redis_of_settings() as (client, _, settings):
        found = read_channels(client, settings)
    _show({"channels": found}, as_json, channels_text(found))


@click.command()
@click.argument("conversation_id", required=False)
@click.option("--overdue", is_flag=True, help="Only those that are due for verification.")
@click.option("--queue", help="Only those with an open leg of this queue id.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@as_json
def conversations(
    conversation_id: str | None, overdue: bool, queue: str | None, limit: int, as_json: bool
) -> None:
    """The active conversations, the one that is due first first; or one of them."""
    from console.context import redis_of_settings
    from console.views import conversations_text
    from mirror.base.errors import MirrorError
    from mirror.fleet.tracked import list_conversations, show_conversation

    with redis_of_settings() as (client, keys, _):
        if conversation_id is None:
            found = list(
                list_conversations(client, keys, overdue=overdue, queue=queue, limit=limit)
            )
        else:
            one = show_conversation(client, keys, conversation_id)
            if one is None:
                raise MirrorError(
                    f"conversation {conversation_id} is not known: it never was, or it ended long "
                    "ago; the events in Kafka have it"
                )
            found = [one]
    _show({"conversations": found}, as_json, conversations_text(found))


@click.command()
@as_json
def gaps(as_json: bool) -> None:
    """Intervals in which topics were not covered, and how far each is filled."""
    from console.context import redis_of_settings
    from console.views import gaps_text
    from mirror.fleet.gaps import list_gaps, list_holes, redis_now_ms, view, view_hole

    with redis_of_settings() as (client, keys, _):
        found = [view(gap) for gap in list_gaps(client, keys)]
        now_ms = redis_now_ms(client)
        found += [view_hole(hole, now_ms) for hole in list_holes(client, keys)]
    _show({"gaps": found}, as_json, gaps_text(found))


@click.command()
@click.option("--agents", is_flag=True, help="That of the topic of agents' states instead.")
def schema(agents: bool) -> None:
    """Print the JSON Schema of the event."""
    import json

    from console.render import echo
    from mirror.conversation.schema import agent_event_schema, event_schema

    document = agent_event_schema() if agents else event_schema()
    echo(json.dumps(document, indent=2, ensure_ascii=False))


def _show(document: object, as_json: bool, text: str) -> None:
    from console.render import echo, echo_json

    if as_json:
        echo_json(document)
    else:
        echo(text)


COMMANDS = (status, listeners, shards, channels, conversations, gaps, schema)
