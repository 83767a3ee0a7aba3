"""The commands that change something: topics, seats, channels, gaps."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import redis

    from mirror.redis.keys import Keys

_LOOK: Final = 0.5  # seconds between two looks at what is under way
_STEPS: Final = 1000


@click.command()
def init() -> None:
    """Make the Kafka topics. Safe to repeat."""
    from console.context import warn_of_unread
    from console.render import echo, say
    from mirror.kafka.admin import ensure_topics
    from mirror.kafka.deadletters import what_is_kept
    from mirror.settings import load

    settings = load()
    warn_of_unread(settings)
    for topic in ensure_topics(settings, settings.startup_timeout):
        size = f"{topic.partitions} partitions, replication {topic.replication_factor}"
        did = "created" if topic.outcome == "created" else "is there"
        echo(f"{topic.name} {did}: {size}{f'. {topic.note}' if topic.note else ''}")
    say(what_is_kept(settings))


@click.command()
@click.argument("listener")
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
@click.argument("channel")
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


@click.command()
@click.option("--since", required=True, help="From when: a time in RFC 3339, or an age such as 2h.")
@click.option("--until", help="Until when; now, where not given.")
@click.option("--queue", "queues", multiple=True, help="Only this queue id; may be repeated.")
@click.option("--user", "users", multiple=True, help="Only this user id; may be repeated.")
@click.option("--no-wait", is_flag=True, help="File it and end; a janitor does the work.")
def backfill(
    since: str, until: str | None, queues: tuple[str, ...], users: tuple[str, ...], no_wait: bool
) -> None:
    """Read a stretch of the past from REST and produce what it tells, with `origin=backfill`.

    Ids are those of live events, so what is there already comes as repeats.
    """
    from console.context import redis_of_settings
    from console.moments import epoch_ms
    from console.render import say
    from mirror.fleet.backfill import file_backfill

    now_ms = round(time.time() * 1000)
    since_ms = epoch_ms("--since", since, now_ms)
    until_ms = epoch_ms("--until", until, now_ms) if until else now_ms
    with redis_of_settings() as (client, keys, _):
        filed = file_backfill(client, keys, since_ms, until_ms, queues=queues, users=users)
        ids = [gap.id for gap in filed]
        topics = sum(len(gap.topics) for gap in filed)
        say(f"filed {', '.join(ids)}: {topics} topics")
        if not no_wait:
            _follow(client, keys, ids)


def _follow(client: redis.Redis, keys: Keys, gap_ids: list[str]) -> None:
    """Show how far gaps are until they are done; Ctrl-C leaves the work to the janitors.

    Analytics lags, so each is read a second time some minutes after the first.
    """
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.fleet.backfill import follow

    with click.progressbar(length=_STEPS, label="reading", file=sys.stderr) as bar:
        while not (progress := follow(client, keys, gap_ids)).done:
            bar.label = "waiting for analytics" if progress.waiting else "reading"
            if progress.errors:
                bar.label = f"trying again ({progress.errors[0]})"
            bar.update(round(_STEPS * progress.share) - bar.pos)
            time.sleep(_LOOK)
        bar.update(_STEPS - bar.pos)
    if progress.state != "filled":
        why = "; ".join(progress.errors) or "Genesys tells no more"
        raise MirrorError(f"not filled: {why}; `mirror gaps` shows which")
    say(f"filled: {progress.events} events")


COMMANDS = (init, drain, rebalance, rotate, backfill)
