"""The mirror's state as people read it: one function for each table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from console.render import age, joined, styled, table

if TYPE_CHECKING:
    from mirror.fleet.gaps import GapView
    from mirror.fleet.status import ChannelStatus, ListenerStatus, MirrorStatus, ShardStatus
    from mirror.fleet.tracked import ConversationView, TrackedLegView

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
    return styled(word, fg=_STATE_COLOURS.get(word))


def status_text(status: MirrorStatus) -> str:
    """What `mirror status` prints."""
    head = joined(
        " · ",
        (
            joined(" ", (styled("Mirror", bold=True), state(status.health))),
            f"leader {status.leader or 'none'}",
            f"{status.conversations.active} conversations active",
            f"{status.conversations.overdue} overdue",
            f"{status.gaps.open} gaps open",
            f"{status.gaps.filled} filled",
        ),
    )
    mark = styled("!", fg="yellow")
    reasons = [joined(" ", (" ", mark, reason)) for reason in status.reasons]
    reasons += [joined(" ", (" ", "·", note)) for note in status.notes]
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


def channels_text(channels: list[ChannelStatus]) -> str:
    """What `mirror channels` prints."""
    return table(
        ("CHANNEL", "STATE", "SHARD", "CLIENT", "TOPICS", "FRAMES", "EVENTS", "EXPIRES", "ROTATE"),
        (
            (
                one.channel or "-",
                state(one.state),
                f"{one.shard}/{one.replica}",
                one.client,
                str(one.topics),
                f"{one.frames:,}",
                f"{one.events:,}",
                age(None if one.expires_s is None else 1000 * one.expires_s),
                one.rotate or "-",
            )
            for one in channels
        ),
    )


def conversations_text(conversations: list[ConversationView]) -> str:
    """What `mirror conversations` prints: a line for each, its open legs behind it."""
    return table(
        ("CONVERSATION", "DUE", "LEGS", "OPEN LEGS"),
        (
            (
                one.id,
                _due(one),
                str(len(one.legs) + one.legs_over),
                ", ".join(_leg_text(leg) for leg in one.legs) or "-",
            )
            for one in conversations
        ),
    )


def _leg_text(leg: TrackedLegView) -> str:
    """One open leg: who, on what, how it is; who does not serve is called by the role."""
    return f"{leg.role or leg.purpose} {leg.media_type} {leg.state}"


def gaps_text(gaps: list[GapView]) -> str:
    """What `mirror gaps` prints: below the table, why gaps are not filled that were tried."""
    shown = table(
        ("GAP", "SHARD", "TOPICS", "FROM", "TO", "STATE", "ATTEMPTS", "EVENTS"),
        (
            (
                one.id,
                one.shard,
                str(one.topics),
                one.from_time,
                one.to,
                one.state,
                str(one.attempts),
                f"{one.events:,}",
            )
            for one in gaps
        ),
    )
    mark = styled("!", fg="yellow")
    errors = [joined(" ", (mark, f"{one.id}: {error}")) for one in gaps for error in one.errors]
    return "\n".join([shown, *errors])


def _due(one: ConversationView) -> str:
    if one.due_ms is None:
        return "ended"
    if one.due_ms < 0:
        return styled(f"{age(-one.due_ms)} ago", fg="yellow")
    return f"in {age(one.due_ms)}"
