"""`mirror backfill`: lets the janitors read a stretch of the past again."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import redis

    from mirror.redis.keys import Keys
    from mirror.settings import Settings

_LOOK_SECONDS: Final = 0.5  # between two looks at the progress
_STEPS: Final = 1000


@click.command(short_help="Read a stretch of the past again, from REST.")
@click.option(
    "--since", required=True, help="From when: RFC 3339 (UTC), or an age such as 2h or 7d."
)
@click.option("--until", help="Until when, in the same forms; now if not given.")
@click.option(
    "--queue", "queues", multiple=True, help="Only this queue, by name or id; may be repeated."
)
@click.option(
    "--user", "users", multiple=True, help="Only this user, by name or id; may be repeated."
)
@click.option("--no-wait", is_flag=True, help="Do not wait: the janitors do the work.")
def backfill(
    since: str, until: str | None, queues: tuple[str, ...], users: tuple[str, ...], no_wait: bool
) -> None:
    """Read a stretch of the past from REST and produce its events, with `origin=backfill`.

    Back-filled events have the same `event_id` as live ones, so consumers drop the repeats. Name a
    mirrored queue or user by its name, its id or the beginning of its id. Name any other by its
    whole id.

    Takes at least MIRROR_ANALYTICS_LAG (5 minutes), because it reads Genesys' analytics a second
    time. Ctrl-C ends the waiting, not the work: the janitors continue.
    """
    from console.context import redis_of_settings
    from console.moments import epoch_ms
    from console.names import find_ids
    from console.render import say
    from mirror.base.units import counted
    from mirror.fleet.backfill import file_backfill, unmirrored

    now_ms = round(time.time() * 1000)
    since_ms = epoch_ms("--since", since, now_ms)
    until_ms = epoch_ms("--until", until, now_ms) if until else now_ms
    if since_ms >= until_ms:
        raise click.UsageError("the interval is empty: --since takes a time before --until.")
    with redis_of_settings() as (client, keys, settings):
        queues = find_ids(client, keys, "queues", "--queue", queues)
        users = find_ids(client, keys, "users", "--user", users)
        for missing in unmirrored(client, keys, queues=queues, users=users):
            say(f"{missing} is not mirrored: is the id right? It is filed all the same")
        filed = file_backfill(client, keys, since_ms, until_ms, queues=queues, users=users)
        ids = [gap.id for gap in filed]
        topics = sum(len(gap.topics) for gap in filed)
        say(f"filed {', '.join(ids)}: {counted(topics, 'topic')}")
        if not _janitor_works(client, keys, settings):
            say(
                "no janitor works, so nobody fills it yet: start `mirror janitor`, or see its log. "
                + ("It stays in the ledger" if no_wait else "Ctrl-C leaves it in the ledger")
            )
        if not no_wait:
            _follow(client, keys, ids)


def _janitor_works(client: redis.Redis, keys: Keys, settings: Settings) -> bool:
    """Whether a janitor reported lately."""
    from mirror.fleet.workers import janitor_silent_ms, list_workers, working
    from mirror.redis.clock import redis_now_ms

    silent_ms = janitor_silent_ms(settings.janitor_interval)
    return bool(working(list_workers(client, keys), "janitor", redis_now_ms(client), silent_ms))


def _follow(client: redis.Redis, keys: Keys, gap_ids: list[str]) -> None:
    """Show the progress of gaps until they are done. After Ctrl-C the janitors still go on.

    Analytics lags, so each gap is read a second time some minutes after the first.
    """
    from console.render import say
    from mirror.base.errors import MirrorError
    from mirror.base.units import counted
    from mirror.fleet.backfill import follow

    # No estimate of the time is shown, because most of the time is a wait that the share of the
    # work does not show.
    with click.progressbar(
        length=_STEPS, label="reading", file=sys.stderr, show_eta=False, show_percent=True
    ) as bar:
        while not (progress := follow(client, keys, gap_ids)).done:
            bar.label = "waiting for analytics" if progress.waiting else "reading"
            if progress.errors:
                bar.label = f"trying again ({progress.errors[0]})"
            bar.update(round(_STEPS * progress.share) - bar.pos)
            time.sleep(_LOOK_SECONDS)
        bar.update(_STEPS - bar.pos)
    if progress.state != "filled":
        reason = "; ".join(progress.errors) or "Genesys tells no more"
        raise MirrorError(f"not filled: {reason}; `mirror gaps` shows which")
    say(f"filled: {counted(progress.events, 'event')} read; those already in Kafka came as repeats")


COMMANDS = (backfill,)
