"""Splits a snapshot into its participants, and finds those that changed since the last snapshot.

At every change Genesys sends the whole conversation again, ended legs included, and once for each
topic that it concerns. So most participants of a frame are byte for byte the same as in the frame
before. `recognise` compares digests of the bytes. An unchanged participant is neither decoded nor
compared, which saves most of the work on a frame (docs/performance.md).

Only the very last snapshot counts. A participant that returns to an older state (frames overtook
one another) differs from the last snapshot, and is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec

from mirror.conversation.normaliser.bodies import Communication, Participant
from mirror.conversation.normaliser.lengths import cut, is_suspect
from mirror.conversation.normaliser.memory import Known
from mirror.conversation.normaliser.words import ENDED, MEDIA_OF_ARRAY

# Arrays of objects that this version knows: the media of a participant, and what stands in their
# communications, segments among them. Any other may be a medium.
_BEFORE_OBJECTS: Final = frozenset(b"{ \n\r\t")
_KNOWN_ARRAYS: Final = (
    b"calls callbacks chats emails messages internalMessages videos screenshares cobrowsesessions "
    b"socialExpressions screenMonitorings content disconnectReasons draftAttachments events media "
    b"phoneNumberColumns scoredAgents skills stickers segments details errors".split()
)
_AS_GENESYS_WRITES: Final = tuple(b'"%b":' % name for name in _KNOWN_ARRAYS)

NAME_WITHIN: Final = 256  # bytes before an array that hold its name
# Names of unknown media go to the log and to a metric, so their number and length are bounded.
MAX_NAME: Final = 64
MAX_STRANGE: Final = 8  # per participant, and per snapshot
_OTHERS: Final = "others"

_OTHER_MEDIA: Final = tuple(MEDIA_OF_ARRAY.values())[1:]  # all media but calls


class Piece(msgspec.Struct, gc=False):
    """A participant to read, its communications, and its new entry in the memory."""

    participant: Participant
    shown: list[Communication]
    known: Known


class Snapshot(msgspec.Struct, gc=False):
    """The participants of one body.

    `changed` are the participants to read, `known` the new entries of all participants in the
    memory. `strange` are the names of media that this version does not know. `is_cut`: text was
    dropped because of its length.
    """

    changed: list[Piece] = []
    known: list[Known] = []
    strange: frozenset[str] = frozenset()
    is_cut: bool = False


def recognise(
    raws: Iterable[msgspec.Raw],
    last: Sequence[Known],
    decode: Callable[[msgspec.Raw], Participant],
) -> Snapshot:
    """Find the participants in `raws` that differ from the `last` ones at the same places.

    The rest keep their entries in `last`. Raises what `decode` raises. Digests are Python's hash of
    bytes: SipHash with a random key per process. Its 64 bits cannot be forged, and only a handful
    are compared.
    """
    found = Snapshot()
    changed, known = found.changed, found.known
    count = len(last)
    for place, raw in enumerate(raws):
        text = bytes(raw)
        digest = hash(text)
        if place < count and last[place].digest == digest:
            known.append(last[place])
            continue
        participant = decode(raw)
        shown = communications(participant)
        now = Known(digest)
        if is_suspect(text, len(shown)) and cut(participant):
            found.is_cut = True
        if not _are_known(text):
            strange = _strange(text)
            for name in strange:
                is_one_more = name in found.strange or len(found.strange) < MAX_STRANGE
                found.strange |= {name if is_one_more else _OTHERS}
            now.ended = not any(strange.values())
        changed.append(Piece(participant, shown, now))
        known.append(now)
    return found


def _are_known(text: bytes) -> bool:
    """Whether all arrays of objects in a participant are known."""
    start = text.find(b"[")
    while start >= 0:
        if (
            text[start + 1] in _BEFORE_OBJECTS
            and not text.endswith(_AS_GENESYS_WRITES, 0, start)
            and not _is_known(text, start)
        ):
            return False
        start = text.find(b"[", start + 1)
    return True


def _is_known(text: bytes, start: int) -> bool:
    """Whether the array of objects at `start` is known, or has no name of its own."""
    before = text[max(0, start - NAME_WITHIN) : start].rstrip()
    if not before.endswith(b":"):
        return True
    name = before[:-1].rstrip()[:-1].rpartition(b'"')
    return bool(name[1]) and name[2] in _KNOWN_ARRAYS


def _strange(raw: bytes) -> dict[str, bool]:
    """Name of an array that looks like an unknown medium → whether a leg in it is live."""
    participant: Any = msgspec.json.decode(raw)
    found: dict[str, bool] = {}
    for name, array in participant.items():
        if name.encode() in _KNOWN_ARRAYS or not isinstance(array, list):
            continue
        states = [
            item.get("state") for item in array if isinstance(item, dict) and item.get("state")
        ]
        if states:
            short = name[:MAX_NAME] if len(found) < MAX_STRANGE else _OTHERS
            found[short] = found.get(short, False) or any(state not in ENDED for state in states)
    return found


def whole(participants: Iterable[Participant] | None, is_cut: bool) -> Snapshot:
    """The snapshot of participants from a source that is never compared by bytes."""
    pieces = [
        Piece(participant, communications(participant), Known())
        for participant in participants or ()
    ]
    return Snapshot(pieces, [piece.known for piece in pieces], is_cut=is_cut)


def communications(participant: Participant) -> list[Communication]:
    """The communications of a participant, of all media."""
    shown = participant.calls or []
    non_calls = (
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
    if any(non_calls):
        shown = shown.copy()
        for place, array in enumerate(non_calls):
            if array:
                shown += array
                for communication in array:
                    communication.medium = _OTHER_MEDIA[place]
    return shown
