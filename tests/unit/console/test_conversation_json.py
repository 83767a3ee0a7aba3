"""The documents of `mirror conversations --json`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from console.conversation_views import course_document, document
from mirror.conversation.course import Course
from mirror.fleet.tracked import TrackedLegView, TrackedView

BEGAN_MS = 1_795_776_000_123
BEGAN = "2026-11-27T10:40:00.123Z"
VIEW = TrackedView(
    id="c1",
    since_ms=BEGAN_MS,
    due_ms=BEGAN_MS + 3_600_000,
    read_ms=BEGAN_MS + 7_200_000,
    legs=(
        TrackedLegView(
            participant_id="p1",
            media_type="call",
            purpose="agent",
            agent_id="a1",
            queue_id="q1",
            role=None,
            state="connected",
            held=False,
        ),
    ),
    legs_over=1,
)
COURSE = Course(
    id="c1",
    state="active",
    started_at=BEGAN,
    ended_at=None,
    finalized=None,
    linked_conversation_id=None,
    legs=[],
    events=3,
)


def read(found: object) -> dict[str, Any]:
    """The document as it stands on stdout."""
    return json.loads(msgspec.json.encode(found))  # type: ignore[no-any-return]


def test_times_are_those_of_events() -> None:
    """The start and the time of the verification are RFC 3339, whether it is overdue or not."""
    shown = read(document(VIEW))
    assert shown["id"] == "c1"
    assert shown["state"] == "active"
    assert shown["started_at"] == BEGAN
    assert shown["verification_due_at"] == "2026-11-27T11:40:00.123Z"
    assert shown["legs"][0]["queue_id"] == "q1"
    assert shown["legs_over"] == 1


def test_an_ended_conversation_is_not_due() -> None:
    """It has its start, and nobody will verify it."""
    ended = msgspec.structs.replace(VIEW, due_ms=None)
    assert read(document(ended))["state"] == "ended"
    assert read(document(ended))["verification_due_at"] is None
    assert ended.due_in_ms is None


@pytest.mark.parametrize("view", [VIEW, None])
def test_one_conversation_has_the_same_names(view: TrackedView | None) -> None:
    """One that the tracker does not know any more has no time of verification."""
    shown = read(course_document(COURSE, view))
    assert shown["started_at"] == BEGAN
    assert shown["verification_due_at"] == (view and "2026-11-27T11:40:00.123Z")


def test_no_epoch_time_is_called_an_age() -> None:
    """`*_ms` is an age in every document of the commands; these have none."""
    for shown in (read(document(VIEW)), read(course_document(COURSE, VIEW))):
        assert not [name for name in shown if name.endswith("_ms")]
