"""Who of the staff on a conversation does not serve: who monitors, coaches, barges, is consulted.

Genesys names the participant on whom somebody monitors, coaches or barges on the supervisor alone.
While a consultation lasts, the customer, who consults and who is consulted all carry the same
`consultParticipantId`, that of the customer; it goes away with the consultation. Who consults has
the attribute `consultInitiator` in the recorded frame; that he always has it, Genesys does not say
(docs/protocol.md, "Consultations"). Without it he is who served before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from mirror.conversation.event import STAFF, Role
from mirror.conversation.normaliser.bodies import Communication, ConsultMark, Participant
from mirror.conversation.normaliser.memory import Conversation, Known
from mirror.conversation.normaliser.snapshot import Piece
from mirror.conversation.normaliser.transition import ANSWER, View
from mirror.conversation.normaliser.words import ENDED
from mirror.conversation.times import instant

_SCREEN: Final = "screen_monitoring"
_AFTER_ALL: Final = "9"  # after every time


class Assigned(NamedTuple):
    """A role, and the participant whom it is about. Both null: this leg serves."""

    role: Role | None
    on: str | None


_SERVES: Final = Assigned(None, None)


def role_of(view: View, consulted: Collection[str]) -> Assigned:
    """The role of a leg; `consulted` are the participants who are consulted."""
    who = view.participant
    if who.barged_participant_id:
        return Assigned("barge", who.barged_participant_id)
    if who.coached_participant_id:
        return Assigned("coach", who.coached_participant_id)
    if who.monitored_participant_id:
        return Assigned("monitor", who.monitored_participant_id)
    if consulted and who.id in consulted:
        return Assigned("consult", who.consult_participant_id)
    if view.leg.medium == _SCREEN:
        return Assigned("monitor", None)
    return _SERVES


class Consultation(NamedTuple):
    """The ids of participants who are consulted.

    `is_left` says that the participant who consulted is gone. Whom he left serves, whatever keys
    are left.
    """

    consulted: Collection[str] = ()
    is_left: bool = False


_NONE: Final = Consultation()


def consultation(
    conversation: Conversation, changed: Sequence[Piece], known: Sequence[Known]
) -> Consultation:
    """Who in `changed` is consulted by somebody else."""
    for piece in changed:
        if piece.participant.consult_participant_id:
            break
    else:
        return _NONE
    parties = [
        piece
        for piece in changed
        if piece.participant.consult_participant_id and _is_party(piece.participant)
    ]
    if not parties:
        return _NONE
    serving = _serving(conversation)
    # Who served by an earlier leg may be consulted by whom he left: who serves now comes first.
    asks = {participant_id for participant_id, lives in serving.items() if lives} or set(serving)
    asking = [
        piece for piece in parties if _is_marked(piece.participant) or piece.participant.id in asks
    ]
    read = {piece.participant.id for piece in changed}
    served = any(lives and participant_id not in read for participant_id, lives in serving.items())
    if not asking and not served and (len(parties) > 1 or len(changed) == len(known)):
        first = min(parties, key=_connected)  # who consults is seen for the first time
        asking = [first] if _connected(first) != _AFTER_ALL else []
    if not any(is_live(piece.shown) for piece in asking) and not served:
        return Consultation(is_left=True)
    ids = {piece.participant.id for piece in parties} - {piece.participant.id for piece in asking}
    return Consultation({id_ for id_ in ids if id_})


def are_left(conversation: Conversation) -> bool:
    """Whether a live leg still has the role `consult`. Asked when the consultation was left."""
    return any(
        not leg.ended and leg.service is not None and leg.service.role == "consult"
        for leg in conversation.legs.values()
    )


def _is_party(participant: Participant) -> bool:
    return participant.consult_participant_id != participant.id and participant.purpose in STAFF


def _is_marked(participant: Participant) -> bool:
    attributes: Any = participant.attributes
    if isinstance(attributes, ConsultMark):
        return attributes.consult_initiator is not None
    return bool(attributes) and attributes.get("consultInitiator") is not None


def _serving(conversation: Conversation) -> dict[str | None, bool]:
    """Who talked before and was not consulted, and whether such a leg of his lives."""
    found: dict[str | None, bool] = {}
    for leg in conversation.legs.values():
        if leg.once & ANSWER and leg.service is not None and leg.service.role is None:
            who = leg.key.participant_id
            found[who] = found.get(who, False) or not leg.ended
    return found


def is_live(shown: Sequence[Communication]) -> bool:
    """Whether one of these communications has not ended."""
    return any((communication.state or "none") not in ENDED for communication in shown)


def _connected(piece: Piece) -> str:
    """When a participant was connected first; after every time where it was not."""
    times = [instant(communication.connected_time) for communication in piece.shown]
    return min((time for time in times if time), default=_AFTER_ALL)
