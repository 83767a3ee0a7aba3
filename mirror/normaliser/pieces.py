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
from operator import attrgetter
from typing import Final

import msgspec

from mirror.normaliser.bodies import Communication, Participant
from mirror.normaliser.memory import Known
from mirror.normaliser.words import MEDIA_OF_ARRAY

_MEDIA: Final = tuple(MEDIA_OF_ARRAY.values())
_arrays: Final = attrgetter(*MEDIA_OF_ARRAY)  # one call for all: most of them are always empty

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
        digest = hash(bytes(raw))
        before = next(last, None)
        if before is not None and before.digest == digest:
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
    return [
        (medium, position, communication)
        for medium, array in zip(_MEDIA, _arrays(participant), strict=True)
        if array
        for position, communication in enumerate(array)
    ]


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
