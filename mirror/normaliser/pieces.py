"""A snapshot cut into its participants: which are as the last snapshot showed them, and which not.

Whenever anything changes, Genesys sends the whole conversation again, ended legs included, and once
for each topic that it concerns. So most participants of a frame are byte for byte as they were in
the frame before. `recognise` tells by a digest of the bytes: what is unchanged is neither decoded
nor compared, which is most of the work on a frame (docs/performance.md).

Only the very last snapshot counts. A participant that comes back to an older state (frames that
overtook one another) differs from it, and is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import compress
from typing import Final

import msgspec

from mirror.normaliser.bodies import Communication, Communications, Participant
from mirror.normaliser.memory import Known
from mirror.normaliser.words import MEDIA_OF_ARRAY

_MEDIA: Final = tuple(enumerate(MEDIA_OF_ARRAY.values()))
_UNKNOWN: Final = Known()  # equals no participant: it has no digest

Piece = tuple[Participant | None, Known]  # null where nothing changed; `Known` is then as it was
Shown = tuple[str, int, Communication]  # medium, position, what is shown of the leg


def recognise(
    raws: Iterable[msgspec.Raw],
    known: Sequence[Known],
    decode: Callable[[msgspec.Raw], Participant],
) -> list[Piece]:
    """The participants in `raws`, decoded where they differ from the `known` ones in their places.

    Raises what `decode` raises. Python's hash of bytes is SipHash under a key that each process
    draws: 64 bits that nobody can aim at, of which a handful are compared.
    """
    pieces: list[Piece] = []
    last = iter(known)
    for raw in raws:
        before = next(last, _UNKNOWN)
        digest = hash(bytes(raw))
        if before.digest == digest:
            pieces.append((None, before))
        else:
            pieces.append((decode(raw), Known(digest)))
    return pieces


def whole(participants: Iterable[Participant] | None) -> list[Piece]:
    """Participants of a source of which nothing is recognised again."""
    return [(participant, Known()) for participant in participants or ()]


def communications(participant: Participant, flat_medium: str | None) -> Sequence[Shown]:
    """What a participant shows of each of its legs: medium, position, communication."""
    if flat_medium is not None and participant.state is not None:
        return ((flat_medium, 0, _lifted(participant)),)
    arrays = _arrays(participant)
    return [
        (medium, position, communication)
        for index, medium in compress(_MEDIA, arrays)  # most of them are always empty
        for position, communication in enumerate(arrays[index] or ())
    ]


def _arrays(participant: Participant) -> tuple[Communications, ...]:
    """The communications of each medium, in the order of `MEDIA_OF_ARRAY`."""
    return (
        participant.calls,
        participant.callbacks,
        participant.chats,
        participant.emails,
        participant.messages,
        participant.internal_messages,
        participant.videos,
        participant.screenshares,
        participant.cobrowse_sessions,
        participant.social_expressions,
        participant.screen_monitorings,
    )


def _lifted(participant: Participant) -> Communication:
    """The communication whose fields the flat shape lifts up into its participant."""
    return Communication(
        state=participant.state,
        held=participant.held,
        start_hold_time=participant.start_hold_time,
        direction=participant.direction,
        disconnect_type=participant.disconnect_type,
        connected_time=participant.connected_time,
        disconnected_time=participant.end_time,
        park_time=participant.park_time,
        resume_time=participant.resume_time,
    )
