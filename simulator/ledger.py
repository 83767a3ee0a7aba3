"""The ledger of truth: every transition that the simulator caused and a frame has shown. Pure.

A `Witness` looks at each frame that is about to leave and says which transitions it shows. What no
frame ever shows (a leg that rang and was answered between two snapshots) never enters the ledger,
because nobody could know of it. `start` belongs to the first frame with a live leg, `end` to the
frame in which every communication of every participant is ended.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

import msgspec

from simulator.clock import rfc3339
from simulator.model import DIAL_STATES, Conversation, Leg, Transition

DEFAULT_CAPACITY = 500_000


class Record(msgspec.Struct, kw_only=True):
    """One transition, as `/_sim/ledger` gives it; docs/simulator.md explains the fields."""

    seq: int
    conversation_id: str
    participant_id: str | None
    media_type: str | None
    communication_id: str | None
    event_type: str
    occurred_at: str
    hold_started_at: str | None = None
    park_time: str | None = None
    resume_time: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    purpose: str | None = None
    disconnect_type: str | None = None
    wrapup_code: str | None = None
    direction: str | None = None
    first_sent_ms: int | None = None
    #: A fault kept the frame that first showed it from every socket.
    swallowed: bool = False


class Ledger:
    """An append-only list of records, bounded: the oldest go first, and are counted."""

    def __init__(self, capacity: int = DEFAULT_CAPACITY) -> None:
        self._records: deque[Record] = deque(maxlen=capacity)
        self._next = 1
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def last_seq(self) -> int:
        return self._next - 1

    def append(self, conversation: Conversation, transition: Transition) -> Record:
        """Write a transition down as the frame that shows it has it."""
        participant, leg = transition.participant, transition.leg
        kind = transition.event_type
        key = None if transition.key_ms is None else rfc3339(transition.key_ms)
        record = Record(
            seq=self._next,
            conversation_id=conversation.id,
            participant_id=participant.id if participant else None,
            media_type=leg.media if leg else None,
            communication_id=leg.id if leg else None,
            event_type=kind,
            occurred_at=rfc3339(transition.at_ms),
            hold_started_at=key if kind in ("hold", "resume") else None,
            park_time=key if kind == "park" else None,
            resume_time=key if kind == "unpark" else None,
            agent_id=participant.user_id if participant else None,
            queue_id=participant.queue_id if participant else None,
            purpose=participant.purpose if participant else None,
            disconnect_type=leg.disconnect_type if leg else None,
            wrapup_code=participant.wrapup.code if participant and participant.wrapup else None,
            direction=leg.direction if leg else None,
        )
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
    ) -> list[Record]:
        """Records after `since_seq`, in order; the interval is of `occurred_at`, half open."""
        found: list[Record] = []
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


class Witness:
    """What the frames of one conversation have shown so far."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._started = False
        self._live = False
        #: In the ledger, but no frame that shows it has left on a socket yet.
        self._unsent: list[tuple[Transition, Record]] = []
        self._holds_seen: set[tuple[str, int | None]] = set()
        #: Records that a socket took, though their frame may leave later.
        self._taken: set[int] = set()
        #: Ends of answered staff legs, whose type may yet change to a transfer.
        self._perhaps: list[Transition] = []

    def look(self, ledger: Ledger) -> list[Record]:
        """Enter what the present snapshot shows; gives every unsent record that it shows."""
        conversation = self._conversation
        self._unsent = [pair for pair in self._unsent if pair[1].first_sent_ms is None]
        fresh, conversation.pending = [*self._perhaps, *conversation.pending], []
        self._perhaps = []
        live = conversation.live()
        if live and not self._started:
            self._started = True
            self._enter(ledger, Transition(event_type="start", at_ms=conversation.started_ms))
        for transition in fresh:
            if shows(transition) and self._known(transition):
                self._enter(ledger, transition)
                if transition.event_type == "hold" and transition.leg is not None:
                    self._holds_seen.add((transition.leg.id, transition.key_ms))
            elif transition.event_type == "transfer":
                self._perhaps.append(transition)
        if live:
            self._live = True
        elif self._live:
            self._live = False
            ended = max(leg.ended_ms or 0 for p in conversation.participants for leg in p.legs)
            self._enter(ledger, Transition(event_type="end", at_ms=ended))
        return [record for transition, record in self._unsent if self._visible(transition, live)]

    def taken(self, shown: list[Record]) -> None:
        """At least one socket took the frame that shows these."""
        self._taken.update(record.seq for record in shown if record.first_sent_ms is None)

    def _known(self, transition: Transition) -> bool:
        """A resume can only be told by somebody to whom the hold was shown."""
        if transition.event_type != "resume" or transition.leg is None:
            return True
        return (transition.leg.id, transition.key_ms) in self._holds_seen

    def _visible(self, transition: Transition, live: bool) -> bool:
        if transition.event_type == "start":
            return live
        if transition.event_type == "end":
            return not live
        if transition.event_type == "resume" and any(
            other.event_type == "hold"
            and other.leg is transition.leg
            and other.key_ms == transition.key_ms
            and record.first_sent_ms is None
            and record.seq not in self._taken
            for other, record in self._unsent
        ):
            return False  # the hold itself never reached anybody
        return shows(transition)

    def _enter(self, ledger: Ledger, transition: Transition) -> None:
        self._unsent.append((transition, ledger.append(self._conversation, transition)))


def shows(transition: Transition) -> bool:
    """Whether a snapshot taken now would show this transition of a leg."""
    participant, leg = transition.participant, transition.leg
    if participant is None or leg is None:
        return True
    kind = transition.event_type
    if kind == "alert":
        return leg.state == "alerting" and leg.alerting_ms == transition.at_ms
    if kind == "dial":
        return leg.state in DIAL_STATES
    if kind == "transfer":
        return leg.ended and (leg.disconnect_type or "").startswith("transfer")
    return _shows_time(kind, leg, transition)


def _shows_time(kind: str, leg: Leg, transition: Transition) -> bool:
    """The transitions that a snapshot shows by a time that it carries."""
    if kind == "hold":
        return leg.held and leg.hold_ms == transition.key_ms
    if kind == "resume":
        return not (leg.held and leg.hold_ms == transition.key_ms)
    if kind == "park":
        return leg.park_ms == transition.key_ms
    if kind == "unpark":
        return leg.resume_ms == transition.key_ms
    return True  # answer, disconnect, acw and wrapup stay in every later snapshot
