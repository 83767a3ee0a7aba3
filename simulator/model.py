"""A conversation as Genesys knows it, and all that can happen to it.

The model has every fact of every shape (notification, REST, analytics); `shapes` makes bodies of
it. Each change that is a transition of the event contract goes to `pending`, and to the ledger once
a frame shows it. Times are Genesys milliseconds. Pure.
"""

from __future__ import annotations

import msgspec

from simulator.parts import (
    DIAL_STATES,
    STAFF_PURPOSES,
    AfterCallWork,
    Leg,
    Participant,
    Span,
    Wrapup,
)

#: REST and analytics give a conversation its end this long after the last work on it
#: (docs/protocol.md, "Ends").
CLOSING_MS = 1_500
#: Span kinds of legs that wait in a state of the same name.
_WAITING_STATES = frozenset({"scheduled", "uploading", "converting"})


class Transition(msgspec.Struct, kw_only=True):
    """A change that a later frame may show."""

    event_type: str
    at_ms: int
    participant: Participant | None = None
    leg: Leg | None = None
    #: Start of the hold (hold, resume) or of the park (park, unpark).
    key_ms: int | None = None
    #: The wrap-up code.
    code: str | None = None


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
    #: The end of the last leg; after-call work may follow.
    ended_ms: int | None = None
    inactivity_ms: int | None = None
    #: The conversation that this one serves, and those that serve this one.
    associated_id: str | None = None
    consultations: list[str] = msgspec.field(default_factory=list)
    #: The conversation into which a merge took it; only analytics shows it.
    merged_into: str | None = None
    participants: list[Participant] = msgspec.field(default_factory=list)
    transfers: list[Transfer] = msgspec.field(default_factory=list)
    #: Queues and users in the order in which they became involved; dicts serve as ordered sets.
    queues: dict[str, None] = msgspec.field(default_factory=dict)
    users: dict[str, None] = msgspec.field(default_factory=dict)
    pending: list[Transition] = msgspec.field(default_factory=list)
    #: The scenario has nothing more to do.
    finished: bool = False
    #: `over_ms`, once the scenario has nothing more to do.
    settled_over_ms: int | None = None
    #: Filters of analytics that were judged after the end → the result.
    judged: dict[bytes, bool] = msgspec.field(default_factory=dict)

    def live(self) -> bool:
        """Whether any communication of any participant is not ended."""
        return any(leg.ended_ms is None for p in self.participants for leg in p.legs)

    @property
    def over_ms(self) -> int | None:
        """The end in REST and analytics: after all legs and all after-call work."""
        if self.settled_over_ms is not None:
            return self.settled_over_ms
        if self.ended_ms is None:
            return None
        last = self.ended_ms
        for leg in (leg for p in self.participants for leg in p.legs):
            if leg.working:
                return None
            if leg.acw is not None and leg.acw.end_ms is not None:
                last = max(last, leg.acw.end_ms)
        over = last + CLOSING_MS
        if self.finished:
            self.settled_over_ms = over
        return over

    def add(self, participant: Participant) -> Participant:
        """Add a participant, with its queues and users."""
        self.participants.append(participant)
        if participant.queue_id is not None:
            self.queues.setdefault(participant.queue_id)
        if participant.user_id is not None:
            self.users.setdefault(participant.user_id)
        return participant

    def route(self, participant: Participant, queue_id: str) -> None:
        """Move the participant and its live legs to a queue."""
        participant.queue_id = queue_id
        self.queues.setdefault(queue_id)
        for leg in participant.legs:
            if not leg.ended:
                leg.queue_id = queue_id
                if leg.spans:
                    leg.spans[-1].queue_id = queue_id

    def open_leg(self, participant: Participant, leg: Leg, now: int) -> Leg:
        """Add a leg in any state. Notes alert, dial or answer."""
        leg.queue_id = participant.queue_id
        participant.legs.append(leg)
        participant.ended_ms = None
        self.ended_ms = None
        if leg.state == "alerting":
            leg.alerting_ms = now
            self._note("alert", now, participant, leg)
            leg.turn("alert", leg.started_ms)
        elif leg.state in DIAL_STATES:
            self._note("dial", now, participant, leg)
            leg.turn("dialing" if leg.state == "dialing" else "contacting", now)
        elif leg.state == "connected":
            self._connected(participant, leg, now)
        elif leg.state in _WAITING_STATES:
            leg.turn(leg.state, now)
        return leg

    def answer(self, participant: Participant, leg: Leg, now: int) -> None:
        """The leg becomes connected."""
        leg.state = "connected"
        self._connected(participant, leg, now)

    def hold(self, participant: Participant, leg: Leg, now: int) -> None:
        """The leg's party puts the others on hold."""
        leg.held = True
        leg.hold_ms = now
        self._note("hold", now, participant, leg, now)
        leg.turn("hold", now)

    def resume(self, participant: Participant, leg: Leg, now: int) -> None:
        """The hold is over; `startHoldTime` disappears with it."""
        self._note("resume", now, participant, leg, leg.hold_ms)
        leg.held = False
        leg.hold_ms = None
        leg.turn("interact", now)

    def park(
        self, participant: Participant, leg: Leg, now: int, until_ms: int | None = None
    ) -> None:
        """An e-mail or message is set aside. `until_ms` is the planned end of the park."""
        leg.state = "parked"
        leg.park_ms = leg.parked_ms = now
        if until_ms is not None:
            leg.resume_ms = until_ms
        self._note("park", now, participant, leg, now)
        leg.turn("parked", now)

    def unpark(self, participant: Participant, leg: Leg, now: int, keys: str = "kept") -> None:
        """A parked leg is taken up again. Genesys does not document what becomes of its keys.

        `gone` both disappear, `kept` both stay, `park_kept` and `resume_kept` one of them.
        """
        leg.state = "connected"
        if keys not in ("kept", "park_kept"):
            leg.park_ms = None
        if keys not in ("kept", "resume_kept"):
            leg.resume_ms = None
        self._note("unpark", now, participant, leg, leg.parked_ms)
        leg.turn("interact", now)

    def end_leg(
        self,
        participant: Participant,
        leg: Leg,
        disconnect_type: str,
        now: int,
        state: str = "disconnected",
    ) -> None:
        """The leg ends. The participant ends with its last leg."""
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
        if all(sibling.ended for sibling in participant.legs):
            participant.ended_ms = now
        if not self.live():
            self.ended_ms = now

    def begin_acw(self, participant: Participant, leg: Leg, now: int) -> None:
        """After-call work of the leg begins."""
        leg.acw = AfterCallWork("pending", now)
        leg.acw_required = True
        self._note("acw", now, participant, leg)

    def end_acw(self, participant: Participant, leg: Leg, now: int) -> None:
        """After-call work of the leg is over, with or without a code."""
        if leg.acw is not None:
            leg.acw.state = "complete"
            leg.acw.end_ms = now
            self._note("acw_end", now, participant, leg)

    def choose(
        self, participant: Participant, leg: Leg, code: str, name: str, now: int, saved: bool
    ) -> None:
        """The agent chooses a wrap-up code, final or provisional."""
        began = now if leg.acw is None or leg.acw.start_ms is None else leg.acw.start_ms
        seconds = (now - began) // 1000
        leg.wrapups.append(Wrapup(code, name, now if saved else None, seconds))
        self._note("wrapup", now, participant, leg, code=code)

    def _connected(self, participant: Participant, leg: Leg, now: int) -> None:
        leg.connected_ms = now
        if participant.connected_ms is None:
            participant.connected_ms = now
        self._note("answer", now, participant, leg)
        leg.turn("ivr" if participant.purpose == "ivr" else "interact", now)

    def _note(
        self,
        event_type: str,
        now: int,
        participant: Participant,
        leg: Leg,
        key_ms: int | None = None,
        code: str | None = None,
    ) -> None:
        self.pending.append(
            Transition(
                event_type=event_type,
                at_ms=now,
                participant=participant,
                leg=leg,
                key_ms=key_ms,
                code=code,
            )
        )


def lead_in(leg: Leg, kind: str, length_ms: int) -> None:
    """The span before a call is connected: `system` or `delay`."""
    leg.started_ms -= length_ms
    leg.spans.append(Span(kind, leg.started_ms))
