"""The commands that show state: status and its parts, gaps, the event's schema."""

from __future__ import annotations

import click

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.command()
@click.option("--check", is_flag=True, help="Exit with 1 if health is down.")
@as_json
def status(check: bool, as_json: bool) -> int:
    """Show health, listeners, shards, gaps and conversations."""
    from console.context import read_status
    from console.views import status_text
    from mirror.base.errors import EXIT_DONE, EXIT_FAILED
    from mirror.runtime.command import fail

    found = read_status()
    _show(found, as_json, status_text(found))
    if not check or found.health != "down":
        return EXIT_DONE
    return fail(f"the mirror is down: {'; '.join(found.reasons)}", EXIT_FAILED)


@click.command()
@as_json
def listeners(as_json: bool) -> None:
    """List the listeners and their beats."""
    from console.context import read_status
    from console.views import listeners_text

    found = read_status().listeners
    _show({"listeners": found}, as_json, listeners_text(found))


@click.command()
@as_json
def shards(as_json: bool) -> None:
    """List the shards and the channels of their replicas."""
    from console.context import read_status
    from console.views import shards_text

    found = read_status().shards
    _show({"shards": found}, as_json, shards_text(found))


@click.command(short_help="List the open channels, and when they expire.")
@as_json
def channels(as_json: bool) -> None:
    """List the open channels, with their traffic and the time until they expire."""
    from console.context import redis_of_settings
    from console.views import channels_text
    from mirror.fleet.status_reader import read_channels

    with redis_of_settings() as (client, _, settings):
        found = read_channels(client, settings)
    _show({"channels": found}, as_json, channels_text(found))


@click.command(short_help="List intervals that no socket covered, and their progress.")
@as_json
def gaps(as_json: bool) -> None:
    """List intervals in which topics were not covered, and their progress.

    KIND says why. gap: no channel received the topics, or their records were lost. snapshot: what
    was active before a topic was first received. recall: the tracker's data were lost. hand:
    `mirror backfill` asked for it.
    """
    from console.context import redis_of_settings
    from console.views import gaps_text
    from mirror.fleet.gaps import show_gaps
    from mirror.redis.clock import redis_now_ms

    with redis_of_settings() as (client, keys, _):
        found = show_gaps(client, keys, redis_now_ms(client))
    _show({"gaps": found}, as_json, gaps_text(found))


@click.command()
@click.option("--agents", is_flag=True, help="The schema of agents' states instead.")
@click.option("--view", is_flag=True, help="The schema of conversations' views instead.")
def schema(agents: bool, view: bool) -> None:
    """Print the JSON Schema of the event."""
    import json

    from console.render import echo
    from mirror.conversation.schema import agent_event_schema, event_schema, view_schema

    if agents and view:
        raise click.UsageError("--agents and --view belong to two topics: give one of them.")
    document = agent_event_schema() if agents else view_schema() if view else event_schema()
    echo(json.dumps(document, indent=2, ensure_ascii=False))


def _show(document: object, as_json: bool, text: str) -> None:
    from console.render import echo, echo_json

    if as_json:
        echo_json(document)
    else:
        echo(text)


COMMANDS = (status, listeners, shards, channels, gaps, schema)
