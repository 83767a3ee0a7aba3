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

from mirror.conversation.normaliser.bodies import Communication, Communications, Participant
from mirror.conversation.normaliser.memory import Known
from mirror.conversation.normaliser.words import MEDIA_OF_ARRAY

_CALL: Final = "call"
_OTHER_MEDIA: Final = tuple(MEDIA_OF_ARRAY.values())[1:]

Piece = tuple[Participant, Known]
Shown = tuple[str, int, Communication]  # medium, position, what is shown of the leg


def recognise(
    raws: Iterable[msgspec.Raw],
    last: Sequence[Known],
    decode: Callable[[msgspec.Raw], Participant],
) -> tuple[list[Piece], list[Known]]:
    """Those participants in `raws` that differ from the `last` ones in their places, and all.

    Of the rest it is known what `last` has of them. Raises what `decode` raises. Python's hash of
    bytes is SipHash under a key that each process draws: 64 bits that nobody can aim at, of which
    a handful are compared.
    """
    changed: list[Piece] = []
    known: list[Known] = []
    count = len(last)
    for place, raw in enumerate(raws):
        digest = hash(bytes(raw))
        if place < count and last[place].digest == digest:
            known.append(last[place])
        else:
            now = Known(digest)
            changed.append((decode(raw), now))
            known.append(now)
    return changed, known


def whole(participants: Iterable[Participant] | None) -> list[Piece]:
    """Participants of a source of which nothing is recognised again."""
    return [(participant, Known()) for participant in participants or ()]


def communications(participant: Participant, flat_medium: str | None) -> list[Shown]:
    """What a participant shows of each of its legs: medium, position, communication."""
    if flat_medium is not None and participant.state is not None:
        return [(flat_medium, 0, _lifted(participant))]
    shown = []
    if participant.calls:
        for position, communication in enumerate(participant.calls):
            shown.append((_CALL, position, communication))
    others = _others(participant)
    if any(others):
        for medium, array in compress(zip(_OTHER_MEDIA, others, strict=True), others):
            for position, communication in enumerate(array or ()):
                shown.append((medium, position, communication))
    return shown


def _others(participant: Participant) -> tuple[Communications, ...]:
    """The communications of each of `_OTHER_MEDIA`."""
    return (
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
