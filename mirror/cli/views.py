"""The mirror's state as people read it: one function for each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from mirror.cli.render import age, table

if TYPE_CHECKING:
    from mirror.status import ListenerStatus, MirrorStatus, ShardStatus

_STATE_COLOURS: Final = {
    "ok": "green",
    "live": "green",
    "degraded": "yellow",
    "rotating": "yellow",
    "opening": "yellow",
    "draining": "yellow",
    "closing": "yellow",
    "down": "red",
    "dead": "red",
    "lost": "red",
}


def state(word: str) -> str:
    """A state in its colour."""
    return click.style(word, fg=_STATE_COLOURS.get(word))


def status_text(status: MirrorStatus) -> str:
    """What `mirror status` prints."""
    head = " · ".join(
        (
            f"{click.style('Mirror', bold=True)} {state(status.health)}",
            f"leader {status.leader or 'none'}",
            f"{status.conversations.active} conversations active",
            f"{status.conversations.overdue} overdue",
            f"{status.gaps.open} gaps open",
            f"{status.gaps.filled} filled",
        )
    )
    reasons = [f"  {click.style('!', fg='yellow')} {reason}" for reason in status.reasons]
    parts = (listeners_text(status.listeners), shards_text(status.shards))
    return "\n".join([head, *reasons, *(line for part in parts for line in ("", part))])


def listeners_text(listeners: list[ListenerStatus]) -> str:
    """What `mirror listeners` prints."""
    return table(
        ("LISTENER", "HOST", "STATE", "CHANNELS", "LAST BEAT"),
        (
            (one.id, one.host, state(one.state), str(one.channels), age(one.last_beat_ms))
            for one in listeners
        ),
    )


def shards_text(shards: list[ShardStatus]) -> str:
    """What `mirror shards` prints: a line for each replica."""
    return table(
        ("SHARD", "TOPICS", "REPLICA", "STATE", "LISTENER", "CHANNEL", "CLIENT", "LAST FRAME"),
        (
            (
                shard.id,
                str(shard.topics),
                replica.replica,
                state(replica.state),
                replica.listener or "-",
                replica.channel or "-",
                replica.client or "-",
                age(replica.last_frame_ms),
            )
            for shard in shards
            for replica in shard.replicas
        ),
    )
