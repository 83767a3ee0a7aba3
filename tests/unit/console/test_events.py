"""One event on a line: its columns, its time, its names."""

from __future__ import annotations

from typing import Any

import click
import pytest

from console.events import event_line
from console.names import Called
from mirror.conversation.event import Event

TODAY = "2026-11-27"
QUEUE, AGENT = "b1049a3c-2f7b", "5b2e6bfa-e439"


class Known(Called):
    """Names of one queue and one agent."""

    def name(self, family: object, entity_id: str | None) -> str | None:
        known = {"queues": {QUEUE: "Support"}, "users": {AGENT: "Ada"}}
        return known[str(family)].get(entity_id or "")


def event(**fields: Any) -> Event:
    """An answer of an agent's leg."""
    return Event(
        **{
            "event_id": "0" * 32,
            "event_type": "answer",
            "conversation_id": "e3535b10-aef1",
            "media_type": "call",
            "purpose": "agent",
            "queue_id": QUEUE,
            "agent_id": AGENT,
            "state": "connected",
            "occurred_at": f"{TODAY}T10:00:00.123Z",
            "received_at": f"{TODAY}T10:00:00.223Z",
        }
        | fields
    )


def line(event: Event, width: int | None = None, called: Called | None = None) -> str:
    """Without colours."""
    return click.unstyle(event_line(event, called or Known(), width=width, today=TODAY))


def test_names_stand_where_they_are_known_and_short_ids_elsewhere() -> None:
    """A queue and an agent are called as people call them."""
    assert line(event()).split() == [
        *("10:00:00.123Z", "answer", "call", "agent", "e3535b10", "Support", "Ada", "connected")
    ]
    assert line(event(), called=Called()).split()[5:7] == [QUEUE[:8], AGENT[:8]]


@pytest.mark.parametrize("width", [80, 100, 140, None])
def test_columns_stand_under_each_other(width: int | None) -> None:
    """A long medium, a leg without queue, an event without a leg: none moves the others."""
    lines = [
        line(event(), width),
        line(event(media_type="internal_message"), width),
        line(event(queue_id=None, agent_id=None), width),
        line(event(media_type=None, purpose=None), width),
        line(event(estimated=True), width),
    ]
    assert len({text.index("e3535b10") for text in lines}) == 1


def test_a_date_stands_with_what_is_not_of_today() -> None:
    """And `Z` with every time: nobody takes it for local time."""
    assert line(event()).startswith("10:00:00.123Z ")
    old = event(occurred_at="2026-11-20T10:00:00.123Z")
    assert line(old).startswith("2026-11-20 10:00:00.123Z ")
    assert line(old, 80).startswith("11-20 10:00:00Z ")
    assert line(event(estimated=True)).startswith("10:00:00.123Z~")
