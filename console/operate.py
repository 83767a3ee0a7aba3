"""The commands that change state: topics, seats, channels."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from console import completion

_LOOK_SECONDS: Final = 0.5  # between two looks at the progress


@click.command()
@click.option(
    "--adopt-partitions",
    "adopts",
    is_flag=True,
    help="Use partitions that were added to the topics. Only while no process runs.",
)
def init(adopts: bool) -> None:
    """Create the Kafka topics. Safe to repeat.

    Conversations stay in the partitions that the mirror began with, even if a topic gets more.
    """
    from console.context import settings_of_environment
    from console.render import echo, filled, say
    from mirror.kafka.admin import ensure_topics
    from mirror.kafka.deadletters import what_is_kept

    settings = settings_of_environment()
    states = ensure_topics(settings, settings.startup_timeout, waiting=_Waiting())
    for topic in states:
        echo(str(topic))
    say(filled("", what_is_kept(settings)))
    if adopts:
        _adopt({state.name: state.partitions for state in states})


def _adopt(found: dict[str, int]) -> None:
    """Spread conversations over all existing partitions. No process may write meanwhile."""
    from console.context import redis_of_settings
    from console.render import echo
    from mirror.base.errors import MirrorError
    from mirror.fleet.pinned import adopt
    from mirror.fleet.status_reader import read
    from mirror.fleet.workers import janitor_silent_ms, list_workers, working
    from mirror.redis.clock import redis_now_ms

    with redis_of_settings() as (client, keys, settings):
        alive = [
            listener.id for listener in read(client, settings).listeners if listener.state != "dead"
        ]
        silent_ms = janitor_silent_ms(settings.janitor_interval)
        now_ms = redis_now_ms(client)
        janitors = working(list_workers(client, keys), "janitor", now_ms, silent_ms)
        alive += [f"janitor {janitor.name}" for janitor in janitors]
        if alive:
            raise MirrorError(
                f"{', '.join(alive)} still runs: stop all processes first, or conversations that "
                "live would have events in two partitions"
            )
        changed = adopt(client, keys, found, found)
    for topic, (before, now) in changed.items():
        echo(f"{topic}: conversations go to {now} partitions from the next start on, not {before}")
    if not changed:
        echo("no topic has partitions that are not used")


class _Waiting:
    """Tells a terminal that Kafka does not answer yet, and why, once for each reason."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, servers: str, reason: str, left: float | None) -> None:
        from console.render import filled, say

        if sys.stderr.isatty() and reason != self._told:
            self._told = reason
            patience = "until it answers" if left is None else f"{left:.0f} s left"
            say(filled("", f"waiting for Kafka at {servers} ({patience}): {reason}"))


@click.command()
@click.argument("listener", shell_complete=completion.listeners)
@click.option(
    "--wait", type=click.FloatRange(0), default=0.0, help="Seconds to wait until it is drained."
)
def drain(listener: str, wait: float) -> None:
    """Move all channels of LISTENER to others. Each is opened there before it is closed here.

    It receives no new channels until it is restarted, or until `mirror undrain LISTENER`.
    """
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.base.units import counted
    from mirror.fleet.requests import request_drain
    from mirror.fleet.status_reader import read

    with redis_of_settings() as (client, keys, settings):
        found = read(client, settings).listeners
        if listener not in {known.id for known in found}:
            raise MirrorError(f"there is no listener {listener}: `mirror listeners` shows them")
        request_drain(client, keys, listener)
        if not any(candidate.state == "live" and candidate.id != listener for candidate in found):
            say(
                f"{listener} has nowhere to go: no other listener takes channels. It keeps its own "
                f"until one does; `mirror undrain {listener}` ends this"
            )
        deadline = time.monotonic() + wait
        while wait:
            left = sum(
                status.channels
                for status in read(client, settings).listeners
                if status.id == listener
            )
            if not left:
                say(f"{listener} is drained")
                return
            if time.monotonic() > deadline:
                raise MirrorError(
                    f"{listener} still has {counted(left, 'channel')} after {wait:g} s: "
                    "`mirror status` says what the others lack"
                )
            time.sleep(_LOOK_SECONDS)
    say(f"{listener} will be drained; `mirror listeners` shows how far it is")


@click.command()
@click.argument("listener")
def undrain(listener: str) -> None:
    """Give LISTENER channels again after `mirror drain`.

    It gets channels when other channels end, or at once with `mirror rebalance`.
    """
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.fleet.requests import take_back_drain

    with redis_of_settings() as (client, keys, _):
        if not take_back_drain(client, keys, listener):
            raise MirrorError(
                f"{listener} is not drained: `mirror listeners` shows which listeners are"
            )
    say(f"{listener} may have channels again; `mirror rebalance` gives it some now")


@click.command()
def rebalance() -> None:
    """Spread the channels over all live listeners again."""
    from console.context import redis_of_settings
    from console.render import say
    from mirror.fleet.requests import request_rebalance

    with redis_of_settings() as (client, keys, _):
        request_rebalance(client, keys)
    say("rebalance requested; watch it with `mirror shards`")


@click.command(short_help="Replace a channel by a fresh one, without a gap.")
@click.argument("channel", shell_complete=completion.channels)
def rotate(channel: str) -> None:
    """Replace CHANNEL (its shortened id in `mirror channels`) by a fresh one, without a gap."""
    from console.context import redis_of_settings
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.fleet.requests import request_rotation
    from mirror.fleet.status_reader import read_channels
    from mirror.fleet.words import Seat

    with redis_of_settings() as (client, keys, settings):
        wanted = channel.rstrip("….")
        found = [
            row
            for row in read_channels(client, settings)
            if wanted and row.channel.rstrip("…").startswith(wanted)
        ]
        seats = {Seat(row.shard, row.replica) for row in found}
        if len(seats) != 1:
            many = "more than one channel is" if seats else "there is no channel"
            raise MirrorError(f"{many} {channel}: `mirror channels` shows them")
        request_rotation(client, keys, next(iter(seats)))
    say(f"rotation of {found[0].channel} requested; watch it with `mirror channels`")


COMMANDS = (init, drain, undrain, rebalance, rotate)
