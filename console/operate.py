"""The commands that change something: topics, seats, channels."""

from __future__ import annotations

import time
from typing import Final

import click

from console import completion

_LOOK: Final = 0.5  # seconds between two looks at what is under way


@click.command()
def init() -> None:
    """Make the Kafka topics. Safe to repeat."""
    from console.context import warn_of_unread
    from console.render import echo
    from mirror.kafka.admin import ensure_topics
    from mirror.settings import load

    settings = load()
    warn_of_unread(settings)
    for topic in ensure_topics(settings, settings.startup_timeout):
        size = f"{topic.partitions} partitions, replication {topic.replication_factor}"
        did = "created" if topic.outcome == "created" else "is there"
        echo(f"{topic.name} {did}: {size}{f'. {topic.note}' if topic.note else ''}")


@click.command()
@click.argument("listener", shell_complete=completion.listeners)
@click.option("--wait", type=click.FloatRange(0), default=0.0, help="Seconds to wait for it.")
def drain(listener: str, wait: float) -> None:
    """Move all channels of LISTENER to others, each opened there before it is closed here.

    The listener gets none again until it is restarted.
    """
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.fleet.requests import wish_drain
    from mirror.fleet.status import read

    with redis_of_settings() as (client, keys, settings):
        if listener not in {one.id for one in read(client, settings).listeners}:
            raise MirrorError(f"there is no listener {listener}: `mirror listeners` shows them")
        wish_drain(client, keys, listener)
        deadline = time.monotonic() + wait
        while wait:
            left = sum(
                one.channels for one in read(client, settings).listeners if one.id == listener
            )
            if not left:
                say(f"{listener} is drained")
                return
            if time.monotonic() > deadline:
                raise MirrorError(
                    f"{listener} still has {left} channels after {wait:g} s: "
                    "`mirror status` says what the others lack"
                )
            time.sleep(_LOOK)
    say(f"{listener} will be drained; `mirror listeners` shows how far it is")


@click.command()
def rebalance() -> None:
    """Spread the channels anew over the listeners that live."""
    from console.context import redis_of_settings
    from console.render import say
    from mirror.fleet.requests import wish_rebalance

    with redis_of_settings() as (client, keys, _):
        wish_rebalance(client, keys)
    say("asked the leader; `mirror shards` shows what moves")


@click.command()
@click.argument("channel", shell_complete=completion.channels)
def rotate(channel: str) -> None:
    """Replace CHANNEL (as `mirror status` shortens it) by a fresh one, without a gap."""
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.fleet.requests import wish_rotation
    from mirror.fleet.status import read_channels

    with redis_of_settings() as (client, keys, settings):
        wanted = channel.rstrip("….")
        found = [
            one
            for one in read_channels(client, settings)
            if wanted and one.channel.rstrip("…").startswith(wanted)
        ]
        seats = {(one.shard, one.replica) for one in found}
        if len(seats) != 1:
            many = "more than one channel is" if seats else "there is no channel"
            raise MirrorError(f"{many} {channel}: `mirror channels` shows them")
        wish_rotation(client, keys, *next(iter(seats)))
    say(f"asked the leader to rotate {found[0].channel}; `mirror channels` shows it")


COMMANDS = (init, drain, rebalance, rotate)
