"""Tables of the mirror's state: one function for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from console.render import NARROW, Column, age, facts, filled, joined, styled, table
from mirror.base.units import counted

if TYPE_CHECKING:
    from mirror.fleet.gaps import GapView
    from mirror.fleet.status import ChannelStatus, ListenerStatus, MirrorStatus, ShardStatus

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
    """A state with its colour."""
    return styled(word, fg=_STATE_COLOURS.get(word))


def status_text(status: MirrorStatus) -> str:
    """The output of `mirror status`."""
    head = facts(
        (
            joined(" ", (styled("Mirror", bold=True), state(status.health))),
            f"leader {status.leader or 'none'}",
            f"{counted(status.conversations.active, 'conversation')} active",
            f"{status.conversations.overdue:,} overdue",
            f"{counted(status.gaps.open, 'gap')} open",
            f"{status.gaps.filled} filled",
        ),
    )
    mark = styled("!", fg="yellow")
    reasons = [filled(joined("", ("  ", mark, " ")), reason) for reason in status.reasons]
    reasons += [filled("  · ", note) for note in status.notes]
    parts = (listeners_text(status.listeners), shards_text(status.shards))
    return "\n".join([head, *reasons, *(line for part in parts for line in ("", part))])


def listeners_text(listeners: list[ListenerStatus]) -> str:
    """The output of `mirror listeners`."""
    return table(
        (
            "LISTENER",
            Column("HOST", NARROW, drop=1),
            "STATE",
            Column("CHANNELS", drop=2),
            Column("NATIVE", drop=3),
            "LAST BEAT",
        ),
        (
            (
                listener.id,
                listener.host,
                state(listener.state),
                str(listener.channels),
                listener.native,
                age(listener.last_beat_ms),
            )
            for listener in listeners
        ),
        empty="No listener.",
    )


def shards_text(shards: list[ShardStatus]) -> str:
    """The output of `mirror shards`: a line for each replica."""
    return table(
        (
            Column("SHARD", NARROW),
            Column("TOPICS", drop=2),
            "REPLICA",
            "STATE",
            Column("LISTENER", 2 * NARROW),
            "CHANNEL",
            Column("CLIENT", NARROW, drop=1),
            "LAST FRAME",
        ),
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
        empty="No shard.",
    )


def channels_text(channels: list[ChannelStatus]) -> str:
    """The output of `mirror channels`."""
    return table(
        (
            "CHANNEL",
            "STATE",
            Column("SHARD", NARROW),
            Column("CLIENT", NARROW, drop=1),
            Column("TOPICS", drop=2),
            "FRAMES",
            "EVENTS",
            "EXPIRES",
            Column("ROTATE", NARROW),
        ),
        (
            (
                channel.channel or "-",
                state(channel.state),
                f"{channel.shard}/{channel.replica}",
                channel.client,
                str(channel.topics),
                f"{channel.frames:,}",
                f"{channel.events:,}",
                age(None if channel.expires_s is None else 1000 * channel.expires_s),
                channel.rotate or "-",
            )
            for channel in channels
        ),
        empty="No channel is open.",
    )


def gaps_text(gaps: list[GapView]) -> str:
    """The output of `mirror gaps`: the table, then why tried gaps are not filled."""
    shown = table(
        (
            Column("GAP", NARROW),
            Column("SHARD", NARROW),
            "KIND",
            Column("TOPICS", drop=2),
            "FROM",
            "TO",
            Column("STATE", NARROW),
            Column("ATTEMPTS", drop=3),
            Column("EVENTS", drop=1),
        ),
        (
            (
                gap.id,
                gap.shard,
                gap.kind,
                str(gap.topics),
                _second(gap.from_time),
                _end(gap),
                gap.state,
                str(gap.attempts),
                f"{gap.events:,}",
            )
            for gap in gaps
        ),
        empty="No gap is recorded.",
    )
    mark = styled("!", fg="yellow")
    errors = [joined(" ", (mark, f"{gap.id}: {error}")) for gap in gaps for error in gap.errors]
    return "\n".join([shown, *errors])


def _end(gap: GapView) -> str:
    if gap.lasts:
        return "now"
    return _second(gap.to)[11 if gap.to[:10] == gap.from_time[:10] else 0 :]


def _second(rfc3339: str) -> str:
    """A time to the second: people look for gaps by time."""
    return f"{rfc3339[:10]} {rfc3339[11:19]}Z"
