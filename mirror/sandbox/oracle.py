"""Holds what came out of Kafka against the simulator's ledger of truth. Pure.

A transition of the ledger is matched by what names it in both: conversation, participant, medium
and event type, and for what a leg can have several of, its Genesys time. The oracle knows nothing
of `event_id`, so a wrong identity shows as a duplicate or as something missing.

What it looks for
- missing: a transition that left on an open socket, and is not among the events;
- unseen: one that never left on a socket, because none was open, and is not among the events
  either. REST can restore it where its kind is in `RESTORABLE`;
- invented: an event that is nobody's truth;
- altered: a record whose content differs from its truth (the fields of `_COMPARED`);
- disordered: a live event that comes behind a later one of its leg (GUARANTEES.md, promise 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from mirror.conversation.event import Event

Name = tuple[str, str, str, str, str]
_Place = tuple[int, str, bool]  # rank, start of the hold, whether it is its end

# After-call work and wrap-up belong to the participant, whatever the medium.
_OF_PARTICIPANT: Final = frozenset({"acw", "wrapup"})
_NOT_IN_LEDGER: Final = frozenset({"finalize"})
# What REST still tells of a conversation whose frames nobody received.
RESTORABLE: Final = frozenset({"start", "answer", "disconnect", "acw", "wrapup", "end"})
# Fields that ledger and event share. Not the disconnect type, which Genesys changes between two
# snapshots, nor the queue of a leg that was not yet in one when it was first shown.
_COMPARED: Final = ("agent_id", "purpose", "direction", "hold_started_at")
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
    "wrapup": 5,
}


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the simulator's ledger; docs/simulator.md explains the fields."""

    seq: int
    conversation_id: str
    event_type: str
    occurred_at: str
    participant_id: str | None = None
    media_type: str | None = None
    communication_id: str | None = None
    hold_started_at: str | None = None
    park_time: str | None = None
    resume_time: str | None = None
    agent_id: str | None = None
    queue_id: str | None = None
    purpose: str | None = None
    direction: str | None = None
    wrapup_code: str | None = None
    first_sent_ms: int | None = None
    swallowed: bool = False


class Difference(msgspec.Struct, frozen=True):
    """A record that says something else than its truth."""

    event: Event
    field: str
    true: str | None


class Verdict(msgspec.Struct, kw_only=True):
    """What the comparison found. `duplicates` are records beyond the first of an `event_id`."""

    transitions: int
    records: int
    events: int
    duplicates: int
    missing: list[Truth]
    unseen: list[Truth]
    invented: list[Event]
    altered: list[Difference]
    disordered: list[Event]

    @property
    def clean(self) -> bool:
        """Whether all that was shown is in Kafka, once by id, as it was, and in order."""
        return not (self.missing or self.invented or self.altered or self.disordered)


def judge(ledger: Iterable[Truth], events: Iterable[Event]) -> Verdict:
    """Compare what happened with the events that were consumed, in the order of their partitions.

    Both must be whole for every conversation that they speak of. Snapshot readings repeat a state
    and are no transitions; they count as records only.
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
    transitions = [event for event in first.values() if _is_transition(event)]
    return Verdict(
        transitions=len(sent),
        records=len(consumed),
        events=len(first),
        duplicates=len(consumed) - len(first),
        missing=[truth for truth in sent if name_of_truth(truth) not in told],
        unseen=[
            truth
            for truth in happened
            if truth.first_sent_ms is None
            and not truth.swallowed
            and truth.conversation_id in reachable  # without queue and user it has no topic
            and name_of_truth(truth) not in told
        ],
        invented=[event for event in transitions if name_of_event(event) not in truths],
        altered=list(_altered(consumed, truths)),
        disordered=list(disordered(first.values())),
    )


def disordered(events: Iterable[Event]) -> Iterator[Event]:
    """Live events that come behind a later one of their leg. Repeats are dropped before."""
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


def _altered(events: Iterable[Event], truths: dict[Name, Truth]) -> Iterator[Difference]:
    for event in events:
        truth = truths.get(name_of_event(event))
        if truth is None or event.origin == "snapshot":
            continue
        for field in _COMPARED:
            true = getattr(truth, field)
            if getattr(event, field) != true:
                yield Difference(event, field, true)
        if event.event_type == "wrapup" and event.wrapup_code != truth.wrapup_code:
            yield Difference(event, "wrapup_code", truth.wrapup_code)
        communication = event.communication_id  # null where the source shape has none
        if (
            communication
            and event.event_type not in _OF_PARTICIPANT
            and communication != truth.communication_id
        ):
            yield Difference(event, "communication_id", truth.communication_id)
        # Frames do not tell when a conversation began: its start has the time of what they show.
        dated = event.event_type != "start" and not event.estimated
        if dated and event.occurred_at != truth.occurred_at:
            yield Difference(event, "occurred_at", truth.occurred_at)


def name_of_truth(truth: Truth) -> Name:
    """What tells a transition from all others."""
    which = truth.hold_started_at or truth.park_time or truth.resume_time or ""
    if truth.event_type == "end":
        which = truth.occurred_at
    return _name(
        truth.conversation_id, truth.participant_id, truth.media_type, truth.event_type, which
    )


def name_of_event(event: Event) -> Name:
    """The same of an event."""
    which = event.hold_started_at or ""
    if event.event_type in {"park", "unpark", "end"}:
        which = event.occurred_at
    return _name(
        event.conversation_id, event.participant_id, event.media_type, event.event_type, which
    )


def _name(
    conversation_id: str,
    participant_id: str | None,
    media_type: str | None,
    event_type: str,
    which: str,
) -> Name:
    medium = "" if event_type in _OF_PARTICIPANT else media_type or ""
    return (conversation_id, participant_id or "", medium, event_type, which)
