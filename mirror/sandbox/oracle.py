"""Holds what came out of Kafka against the simulator's ledger of truth. Pure.

A transition of the ledger is matched by what names it in both: conversation, participant, medium
and event type, and for what a leg can have several of, its Genesys time. The oracle knows nothing
of `event_id`, so a wrong identity shows as a duplicate or as something missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from mirror.event import Event

Name = tuple[str, str, str, str, str]

# After-call work and wrap-up belong to the participant, whatever the medium.
_OF_PARTICIPANT: Final = frozenset({"acw", "wrapup"})
_NOT_IN_LEDGER: Final = frozenset({"finalize"})


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the simulator's ledger; docs/simulator.md explains the fields."""

    seq: int
    conversation_id: str
    event_type: str
    occurred_at: str
    participant_id: str | None = None
    media_type: str | None = None
    hold_started_at: str | None = None
    park_time: str | None = None
    resume_time: str | None = None
    first_sent_ms: int | None = None


class Verdict(msgspec.Struct, kw_only=True):
    """What the comparison found. `duplicates` are records beyond the first of an `event_id`."""

    transitions: int
    records: int
    events: int
    duplicates: int
    missing: list[Truth]
    invented: list[Event]

    @property
    def clean(self) -> bool:
        return not self.missing and not self.invented


def judge(ledger: Iterable[Truth], events: Iterable[Event]) -> Verdict:
    """Compare what happened and was shown on a socket with the events that were consumed.

    Snapshot readings repeat a state and are no transitions; they count as records only. What was
    never sent on an open socket cannot be missed live. An event is invented when no transition,
    sent or not, is its truth.
    """
    happened = list(ledger)
    first: dict[str, Event] = {}
    records = 0
    for event in events:
        records += 1
        first.setdefault(event.event_id, event)
    told = {_of_event(event) for event in first.values()}
    true = {_of_truth(truth) for truth in happened}
    sent = [truth for truth in happened if truth.first_sent_ms is not None]
    return Verdict(
        transitions=len(sent),
        records=records,
        events=len(first),
        duplicates=records - len(first),
        missing=[truth for truth in sent if _of_truth(truth) not in told],
        invented=[
            event
            for event in first.values()
            if event.origin != "snapshot"
            and event.event_type not in _NOT_IN_LEDGER
            and _of_event(event) not in true
        ],
    )


def _of_truth(truth: Truth) -> Name:
    which = truth.hold_started_at or truth.park_time or truth.resume_time or ""
    if truth.event_type == "end":
        which = truth.occurred_at
    return _name(
        truth.conversation_id, truth.participant_id, truth.media_type, truth.event_type, which
    )


def _of_event(event: Event) -> Name:
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
