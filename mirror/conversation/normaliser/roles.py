"""Finds the staff who do not serve: those who monitor, coach, barge in or are consulted.

If somebody monitors, coaches or barges in, only the supervisor's participant names the other one.
While a consultation lasts, the customer, the consulting and the consulted agent all carry the same
`consultParticipantId`, the customer's. It goes away with the consultation. In the recorded frame
the consulting agent has the attribute `consultInitiator`; Genesys does not say that this is always
so (docs/protocol.md, "Consultations"). Without the attribute, the agent who served before is taken
for the consulting one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, NamedTuple

from mirror.conversation.event import STAFF, Role
from mirror.conversation.normaliser.bodies import (
    Communication,
    ConsultMark,
    Participant,
    SessionCommunication,
)
from mirror.conversation.normaliser.memory import Conversation, Known
from mirror.conversation.normaliser.snapshot import Piece
from mirror.conversation.normaliser.transition import ANSWER, View
from mirror.conversation.normaliser.words import ENDED
from mirror.conversation.times import instant

_SCREEN: Final = "screen_monitoring"
_AFTER_ALL: Final = "9"  # after every time


class Assigned(NamedTuple):
    """A role, and the participant that it concerns. Both None: this leg serves."""

    role: Role | None
    on: str | None


_SERVES: Final = Assigned(None, None)


def role_of(view: View, consulted: Collection[str]) -> Assigned:
    """The role of a leg; `consulted` are the ids of participants who are consulted."""
    fields = supervisor(view.participant, view.communication)
    if fields.barged_participant_id:
        return Assigned("barge", fields.barged_participant_id)
    if fields.coached_participant_id:
        return Assigned("coach", fields.coached_participant_id)
    if fields.monitored_participant_id:
        return Assigned("monitor", fields.monitored_participant_id)
    participant = view.participant
    if consulted and participant.id in consulted:
        return Assigned("consult", participant.consult_participant_id)
    if view.leg.medium == _SCREEN:
        return Assigned("monitor", participant.screen_monitored_participant_id or None)
    return _SERVES


def supervisor(
    participant: Participant, communication: Communication
) -> Participant | SessionCommunication:
    """What names the participants that a leg monitors, coaches or barges in on."""
    return communication if isinstance(communication, SessionCommunication) else participant


class Consultation(NamedTuple):
    """The ids of participants who are consulted.

    `is_left`: the consulting agent is gone. The consulted agent serves now, whatever fields remain.
    """

    consulted: Collection[str] = ()
    is_left: bool = False


_NONE: Final = Consultation()


def consultation(
    conversation: Conversation, changed: Sequence[Piece], known: Sequence[Known]
) -> Consultation:
    """The participants in `changed` that somebody else consults."""
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
    # An agent who served by an earlier leg may now be consulted by his successor, so agents who
    # serve now come first.
    asks = {participant_id for participant_id, lives in serving.items() if lives} or set(serving)
    asking = [
        piece for piece in parties if _is_marked(piece.participant) or piece.participant.id in asks
    ]
    read = {piece.participant.id for piece in changed}
    served = any(lives and participant_id not in read for participant_id, lives in serving.items())
    if not asking and not served and (len(parties) > 1 or len(changed) == len(known)):
        first = min(parties, key=_connected)  # the consulting agent is seen for the first time
        asking = [first] if _connected(first) != _AFTER_ALL else []
    if not any(is_live(piece.shown) for piece in asking) and not served:
        return Consultation(is_left=True)
    ids = {piece.participant.id for piece in parties} - {piece.participant.id for piece in asking}
    return Consultation({id_ for id_ in ids if id_})


def are_left(conversation: Conversation) -> bool:
    """Whether a live leg still has the role `consult`, after the consulting agent left."""
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
    """Participant who served before → whether a serving leg of the participant is live."""
    found: dict[str | None, bool] = {}
    for leg in conversation.legs.values():
        if leg.once & ANSWER and leg.service is not None and leg.service.role is None:
            participant_id = leg.key.participant_id
            found[participant_id] = found.get(participant_id, False) or not leg.ended
    return found


def is_live(shown: Sequence[Communication]) -> bool:
    """Whether one of these communications has not ended."""
    return any((communication.state or "none") not in ENDED for communication in shown)


def _connected(piece: Piece) -> str:
    """When a participant was first connected; later than all times if it never was."""
    times = [instant(communication.connected_time) for communication in piece.shown]
    return min((time for time in times if time), default=_AFTER_ALL)
