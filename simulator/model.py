"""One conversation as Genesys would hold it: participants, their legs, and what happens to them.

The model has every fact that any shape shows (notification, REST, analytics); `shapes` turns it
into bodies. Each change that is a transition of the event contract is noted in `pending`, and the
ledger takes it over once a frame shows it. Times are Genesys milliseconds. Pure.
"""

from __future__ import annotations

from typing import Any

import msgspec

ENDED_STATES = frozenset({"disconnected", "terminated"})
DIAL_STATES = frozenset({"dialing", "contacting", "offering"})
#: Purposes of people of the org; only their answered legs can be left by a `transfer` event.
STAFF_PURPOSES = frozenset({"agent", "user"})
#: The participant's array of each medium in nested shapes (section 5.2).
NESTED_ARRAY = {
    "call": "calls",
    "callback": "callbacks",
    "chat": "chats",
    "cobrowse": "cobrowsesessions",
    "email": "emails",
    "message": "messages",
    "internal_message": "internalMessages",
    "screen_monitoring": "screenMonitorings",
    "screenshare": "screenshares",
    "social_expression": "socialExpressions",
    "video": "videos",
}
PROVIDER = {
    "call": "Edge",
    "callback": "PureCloud Callback",
    "chat": "PureCloud Webchat v2",
    "email": "PureCloud Email",
    "message": "PureCloud Messaging",
}
DEFAULT_PROVIDER = "PureCloud"
#: Media whose communications have a `direction` in notifications; of others no frame tells it.
DIRECTED_MEDIA = frozenset({"call", "callback", "email", "message"})


class Span(msgspec.Struct):
    """A stretch of a leg's life, for REST segments and analytics: alert, interact, hold, ..."""

    kind: str
    start_ms: int
    end_ms: int | None = None


class Leg(msgspec.Struct, kw_only=True):
    """One communication of a participant."""

    id: str
    media: str
    state: str
    initial_state: str
    direction: str | None
    provider: str
    started_ms: int
    peer_id: str | None = None
    alerting_ms: int | None = None
    connected_ms: int | None = None
    ended_ms: int | None = None
    disconnect_type: str | None = None
    held: bool = False
    hold_ms: int | None = None
    confined: bool = False
    muted: bool = False
    park_ms: int | None = None
    resume_ms: int | None = None
    acw_required: bool = False
    transfer_source: str | None = None
    #: Further fields of the medium, in nested spelling and ready for JSON.
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    spans: list[Span] = msgspec.field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.ended_ms is not None


class Wrapup(msgspec.Struct):
    """The wrap-up code that an agent gave."""

    code: str
    name: str
    seconds: int
    end_ms: int
    notes: str | None = None


class Participant(msgspec.Struct, kw_only=True):
    """One party of a conversation; a re-alert or a transfer back makes a new one."""

    id: str
    purpose: str
    started_ms: int
    name: str | None = None
    address: str | None = None
    user_id: str | None = None
    queue_id: str | None = None
    connected_ms: int | None = None
    ended_ms: int | None = None
    wrapup_required: bool = False
    wrapup_prompt: str | None = None
    wrapup_timeout_ms: int | None = None
    wrapup: Wrapup | None = None
    acw_start_ms: int | None = None
    acw_end_ms: int | None = None
    alerting_timeout_ms: int | None = None
    consult_participant_id: str | None = None
    routing: dict[str, Any] | None = None
    media_roles: list[str] | None = None
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    legs: list[Leg] = msgspec.field(default_factory=list)


class Transition(msgspec.Struct, kw_only=True):
    """Something that happened and that a frame may or may not come to show."""

    event_type: str
    at_ms: int
    participant: Participant | None = None
    leg: Leg | None = None
    #: Start of the hold (hold, resume), or the time of the park or unpark.
    key_ms: int | None = None


class Transfer(msgspec.Struct, kw_only=True):
    """An entry of `recentTransfers`."""

    id: str
    state: str
    issued_ms: int
    initiator_user_id: str
    target_user_id: str | None
    attended: bool


class Conversation(msgspec.Struct, kw_only=True):
    """A conversation from its first leg to its last wrap-up."""

    id: str
    media: str
    direction: str
    started_ms: int
    division_id: str
    address: str | None = None
    external_tag: str | None = None
    ended_ms: int | None = None
    inactivity_ms: int | None = None
    participants: list[Participant] = msgspec.field(default_factory=list)
    transfers: list[Transfer] = msgspec.field(default_factory=list)
    #: Queues and users in the order in which they became involved; dicts serve as ordered sets.
    queues: dict[str, None] = msgspec.field(default_factory=dict)
    users: dict[str, None] = msgspec.field(default_factory=dict)
    pending: list[Transition] = msgspec.field(default_factory=list)
    #: The scenario has nothing more to do.
    finished: bool = False

    def live(self) -> bool:
        """Whether any communication of any participant is not ended."""
        return any(leg.ended_ms is None for p in self.participants for leg in p.legs)

    def add(self, participant: Participant) -> Participant:
        """Take a participant in, with the queues and users it brings."""
        self.participants.append(participant)
        if participant.queue_id is not None:
            self.queues.setdefault(participant.queue_id)
        if participant.user_id is not None:
            self.users.setdefault(participant.user_id)
        return participant

    def route(self, participant: Participant, queue_id: str) -> None:
        """The participant now belongs to a queue (a customer once it was routed)."""
        participant.queue_id = queue_id
        self.queues.setdefault(queue_id)

    def open_leg(self, participant: Participant, leg: Leg, now: int) -> Leg:
        """Add a leg in whatever state it has; notes alert, dial or answer."""
        participant.legs.append(leg)
        if leg.state == "alerting":
            leg.alerting_ms = now
            self._note("alert", now, participant, leg)
            _turn(leg, "alert", now)
        elif leg.state in DIAL_STATES:
            self._note("dial", now, participant, leg)
            _turn(leg, "dialing" if leg.state == "dialing" else "contacting", now)
        elif leg.state == "connected":
            self._connected(participant, leg, now)
        elif leg.state == "scheduled":
            _turn(leg, "scheduled", now)
        self.ended_ms = None
        return leg

    def ring(self, participant: Participant, leg: Leg, now: int) -> None:
        """A leg that existed (a scheduled callback) begins to alert."""
        leg.state = "alerting"
        leg.alerting_ms = now
        self._note("alert", now, participant, leg)
        _turn(leg, "alert", now)

    def answer(self, participant: Participant, leg: Leg, now: int) -> None:
        """The leg becomes connected."""
        leg.state = "connected"
        self._connected(participant, leg, now)

    def hold(self, participant: Participant, leg: Leg, now: int) -> None:
        """The leg's party puts the others on hold."""
        leg.held = True
        leg.hold_ms = now
        self._note("hold", now, participant, leg, now)
        _turn(leg, "hold", now)

    def resume(self, participant: Participant, leg: Leg, now: int) -> None:
        """The hold is over; `startHoldTime` disappears with it."""
        self._note("resume", now, participant, leg, leg.hold_ms)
        leg.held = False
        leg.hold_ms = None
        _turn(leg, "interact", now)

    def park(self, participant: Participant, leg: Leg, now: int) -> None:
        """An e-mail or message is set aside."""
        leg.state = "parked"
        leg.park_ms = now
        leg.resume_ms = None
        self._note("park", now, participant, leg, now)
        _turn(leg, "parked", now)

    def unpark(self, participant: Participant, leg: Leg, now: int) -> None:
        """A parked leg is taken up again."""
        leg.state = "connected"
        leg.resume_ms = now
        self._note("unpark", now, participant, leg, now)
        _turn(leg, "interact", now)

    def end_leg(
        self,
        participant: Participant,
        leg: Leg,
        disconnect_type: str,
        now: int,
        state: str = "disconnected",
    ) -> None:
        """The leg ends; the participant with it when it was the last one."""
        leg.state = state
        leg.ended_ms = now
        leg.disconnect_type = disconnect_type
        leg.held = False
        leg.hold_ms = None
        leg.confined = False
        if leg.spans and leg.spans[-1].end_ms is None:
            leg.spans[-1].end_ms = now
        self._note("disconnect", now, participant, leg)
        if participant.purpose in STAFF_PURPOSES and leg.connected_ms is not None:
            self._note("transfer", now, participant, leg)
        if all(other.ended for other in participant.legs):
            participant.ended_ms = now
        if not self.live():
            self.ended_ms = now

    def begin_acw(self, participant: Participant, leg: Leg, now: int) -> None:
        """After-call work of the participant begins (once)."""
        if participant.acw_start_ms is None:
            participant.acw_start_ms = now
            leg.acw_required = True
            self._note("acw", now, participant, leg)

    def wrap_up(self, participant: Participant, leg: Leg, code: str, name: str, now: int) -> None:
        """The agent gives a wrap-up code (once); after-call work is over."""
        if participant.wrapup is None:
            started = participant.acw_start_ms
            seconds = 0 if started is None else (now - started) // 1000
            participant.wrapup = Wrapup(code, name, seconds, now)
            if started is not None:
                participant.acw_end_ms = now
            self._note("wrapup", now, participant, leg)

    def _connected(self, participant: Participant, leg: Leg, now: int) -> None:
        leg.connected_ms = now
        if participant.connected_ms is None:
            participant.connected_ms = now
        self._note("answer", now, participant, leg)
        _turn(leg, "ivr" if participant.purpose == "ivr" else "interact", now)

    def _note(
        self,
        event_type: str,
        now: int,
        participant: Participant,
        leg: Leg,
        key_ms: int | None = None,
    ) -> None:
        self.pending.append(
            Transition(
                event_type=event_type, at_ms=now, participant=participant, leg=leg, key_ms=key_ms
            )
        )


def _turn(leg: Leg, kind: str, now: int) -> None:
    """Close the running span of a leg and begin another."""
    if leg.spans and leg.spans[-1].end_ms is None:
        leg.spans[-1].end_ms = now
    leg.spans.append(Span(kind, now))
