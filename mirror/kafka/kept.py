"""The kept state of a conversation: `mirror projector` stores it in a header of the view's record.

The projector writes this state and restores from it. A dashboard opens with it. It is a MessagePack
map of the fields below. A tombstone has only the fields of `Head`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from mirror.base.errors import MirrorError
from mirror.conversation.fold import ConversationView, LegView

KEPT_HEADER: Final = "mirror-kept"
# Rises if an older reader could not read the state, or would read it wrongly.
FORMAT: Final = 1
ID_BYTES: Final = 16


class UnknownFormat(MirrorError):
    """The kept state of a conversation was written by another version, or by another program."""


class Head(msgspec.Struct, frozen=True, gc=False):
    """The fields of every record, tombstones included.

    `offset` is the offset of the last folded record in the partition of the interaction topic.
    `ended_ms` is when the conversation ended, by the clock of its partition.
    """

    format: int
    offset: int
    ended_ms: int | None = None


class KeptLeg(LegView, kw_only=True, omit_defaults=True):
    """A leg, and since when it is in its present state."""

    since: str = ""


class Kept(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A conversation. `ids` holds the raw ids of its latest events, `ID_BYTES` each.

    `readings` holds the ids of events that were seen only as `snapshot` readings, each id
    backwards. The fold does not count them as seen, because the dated event may have the same id.
    No event happened after `latest_at`, no event of the older half of `ids` after `half_at`, no
    forgotten event after `forgotten_at`, and no event of a forgotten leg after `legs_forgotten_at`.
    Older versions wrote no `legs_forgotten_at`: then `forgotten_at` holds for these legs too.
    """

    format: int
    offset: int
    ended_ms: int | None = None
    id: str
    started_at: str | None = None
    over_at: str | None = None
    finalized: str | None = None
    linked: str | None = None
    is_active: bool = False
    joined_late: bool = False
    legs: list[KeptLeg] = msgspec.field(default_factory=list)
    ids: bytes = b""
    readings: bytes = b""
    latest_at: str = ""
    half_at: str = ""
    forgotten_at: str = ""
    legs_forgotten_at: str | None = None
    updated_at: str = ""
    events: int = 0

    def view(self) -> ConversationView:
        """The view without the ids of its events. Its legs are those of `legs`."""
        return ConversationView(
            id=self.id,
            state="active" if self.is_active else "ended",
            started_at=self.started_at,
            ended_at=self.over_at,
            finalized=self.finalized,
            linked_conversation_id=self.linked,
            joined_late=self.joined_late,
            legs={leg.key.name: leg for leg in self.legs},
            open=sum(not leg.ended for leg in self.legs),
        )


_encoder: Final = msgspec.msgpack.Encoder()
_head: Final = msgspec.msgpack.Decoder(Head)
_kept: Final = msgspec.msgpack.Decoder(Kept)


def kept_of(headers: Iterable[tuple[str, bytes | None]] | None) -> bytes:
    """What a record's headers hold of a conversation; empty if nothing."""
    return next((content or b"" for name, content in headers or () if name == KEPT_HEADER), b"")


def encode(kept: Kept | Head) -> bytes:
    """The content of the header."""
    return _encoder.encode(kept)


def read_head(content: bytes) -> Head:
    """The head of a kept conversation, or of a tombstone. Raises `UnknownFormat`."""
    try:
        head = _head.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unknown(str(error)) from error
    if head.format != FORMAT:
        raise _unknown(f"format {head.format}, this version reads {FORMAT}")
    return head


def read_kept(content: bytes) -> Kept:
    """A kept conversation whose head was read. Raises `UnknownFormat`."""
    try:
        return _kept.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _unknown(str(error)) from error


def _unknown(fault: str) -> UnknownFormat:
    return UnknownFormat(
        f"the kept state of a conversation cannot be read ({fault}): run the version that wrote "
        "it, or `mirror projector rebuild`"
    )
