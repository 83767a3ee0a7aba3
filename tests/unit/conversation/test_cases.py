"""Cases of what Genesys sends, each with the events that a person reading it would expect.

Under `tests/recordings/cases` (`tests/recordings/SOURCES.md`): lists of frames in the order in
which they came, REST bodies, analytics bodies; or `items` and `variants` of these. The events of
each are under `tests/golden/cases`, and what a consumer who folds them sees under
`tests/golden/views`. Both were read by eye; `golden.py` says how they are written anew.
"""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec
import pytest

from mirror.conversation.event import Event
from mirror.conversation.normaliser import Normaliser, Personal, Reading
from mirror.conversation.times import show
from tests.unit.conversation import golden
from tests.unit.conversation.build import folded, only, types

FOLDER = golden.ROOT / "recordings" / "cases"
TRANSIT = timedelta(milliseconds=200)  # from Genesys to us
_PLANS = re.compile(r'"(?:resumeTime|callbackScheduledTime)": ?"[^"]*"')
_TIME = re.compile(r'"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)"')
UNREAD = {"H11_flat_call_active_2022", "H16_frames_detail_events_2022", "H17_frame_activity_2021"}
KEEPING = {"P04_attribute_null_with_pii_keep"}


def steps(document: Any) -> dict[str, list[Any]]:
    """The bodies of a file, by variant; the only variant has no name."""
    if isinstance(document, list):
        return {"": document}
    if "variants" in document:
        return {f"-{name[0]}": items for name, items in document["variants"].items()}
    return {"": document.get("items", [document])}


def case(name: str) -> list[Any]:
    """The bodies of a case, in their order."""
    for file in FOLDER.glob("*.json"):
        for variant, items in steps(json.loads(file.read_text())).items():
            if file.stem + variant == name:
                return items
    raise LookupError(name)


def names() -> list[str]:
    """All cases."""
    return sorted(
        file.stem + variant
        for file in FOLDER.glob("*.json")
        for variant in steps(json.loads(file.read_text()))
    )


def readings(name: str) -> list[Reading]:
    """What one normaliser reads in a case, each body when the last thing in it had happened."""
    normaliser = Normaliser(personal=Personal() if name in KEEPING else None)
    found = []
    now = datetime.fromisoformat("2000-01-01T00:00:00Z")
    for number, item in enumerate(case(name)):
        body = item.get("body", item)
        raw = json.dumps(body)
        times = [datetime.fromisoformat(text) for text in _TIME.findall(_PLANS.sub("", raw))]
        now = max(now, *times) + TRANSIT if times else now + TRANSIT
        kind = item.get("kind") or ("frame" if "topicName" in body else "")
        kind = kind or ("analytics" if "conversationId" in body else "rest")
        read = {
            "frame": normaliser.frame,
            "rest": normaliser.conversation,
            "analytics": normaliser.analytics,
        }[kind]
        found.append(read(raw.encode(), show(now), float(number)))
    return found


@cache
def events(name: str) -> list[Event]:
    """The events of a case."""
    return [event for reading in readings(name) for event in reading.events]


def of(name: str, start: str) -> list[Event]:
    """The events of the participant whose id begins so."""
    return [e for e in events(name) if (e.participant_id or "").startswith(start)]


CASES = [name for name in names() if name not in UNREAD]


@pytest.mark.parametrize("name", CASES)
def test_cases_give_the_reviewed_events_and_views(name: str) -> None:
    """Every field of every event is as reviewed, none of the frames is a dead letter."""
    assert [reading.problem for reading in readings(name) if reading.problem] == []
    golden.check(f"cases/{name}", events(name))
    golden.check_view(f"views/{name}", folded(events(name)))
    golden.check_view(f"views/{name}", folded([*events(name), *events(name)]))  # read twice


def test_what_is_not_read_tells_nothing() -> None:
    """A topic of one medium, detail events and a heartbeat, and the activity of an agent."""
    assert [[reading.kind for reading in readings(name)] for name in sorted(UNREAD)] == [
        ["unknown"],
        ["unknown", "heartbeat"],
        ["agent"],
    ]
    assert [name for name in UNREAD if events(name)] == []


def test_every_golden_file_has_its_case() -> None:
    """No file is left of a case that is gone."""
    assert {path.stem for path in (golden.GOLDEN / "cases").glob("*.jsonl")} == set(CASES)
    assert {path.stem for path in (golden.GOLDEN / "views").glob("*.json")} == set(CASES)


PARKED = "P01_park_scheduled_resume"


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("-a", ["park", "unpark"]),
        ("-b", ["park", "unpark"]),
        ("-c", ["park", "unpark"]),
        ("-d", ["park", "unpark", "park"]),
        ("-e", ["park", "unpark", "park", "unpark", "disconnect"]),
    ],
)
def test_a_park_is_over_when_the_leg_is_seen_back(variant: str, told: list[str]) -> None:
    """Whatever becomes of the keys, and never at `resumeTime`, which is days ahead."""
    found = [e for e in of(PARKED + variant, "00000003") if e.event_type != "answer"]
    assert types(found) == told
    assert all(e.occurred_at <= e.received_at for e in found)
    for event in found:
        assert event.estimated == (event.event_type == "unpark")
    view = folded(events(PARKED + variant))
    leg = next(leg for leg in view.legs.values() if leg.purpose == "agent")
    assert leg.state == {"park": "parked", "unpark": "connected"}.get(told[-1], "disconnected")


@pytest.mark.parametrize(
    "name", ["P03_rest_hold_ends_with_leg", "H08_analytics_chat_ends_on_hold_2021"]
)
def test_a_hold_that_ends_with_its_leg_has_no_resume(name: str) -> None:
    """In REST and in analytics, as in frames; and who rang was `alerting`."""
    assert only(events(name), "hold").held
    assert "resume" not in types(events(name))
    assert {e.state for e in events(name) if e.event_type == "alert"} == {"alerting"}


def test_back_filled_alerts_have_the_state_of_live_ones() -> None:
    """Not the name of their segment."""
    alerts = [e for e in events("H02_rest_callback_five_alerts_2022") if e.event_type == "alert"]
    assert len(alerts) == 5
    assert {e.state for e in alerts} == {"alerting"}
    assert not any(e.estimated for e in alerts)


def test_after_call_work_and_code_are_of_each_communication() -> None:
    """A participant who comes back has new ones, with the queue that each communication had."""
    told = of("S01_message_reassigned_to_same_agent", "00000003")
    legs: dict[str | None, list[Event]] = {e.communication_id: [] for e in told}
    for event in told:
        legs[event.communication_id].append(event)
    first, second = legs.values()
    for leg, queue, code in ((first, "000000a1", "code-A"), (second, "000000a2", "code-B")):
        afterwards = ["disconnect", "transfer", "acw", "acw_end", "wrapup"]
        assert types(leg)[-5:] == afterwards
        assert {(e.queue_id or "")[:8] for e in leg} == {queue}
        assert only(leg, "wrapup").wrapup_code == code
        assert not any(e.estimated for e in leg if e.origin == "live")


def test_a_supervisor_has_a_role() -> None:
    """He is no agent who talks, and a change of what he does is told."""
    told = of("S03_supervisor_monitor_coach_barge", "00000009")
    assert [(e.event_type, e.role, e.origin) for e in told] == [
        ("dial", "monitor", "live"),
        ("answer", "monitor", "live"),
        ("answer", "coach", "snapshot"),
        ("answer", "barge", "snapshot"),
    ]
    assert {(e.role_participant_id or "")[:8] for e in told} == {"00000004"}
    view = folded(events("S03_supervisor_monitor_coach_barge"))
    assert [leg.participant_id[:8] for leg in view.legs.values() if leg.serves] == ["00000004"]


def test_who_consults_transfers_and_who_is_consulted_serves_then() -> None:
    """Until the first agent left, the second was only consulted."""
    name = "S04_consult_transfer_completed"
    assert [e.participant_id for e in events(name) if e.event_type == "transfer"] == [
        only(events(name), "transfer").participant_id
    ]
    assert (only(events(name), "transfer").participant_id or "").startswith("00000004")
    assert [e.role for e in of(name, "00000005")] == ["consult", "consult", None]


@pytest.mark.parametrize("name", ["S05_consult_cancelled_after_answer", "S06_merge_conference"])
def test_neither_a_cancelled_consultation_nor_a_merge_is_a_transfer(name: str) -> None:
    """Nobody left the conversation to anybody."""
    assert "transfer" not in types(events(name))


def test_a_voicemail_box_is_no_agent_and_a_message_that_is_left_no_answer() -> None:
    """Genesys names the box by a user; a callback that uploads is not answered yet."""
    name = "S07_voicemail_uploading"
    assert {e.agent_id for e in events(name) if e.purpose == "voicemail"} == {None}
    assert "callback" not in {event.media_type for event in readings(name)[0].events}
    answers = [e for e in events(name) if (e.media_type, e.event_type) == ("callback", "answer")]
    assert {e.occurred_at[11:19] for e in answers} == {"10:02:05"}  # when the upload was done


def test_a_code_that_is_changed_is_told_again() -> None:
    """The provisional one at our time, the final one at its own; the latter counts."""
    name = "S09_wrapup_provisional_then_changed"
    codes = [(e.wrapup_code, e.estimated) for e in events(name) if e.event_type == "wrapup"]
    assert codes == [("code-A", True), ("code-B", False)]
    legs = folded(events(name)).legs.values()
    assert {leg.wrapup_code for leg in legs if leg.purpose == "agent"} == {"code-B"}


def test_after_call_work_ends_without_a_code() -> None:
    """By its own time; skipped, it never was."""
    assert only(events("S10_acw_ends_without_code"), "acw_end").occurred_at.endswith(
        "10:06:30.000Z"
    )
    assert not {"acw", "acw_end", "wrapup"} & set(types(events("S10b_acw_skipped")))


def test_a_linked_conversation_is_named_on_all_events() -> None:
    """A consultation in a conversation of its own."""
    assert {bool(e.linked_conversation_id) for e in events("S14_associated_conversation")} == {True}


def test_an_end_is_that_of_the_last_leg_whoever_tells_it() -> None:
    """REST's own `endTime` waits for after-call work."""
    told = events("H15_rest_chat_customer_only_2021")
    assert only(told, "end").occurred_at == only(told, "disconnect").occurred_at
    assert not only(told, "start").estimated


def test_attributes_that_are_no_text_are_kept_as_text() -> None:
    """A null is left out, and nothing of it makes a dead letter."""
    attributes = [e.attributes for e in events("P04_attribute_null_with_pii_keep") if e.attributes]
    assert attributes
    assert all(isinstance(value, str) for given in attributes for value in given.values())
    assert msgspec.json.decode(msgspec.json.encode(events("P04_attribute_null_with_pii_keep")))
