"""Checks whether analytics names legs as REST does. Pure.

Events from analytics have the ids of frames only if a session's id is the id of its communication
(docs/protocol.md, "Legs"). No public recording shows the same conversation from both. So the
janitor compares whenever it has both, and takes no events from analytics after a difference.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mirror.conversation.normaliser.bodies import Body
from mirror.conversation.normaliser.snapshot import communications
from mirror.genesys.shapes import AnalyticsConversation

ENOUGH: Final = 100  # compared conversations; more would show nothing new


class _Session(msgspec.Struct, rename="camel"):
    session_id: str | None = None


class _Shown(msgspec.Struct, rename="camel"):
    participant_id: str | None = None
    sessions: list[_Session] | None = None


_body: Final = msgspec.json.Decoder(Body)
_participants: Final = msgspec.json.Decoder(list[_Shown] | None)


class Agreement:
    """Counts the results of the comparisons."""

    def __init__(self) -> None:
        self._same = 0
        self._other = 0

    @property
    def holds(self) -> bool:
        """Whether no difference was seen, or more agreement than differences."""
        return self._other <= self._same

    def look(self, rest: bytes, analytics: AnalyticsConversation) -> None:
        """Compare the two answers on one conversation.

        Analytics lags and REST may show fewer legs, so one common leg of a participant is enough.
        """
        if self._same + self._other >= ENOUGH:
            return
        try:
            body = _body.decode(rest)
            shown = _participants.decode(analytics.participants)
        except msgspec.DecodeError:
            return  # its reader reports it
        sessions = {
            participant.participant_id: {
                session.session_id for session in participant.sessions or ()
            }
            for participant in shown or ()
        }
        both = [
            (ids, sessions[participant.id])
            for participant in body.participants or ()
            if (ids := {leg.id for leg in communications(participant)})
            and sessions.get(participant.id)
        ]
        if any(ids & others for ids, others in both):
            self._same += 1
        elif both:
            self._other += 1
