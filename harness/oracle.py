"""Compares the events in Kafka with the simulator's ledger of truth. Pure.

A transition of the ledger and an event match if their names are equal. The name has conversation,
participant, communication and event type. If a leg can have several transitions of a type, the name
also has the start of the hold, the time of the park, or the code. The oracle does not use
`event_id`, so a wrong identity shows as a duplicate or as a missing event. The only exception is
`unpark`: no field of the event says which park it ends, so its id does.

What it looks for
- missing: a transition that was sent on an open socket, and has no event;
- unseen: a transition that was never sent, because no socket was open, and has no event. REST can
restore it if it is `restorable`;
- invented: an event without a transition;
- flapped: the end of a true hold or park that really lasted until its leg ended. If frames overtake
one another, a frame from before the hold looks like a frame from after it (docs/protocol.md). So
this counts as wrong only if the frames came in order;
- altered: a record whose content certainly differs from its transition (`_altered`);
- disordered: a live event that comes after a later event of its leg (GUARANTEES.md, promise 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from mirror.conversation.event import Event
from mirror.conversation.legs import leg_key, transition_id
from simulator.ledger import Truth

Name = tuple[str, str, str, str, str]
_Place = tuple[int, str, bool]  # rank, start of the hold, whether this is the hold's end
_LegName = tuple[str, str | None, str | None]

_NOT_IN_LEDGER: Final = frozenset({"finalize"})
# Transitions that REST still shows if no frame of the conversation was received.
RESTORABLE: Final = frozenset({"start", "answer", "disconnect", "acw", "acw_end", "wrapup", "end"})
# Fields of both ledger and event. Not the disconnect type: Genesys changes it between snapshots.
_COMPARED: Final = ("media_type", "agent_id", "purpose", "hold_started_at")
# Purposes that have their queue from their first frame. A customer gets the queue later.
_OF_A_QUEUE: Final = frozenset({"acd", "agent", "user"})
_OVER: Final = {"hold": "resume", "park": "unpark"}
# No body has their times; only frames show them.
_WITNESSED: Final = frozenset({"dial", "alert"})
_RANK: Final = {
    "dial": 0,
    "alert": 0,
    "answer": 1,
    "hold": 2,
    "resume": 2,
    "park": 2,
    "unpark": 2,
    "disconnect": 3,
    "acw": 4,
    "acw_end": 5,
    "wrapup": 5,
}


class Difference(msgspec.Struct, frozen=True):
    """A record that differs from its transition."""

    event: Event
    field: str
    true: str | None


class Verdict(msgspec.Struct, kw_only=True):
    """The result of the comparison. `repeats` are records after the first of an `event_id`,
    `readings` events that are no transitions.
    """

    transitions: int
    records: int
    events: int
    repeats: int
    readings: int
    missing: list[Truth]
    unseen: list[Truth]
    invented: list[Event]
    flapped: list[Event]
    altered: list[Difference]
    disordered: list[Event]

    @property
    def clean(self) -> bool:
        """Whether Kafka has every shown transition, once by id, unaltered and in order.

        Flapped events do not count.
        """
        return not (self.missing or self.invented or self.altered or self.disordered)


def restorable(truth: Truth) -> bool:
    """Whether REST still shows the transition if no frame was received."""
    return truth.event_type in RESTORABLE and not truth.replaced


def judge(ledger: Iterable[Truth], events: Iterable[Event]) -> Verdict:
    """Compare the ledger with the consumed events, which are in the order of their partitions.

    Both must be complete for each of their conversations. Snapshot readings repeat a state. They
    are not transitions, and only count as records.
    """
    happened = list(ledger)
    consumed = list(events)
    first: dict[str, Event] = {}
    for event in consumed:
        first.setdefault(event.event_id, event)
    told = {name_of_event(event) for event in first.values()}
    truths = {name_of_truth(truth): truth for truth in happened}
    sent = [truth for truth in happened if truth.first_sent_ms is not None]
    reachable = {t.conversation_id for t in happened if t.agent_id or t.queue_id}
    pauses = {name_of_truth(_over(truth)) for truth in happened if truth.event_type in _OVER}
    strange = [
        event
        for event in first.values()
        if _is_transition(event) and name_of_event(event) not in truths
    ]
    return Verdict(
        transitions=len(sent),
        records=len(consumed),
        events=len(first),
        repeats=len(consumed) - len(first),
        readings=sum(not _is_transition(event) for event in first.values()),
        missing=[truth for truth in sent if name_of_truth(truth) not in told],
        unseen=[
            truth
            for truth in happened
            if truth.first_sent_ms is None
            and not truth.swallowed
            and truth.conversation_id in reachable  # without queue and user it has no topic
            and name_of_truth(truth) not in told
        ],
        invented=[event for event in strange if name_of_event(event) not in pauses],
        flapped=[event for event in strange if name_of_event(event) in pauses],
        altered=list(_altered(consumed, truths, _Certainty(happened))),
        disordered=list(disordered(first.values())),
    )


def _over(pause: Truth) -> Truth:
    """The transition that would end a hold or park."""
    return msgspec.structs.replace(pause, event_type=_OVER[pause.event_type])


def disordered(events: Iterable[Event]) -> Iterator[Event]:
    """Live events that come after a later event of their leg. Repeats were dropped before."""
    latest: dict[tuple[str, str, str], _Place] = {}
    for event in events:
        rank = _RANK.get(event.event_type)
        if rank is None or event.origin != "live":
            continue
        leg = (event.conversation_id, event.participant_id or "", event.communication_id or "")
        # Parks have no `hold_started_at`: they lie between answer and end.
        place = (rank, event.hold_started_at or "", event.event_type == "resume")
        if leg in latest and _before(place, latest[leg]):
            yield event
        else:
            latest[leg] = place


def _before(place: _Place, other: _Place) -> bool:
    if place[0] != other[0]:
        return place[0] < other[0]
    return bool(place[1] and other[1]) and place[1:] < other[1:]


def _is_transition(event: Event) -> bool:
    return event.origin != "snapshot" and event.event_type not in _NOT_IN_LEDGER


class _Certainty:
    """The facts that are certain from all transitions of a leg.

    A reader that joins late sees the latest role and queue of a participant, not former ones.
    """

    def __init__(self, truths: Iterable[Truth]) -> None:
        self._queues: dict[tuple[str, str | None], set[str | None]] = defaultdict(set)
        self._roles: dict[_LegName, set[str | None]] = defaultdict(set)
        self._codes: dict[_LegName, int] = defaultdict(int)
        self._ended: set[_LegName] = set()
        self._merged: dict[str, set[str | None]] = defaultdict(lambda: {None})
        for truth in truths:
            self._merged[truth.conversation_id].add(truth.merged_into)
            if truth.participant_id is None:
                continue
            leg = _leg(truth)
            self._queues[truth.conversation_id, truth.participant_id].add(truth.queue_id)
            self._roles[leg].add(truth.role)
            self._codes[leg] += truth.event_type == "wrapup"
            if truth.event_type == "disconnect":
                self._ended.add(leg)

    def queues(self, truth: Truth) -> frozenset[str | None] | None:
        """The queues that an event may have. None: any queue.

        If a participant was in several queues, and a leg ended before any reader saw it, its queue
        may be unknown. Another leg's queue is wrong.
        """
        if truth.purpose not in _OF_A_QUEUE:
            return None
        several = len(self._queues[truth.conversation_id, truth.participant_id]) > 1
        return frozenset({truth.queue_id, None} if several else {truth.queue_id})

    def links(self, truth: Truth, origin: str) -> frozenset[str | None]:
        """The conversations that an event may be linked with.

        Frames have the served conversation. REST has none. Analytics also has that of a merge.
        """
        linked = truth.linked_conversation_id
        if origin == "live":
            return frozenset({linked})
        return frozenset({linked, *self._merged[truth.conversation_id]})

    def role(self, truth: Truth, origin: str) -> bool:
        """Whether the role is certain: it never changed, or only readers that saw it report it."""
        if truth.event_type in _WITNESSED and origin == "live":
            return True
        constant = len(self._roles[_leg(truth)]) == 1
        return constant and (truth.role is None or _leg(truth) in self._ended)

    def dated(self, truth: Truth) -> bool:
        """Whether all sources have the same time. A code that was set again was saved several
        times."""
        return truth.event_type != "wrapup" or self._codes[_leg(truth)] == 1


def _leg(truth: Truth) -> _LegName:
    return truth.conversation_id, truth.participant_id, truth.communication_id


def _altered(
    events: Iterable[Event], truths: Mapping[Name, Truth], certain: _Certainty
) -> Iterator[Difference]:
    for event in events:
        truth = truths.get(name_of_event(event))
        if truth is None or event.origin == "snapshot":
            continue
        for field in _COMPARED:
            if getattr(event, field) != getattr(truth, field):
                yield Difference(event, field, getattr(truth, field))
        if truth.participant_id is not None:
            yield from _misdescribed(event, truth, certain)
        if event.linked_conversation_id not in certain.links(truth, event.origin):
            yield Difference(event, "linked_conversation_id", truth.linked_conversation_id)
        # Frames do not say when a conversation began: its start has the time of the first leg.
        if event.event_type == "start" or event.estimated or not certain.dated(truth):
            continue
        # Ringing has two times: of its segment, and of its communication.
        if event.occurred_at not in (truth.occurred_at, truth.segment_at):
            yield Difference(event, "occurred_at", truth.occurred_at)


def _misdescribed(event: Event, truth: Truth, certain: _Certainty) -> Iterator[Difference]:
    # Analytics has a direction for media whose communications have none.
    if event.direction != truth.direction and (event.origin == "live" or truth.direction):
        yield Difference(event, "direction", truth.direction)
    queues = certain.queues(truth)
    if queues is not None and event.queue_id not in queues:
        yield Difference(event, "queue_id", truth.queue_id)
    if certain.role(truth, event.origin):
        for field in ("role", "role_participant_id"):
            if getattr(event, field) != getattr(truth, field):
                yield Difference(event, field, getattr(truth, field))


def name_of_truth(truth: Truth) -> Name:
    """The name of a transition: it differs from all others."""
    occurrence = truth.hold_started_at or truth.park_time or ""
    if truth.event_type == "end":
        occurrence = truth.occurred_at
    elif truth.event_type == "wrapup":
        occurrence = truth.wrapup_code or ""
    elif truth.event_type == "unpark":
        leg = leg_key(truth.participant_id or "", truth.communication_id, truth.media_type or "")
        occurrence = transition_id(truth.conversation_id, leg, "unpark", truth.park_time or "")
    return _name(truth, occurrence)


def name_of_event(event: Event) -> Name:
    """The name of the transition in an event."""
    occurrence = event.hold_started_at or ""
    if event.event_type in {"park", "end"}:
        occurrence = event.occurred_at
    elif event.event_type == "wrapup":
        occurrence = event.wrapup_code or ""
    elif event.event_type == "unpark":
        occurrence = event.event_id
    return _name(event, occurrence)


def _name(told: Truth | Event, occurrence: str) -> Name:
    participant, communication = told.participant_id or "", told.communication_id or ""
    return (told.conversation_id, participant, communication, told.event_type, occurrence)
