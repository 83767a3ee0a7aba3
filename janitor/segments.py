"""The segments of a conversation as analytics shows it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from mirror.genesys.shapes import AnalyticsConversation


class Segment(msgspec.Struct, rename="camel"):
    """A stretch of a leg: its type, and its end (RFC 3339), None while it is open."""

    segment_type: str | None = None
    segment_end: str | None = None


class _Session(msgspec.Struct):
    segments: list[Segment] | None = None


class _Participant(msgspec.Struct):
    purpose: str | None = None
    sessions: list[_Session] | None = None


_participants = msgspec.json.Decoder(list[_Participant] | None)


def read_segments(shown: AnalyticsConversation) -> Iterator[tuple[str | None, Segment]]:
    """Each segment, with its participant's purpose. Raises `msgspec.DecodeError`."""
    for participant in _participants.decode(shown.participants or b"null") or ():
        for session in participant.sessions or ():
            for segment in session.segments or ():
                yield participant.purpose, segment
