"""Test vectors of the fold, for consumers in other languages: docs/vectors/*.json.

A vector is one conversation: its events in the order of the log, and the view that they fold to.
The flows are the cases of `tests/golden`, which people read by eye. The other vectors play one rule
each, in the orders that two replicas and late frames bring about. `python -m docs.build.pages`
writes them; a test holds them to the fold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView, fold
from mirror.conversation.legs import (
    end_id,
    finalize_id,
    leg_key,
    reading_id,
    start_id,
    transition_id,
)

GOLDEN: Final = Path(__file__).parents[2] / "tests" / "golden" / "cases"
# What a vector compares of a leg, and of a conversation.
LEG_FIELDS: Final = (
    "participant_id",
    "communication_id",
    "media_type",
    "purpose",
    "agent_id",
    "queue_id",
    "role",
    "role_participant_id",
    "state",
    "held",
    "hold_started_at",
    "parked_at",
    "answered_at",
    "ended_at",
    "disconnect_type",
    "acw",
    "wrapup_code",
)
CONVERSATION: Final = "00000000-0000-0000-0000-0000000000c1"
AGENT: Final = "00000000-0000-0000-0000-0000000000a1"
CALL: Final = "00000000-0000-0000-0000-0000000000e1"
LEG: Final = leg_key(AGENT, CALL, "call")
CONVERSATION_EVENTS: Final = frozenset({"start", "end", "finalize"})


def vectors() -> dict[str, str]:
    """File name → text of every vector."""
    return {f"{name}.json": _text(*vector) for name, vector in _all()}


def shown(view: ConversationView) -> dict[str, Any]:
    """The part of a view that a vector compares."""
    return {
        "conversation_id": view.id,
        "state": view.state,
        "started_at": view.started_at,
        "ended_at": view.ended_at,
        "linked_conversation_id": view.linked_conversation_id,
        "legs": [
            {field: getattr(leg, field) for field in LEG_FIELDS} for leg in view.legs.values()
        ],
    }


def folded(events: Sequence[Event]) -> ConversationView:
    """The view of a conversation after all of its events."""
    view: ConversationView | None = None
    for event in events:
        view = fold(view, event)
    if view is None:
        raise ValueError("a vector has no events")
    return view


def _text(title: str, events: Sequence[Event]) -> str:
    vector = {"what": title, "events": events, "view": shown(folded(events))}
    return msgspec.json.format(msgspec.json.encode(vector), indent=1).decode() + "\n"


def _all() -> Iterator[tuple[str, tuple[str, list[Event]]]]:
    decoder = msgspec.json.Decoder(Event)
    for path in sorted(GOLDEN.glob("*.jsonl")):
        events = decoder.decode_lines(path.read_bytes()) if path.stat().st_size else []
        name = "flow-" + path.stem.lower().replace("_", "-")
        yield name, ("A flow, in the order in which one replica wrote it.", events)
    yield from RULES.items()


def _at(second: float) -> str:
    return f"2026-11-23T10:00:{second:06.3f}Z"


def told(event_type: Any, read: float, *, at: float | None = None, **fields: Any) -> Event:
    """An event of the vectors' agent, or of their conversation, that was read at second `read`.

    `at` is the second of `occurred_at`; without it the time is estimated. `occurrence` tells holds,
    parks and codes apart, as in the hash of the id. `origin="snapshot"` is a reading.
    """
    occurrence = fields.pop("occurrence", "")
    origin = fields.setdefault("origin", "live")
    state = fields.setdefault("state", "connected")
    if event_type in CONVERSATION_EVENTS:
        fields["state"] = state if state in {"active", "ended"} else "ended"
        names = (LEG.name,)
        ids = {"start": start_id(CONVERSATION), "end": end_id(CONVERSATION, names)}
        event_id = ids.get(event_type) or finalize_id(CONVERSATION, names)
    else:
        fields |= {"participant_id": AGENT, "communication_id": CALL, "media_type": "call"}
        fields |= {"purpose": "agent", "direction": "inbound"}
        event_id = (
            reading_id(CONVERSATION, LEG, event_type, _at(read))
            if origin == "snapshot"
            else transition_id(CONVERSATION, LEG, event_type, occurrence)
        )
    return Event(
        event_id=event_id,
        event_type=event_type,
        conversation_id=CONVERSATION,
        occurred_at=_at(read if at is None else at),
        estimated=at is None,
        received_at=_at(read),
        **fields,
    )


def _hold(since: float, read: float, **fields: Any) -> Event:
    fields |= {"held": True, "hold_started_at": _at(since), "occurrence": _at(since)}
    return told("hold", read, at=since, **fields)


def _resume(since: float, read: float) -> Event:
    return told("resume", read, hold_started_at=_at(since), occurrence=_at(since))


def _park(since: float, read: float) -> Event:
    return told("park", read, at=since, state="parked", occurrence=_at(since))


def _unpark(since: float, read: float) -> Event:
    return told("unpark", read, occurrence=_at(since))


def _code(code: str, read: float, *, at: float | None = None, origin: str = "live") -> Event:
    return told(
        "wrapup",
        read,
        at=at,
        state="disconnected",
        wrapup_code=code,
        occurrence=code,
        origin=origin,
    )


_ANSWER: Final = told("answer", 1.0, at=0.9)
_DISCONNECT: Final = told("disconnect", 9.0, at=8.9, state="disconnected", disconnect_type="peer")
_READING: Final = told("answer", 5.0, origin="snapshot")
_HELD_READING: Final = told("hold", 5.0, origin="snapshot", held=True, hold_started_at=_at(2.0))
# Name → what it shows, and the events.
RULES: Final[dict[str, tuple[str, list[Event]]]] = {
    "rule-1-repeats-count-once": (
        "A repeated answer, behind a hold, changes nothing.",
        [_ANSWER, _hold(2.0, 2.1), _ANSWER],
    ),
    "rule-1-a-later-word-counts-again": (
        "A reading shows the hold over; the same hold, read later than the reading, counts again.",
        [_ANSWER, _hold(2.0, 2.1), _resume(2.0, 4.0), _READING, _hold(2.0, 6.0)],
    ),
    "rule-1-an-earlier-word-does-not": (
        "The same hold, read before the reading and written behind it, is history.",
        [_ANSWER, _hold(2.0, 2.1), _READING, _hold(2.0, 2.2)],
    ),
    "rule-2-an-end-is-for-good": (
        "A hold that is written behind the end of its leg changes nothing.",
        [_ANSWER, _DISCONNECT, _hold(2.0, 2.1)],
    ),
    "rule-3-an-alert-behind-the-answer": (
        "The replica that saw the leg ring could not write until the other one had.",
        [_ANSWER, told("alert", 0.5, state="alerting")],
    ),
    "rule-3-an-answer-behind-a-hold": (
        "It does not change the state, and says when the leg was answered.",
        [_hold(2.0, 2.1), _ANSWER],
    ),
    "rule-4-the-latest-hold-counts": (
        "The resume of an earlier hold does not end the later one.",
        [_ANSWER, _hold(2.0, 2.1), _hold(4.0, 4.1), _resume(2.0, 5.0)],
    ),
    "rule-4-a-hold-behind-its-resume": (
        "Of the same hold, the resume counts after the hold, in whatever order they come.",
        [_ANSWER, _resume(2.0, 3.0), _hold(2.0, 2.1)],
    ),
    "rule-4-a-hold-before-a-park": (
        "A hold that began before the latest park is history.",
        [_ANSWER, _park(4.0, 4.1), _hold(2.0, 2.1)],
    ),
    "rule-5-an-unpark-names-its-park": (
        "The unpark of an earlier park, written late, leaves the later one.",
        [_ANSWER, _park(2.0, 2.1), _park(4.0, 4.1), _unpark(2.0, 5.0)],
    ),
    "rule-5-an-unpark-ends-its-park": (
        "The unpark of the latest park ends it.",
        [_ANSWER, _park(2.0, 2.1), _unpark(2.0, 3.0), _park(4.0, 4.1), _unpark(4.0, 5.0)],
    ),
    "rule-5-an-unpark-behind-a-hold": (
        "The leg is no longer parked when the unpark comes: the hold stays.",
        [_ANSWER, _park(2.0, 2.1), _hold(4.0, 4.1), _unpark(2.0, 5.0)],
    ),
    "rule-6-a-reading-corrects": (
        "Nobody saw the resume; a reading shows the leg connected.",
        [_ANSWER, _hold(2.0, 2.1), _READING],
    ),
    "rule-6-a-reading-reopens-its-hold": (
        "The reading shows the hold; its resume, read later, ends it.",
        [_ANSWER, _resume(2.0, 3.0), _HELD_READING, _resume(2.0, 6.0)],
    ),
    "rule-6-an-old-reading": (
        "A reading that was read before the last word on the hold changes nothing.",
        [_ANSWER, _hold(6.0, 6.1), _READING],
    ),
    "rule-7-the-role-that-was-read-last": (
        "A role that was read earlier and written later does not count.",
        [
            told("answer", 2.0, at=0.9, role="coach", role_participant_id="p-9"),
            told("alert", 0.5, state="alerting", role="monitor", role_participant_id="p-9"),
        ],
    ),
    "rule-7-no-role-of-a-leg-that-is-over": (
        "A back-fill shows the leg over, without a role: the role stays.",
        [
            told("answer", 2.0, at=0.9, role="monitor", role_participant_id="p-9"),
            _DISCONNECT,
        ],
    ),
    "rule-8-the-latest-code-counts": (
        "Two codes with times: the one that was saved later counts, though it was written first.",
        [_ANSWER, _DISCONNECT, _code("B", 9.5, at=9.4), _code("A", 9.6, at=9.2)],
    ),
    "rule-8-codes-without-times": (
        "Two codes without times of Genesys': the last one in the log counts.",
        [_ANSWER, _DISCONNECT, _code("A", 9.5), _code("B", 9.6)],
    ),
    "rule-8-a-code-that-comes-back": (
        "A, B, A: the second A is a reading, and counts.",
        [
            _ANSWER,
            _DISCONNECT,
            _code("A", 9.5),
            _code("B", 9.6),
            _code("A", 9.7, origin="snapshot"),
        ],
    ),
    "rule-8-work-ends-before-it-begins": (
        "The end of after-call work is written before its beginning.",
        [
            _ANSWER,
            _DISCONNECT,
            told("acw_end", 9.8, at=9.7, state="disconnected"),
            told("acw", 9.0, at=8.9, state="disconnected"),
        ],
    ),
    "rule-9-over-when-no-leg-lives": (
        "An end alone is not enough while a leg lives.",
        [told("start", 0.0, state="active"), _ANSWER, told("end", 9.1, at=8.9)],
    ),
    "rule-9-after-call-work-first": (
        "Who sees after-call work first came after the end.",
        [told("acw", 9.1, at=8.9, state="disconnected")],
    ),
    "rule-9-finalize-ends-all-legs": (
        "The janitor asked Genesys, and the conversation is over.",
        [_ANSWER, _hold(2.0, 2.1), told("finalize", 30.0, origin="janitor", reason="ended")],
    ),
}
