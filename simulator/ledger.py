"""The ledger of truth: every transition that the simulator caused and a frame has shown. Pure.

A `Witness` looks at each frame before it is sent, and finds the transitions that it shows. A
transition without a frame (a leg that rang and was answered between two snapshots) never enters the
ledger, because no reader could know of it. `start` belongs to the first frame with a live leg,
`end` to the first frame in which every communication of every participant has ended.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from simulator.clock import rfc3339
from simulator.model import Conversation, Transition
from simulator.parts import DIAL_STATES, NO_WORK, Leg, Participant

DEFAULT_CAPACITY = 500_000


class Truth(msgspec.Struct, kw_only=True):
    """One record of the ledger: a transition. docs/simulator.md explains the fields."""

    seq: int
    conversation_id: str
    participant_id: str | None = None
    media_type: str | None = None
    communication_id: str | None = None
    event_type: str
    occurred_at: str
    #: On `alert`: the start of its segment, a few milliseconds earlier.
    segment_at: str | None = None
    hold_started_at: str | None = None
    park_time: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    role: str | None = None
    role_participant_id: str | None = None
    linked_conversation_id: str | None = None
    merged_into: str | None = None
    purpose: str | None = None
    disconnect_type: str | None = None
    wrapup_code: str | None = None
    direction: str | None = None
    #: Whether a later code of the leg has replaced this code: then no body shows it any more.
    replaced: bool = False
    first_sent_ms: int | None = None
    #: Whether a fault kept the first frame with this transition from every socket.
    swallowed: bool = False


class Ledger:
    """A bounded list of records. New records replace the oldest, which are counted."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._records: deque[Truth] = deque(maxlen=capacity)
        self._next = 1
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def last_seq(self) -> int:
        """The number of the newest record, 0 if there is none."""
        return self._next - 1

    def append(self, conversation: Conversation, transition: Transition) -> Truth:
        """Enter a transition with the content of the frame that shows it."""
        participant, leg = transition.participant, transition.leg
        kind = transition.event_type
        key = None if transition.key_ms is None else rfc3339(transition.key_ms)
        record = Truth(
            seq=self._next,
            conversation_id=conversation.id,
            participant_id=participant.id if participant else None,
            media_type=leg.media if leg else None,
            communication_id=leg.id if leg else None,
            event_type=kind,
            occurred_at=rfc3339(transition.at_ms),
            segment_at=rfc3339(leg.started_ms) if leg and kind == "alert" else None,
            hold_started_at=key if kind in ("hold", "resume") else None,
            park_time=key if kind in ("park", "unpark") else None,
            linked_conversation_id=conversation.associated_id,
            merged_into=conversation.merged_into,
            wrapup_code=transition.code,
        )
        if participant is not None and leg is not None:
            _describe(record, participant, leg)
        self._next += 1
        if len(self._records) == self._records.maxlen:
            self.dropped += 1
        self._records.append(record)
        return record

    def read(
        self,
        since_seq: int = 0,
        limit: int = 1000,
        from_time: str | None = None,
        until_time: str | None = None,
        conversation_id: str | None = None,
    ) -> list[Truth]:
        """Records after `since_seq`, in order, with `occurred_at` in a half-open interval."""
        found: list[Truth] = []
        skip = max(0, since_seq - (self._next - 1 - len(self._records)))
        for record in islice(self._records, skip, None):
            if from_time is not None and record.occurred_at < from_time:
                continue
            if until_time is not None and record.occurred_at >= until_time:
                continue
            if conversation_id is not None and record.conversation_id != conversation_id:
                continue
            found.append(record)
            if len(found) >= limit:
                break
        return found


def _describe(record: Truth, participant: Participant, leg: Leg) -> None:
    """Fill the fields of participant and leg from the present state of frames."""
    if participant.purpose != "voicemail":  # its user owns the voicemail box, and talks to nobody
        record.agent_id = participant.user_id
    role = participant.role
    if role is not None:
        record.role, record.role_participant_id = role.name, role.participant_id
    record.queue_id = leg.queue_id
    record.purpose = participant.purpose
    record.disconnect_type = leg.disconnect_type
    record.direction = leg.direction


class Witness:
    """The transitions that the frames of a conversation have shown so far."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._started = False
        self._live = False
        #: Records of the ledger whose frame no socket has taken yet.
        self._unsent: list[tuple[Transition, Truth]] = []
        #: Holds and parks that a frame has shown, so their ends can be known.
        self._begun: set[tuple[str, str, int | None]] = set()
        #: Records that a socket took. A fault may still delay their frame.
        self._taken: set[int] = set()
        #: Transitions that a later frame may still show: an end whose type becomes a transfer, the
        #: code of a live leg.
        self._perhaps: list[Transition] = []
        #: The records of a leg's codes. A code that is saved for good later gets another time.
        self._codes: dict[str, dict[str | None, Truth]] = {}

    def look(self, ledger: Ledger) -> list[Truth]:
        """Enter the transitions of the present snapshot. Returns its unsent records."""
        conversation = self._conversation
        self._unsent = [pair for pair in self._unsent if pair[1].first_sent_ms is None]
        fresh, conversation.pending = [*conversation.pending, *self._perhaps], []
        self._perhaps = []
        live = conversation.live()
        if live and not self._started:
            self._started = True
            self._enter(ledger, Transition(event_type="start", at_ms=conversation.started_ms))
        for transition in fresh:
            if shows(transition) and self._known(transition):
                self._enter(ledger, transition)
            elif _may_show_yet(transition):
                self._perhaps.append(transition)
        if live:
            self._live = True
        elif self._live:
            self._live = False
            ended = max(leg.ended_ms or 0 for p in conversation.participants for leg in p.legs)
            self._enter(ledger, Transition(event_type="end", at_ms=ended))
        return [record for transition, record in self._unsent if self._visible(transition, live)]

    def taken(self, shown: list[Truth]) -> None:
        """Note that at least one socket took the frame with these records."""
        self._taken.update(record.seq for record in shown if record.first_sent_ms is None)

    def _known(self, transition: Transition) -> bool:
        """Whether readers can know the transition: the end of a hold or park needs a frame with its
        begin."""
        begin = _BEGIN.get(transition.event_type)
        if begin is None or transition.leg is None:
            return True
        return (begin, transition.leg.id, transition.key_ms) in self._begun

    def _visible(self, transition: Transition, live: bool) -> bool:
        if transition.event_type == "start":
            return live
        if transition.event_type == "end":
            return not live
        begin = _BEGIN.get(transition.event_type)
        if begin is not None and any(
            other.event_type == begin
            and other.leg is transition.leg
            and other.key_ms == transition.key_ms
            and record.first_sent_ms is None
            and record.seq not in self._taken
            for other, record in self._unsent
        ):
            return False  # no socket got the hold or park itself
        return shows(transition)

    def _enter(self, ledger: Ledger, transition: Transition) -> None:
        leg, kind = transition.leg, transition.event_type
        if leg is None:
            self._unsent.append((transition, ledger.append(self._conversation, transition)))
            return
        if kind == "wrapup" and self._chosen_again(leg, transition):
            return
        record = ledger.append(self._conversation, transition)
        self._unsent.append((transition, record))
        if kind == "wrapup":
            self._codes.setdefault(leg.id, {})[transition.code] = record
        if kind in _BEGIN.values():
            self._begun.add((kind, leg.id, transition.key_ms))

    def _chosen_again(self, leg: Leg, transition: Transition) -> bool:
        """Whether this code of the leg is in the ledger already. Marks the leg's other codes as
        replaced."""
        codes = self._codes.get(leg.id, {})
        for code, record in codes.items():
            record.replaced = code != transition.code
        known = codes.get(transition.code)
        if known is not None:
            known.occurred_at = rfc3339(transition.at_ms)
        return known is not None


#: Type of an end → type of its beginning.
_BEGIN = {"resume": "hold", "unpark": "park"}
#: Transfers by which the party of a leg left the conversation to others; see `_is_transfer`.
_CONSULT, _MERGE = "transfer.consult", "transfer.conference"


def shows(transition: Transition) -> bool:
    """Whether a snapshot taken now would show this transition of a leg."""
    participant, leg = transition.participant, transition.leg
    if participant is None or leg is None:
        return True
    if not participant.shows(leg):
        return False
    kind = transition.event_type
    if kind == "alert":
        return leg.state == "alerting" and leg.alerting_ms == transition.at_ms
    if kind == "dial":
        return leg.state in DIAL_STATES
    if kind == "transfer":
        return leg.ended and _is_transfer(participant, leg)
    if kind in ("hold", "resume", "park", "unpark"):
        return _shows_pause(kind, leg, transition)
    return _shows_work(kind, leg, transition)


def _is_transfer(participant: Participant, leg: Leg) -> bool:
    """Whether a party left: in a merge nobody leaves, in a consult only the agent who began it."""
    word = leg.disconnect_type or ""
    if participant.consulted_in_vain:
        return False
    if word == _MERGE or (word == _CONSULT and not participant.consult_initiator):
        return False
    return word.startswith("transfer")


def _shows_pause(kind: str, leg: Leg, transition: Transition) -> bool:
    """Whether a hold or park, or its end, shows now. A hold that ends with its leg has no end of
    its own."""
    if kind == "hold":
        return leg.held and leg.hold_ms == transition.key_ms
    if kind == "resume":
        return not leg.ended and not (leg.held and leg.hold_ms == transition.key_ms)
    parked = leg.state == "parked"
    if kind == "park":
        return parked and leg.parked_ms == transition.key_ms
    return not leg.ended and not parked


def _shows_work(kind: str, leg: Leg, transition: Transition) -> bool:
    """Whether after-call work or a code shows now. Answers and disconnects stay in every later
    snapshot."""
    acw = leg.acw
    if kind in ("acw", "acw_end"):
        at = None if acw is None else (acw.start_ms if kind == "acw" else acw.end_ms)
        return acw is not None and acw.state not in NO_WORK and at == transition.at_ms
    if kind == "wrapup":
        return leg.ended and leg.wrapup is not None and leg.wrapup.code == transition.code
    return True


def _may_show_yet(transition: Transition) -> bool:
    """Whether a later frame can show a transition that this frame does not."""
    leg = transition.leg
    if leg is None or transition.event_type not in ("transfer", "wrapup"):
        return False
    return transition.event_type == "transfer" or not leg.ended
