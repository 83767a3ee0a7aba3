"""What REST and analytics show of a conversation, and when."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from simulator.clock import parse_rfc3339
from simulator.model import Conversation
from simulator.org import Org
from simulator.parts import NO_WORK
from simulator.scenarios import SCENARIOS
from simulator.shapes import analytics, rest
from tests.unit.simulator.reader import ENDED, legs_of
from tests.unit.simulator.theatre import perform

FAR_MS = 4_000_000_000_000
CAPITALS = {
    "Alert",
    "Barging",
    "Coaching",
    "Contacting",
    "Converting",
    "Delay",
    "Dialing",
    "Hold",
    "IVR",
    "Interact",
    "Monitoring",
    "Parked",
    "Scheduled",
    "System",
    "Uploading",
}


def of_rest(conversation: Conversation, org: Org) -> dict[str, Any]:
    """The REST body at a frame."""
    return rest.conversation_body(conversation, org)


def of_analytics(conversation: Conversation, org: Org) -> dict[str, Any]:
    """The analytics body at a frame; the org does not matter."""
    return analytics.conversation_body(conversation, FAR_MS)


def rest_legs(scenario: str, seeds: range) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Participant and communication of every REST body of some performances."""
    for seed in seeds:
        for body in perform(scenario, seed, of_rest).other_shapes:
            for participant in body["participants"]:
                for leg in legs_of(participant):
                    yield participant, leg


def sessions(body: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Participant and session of an analytics body."""
    for participant in body["participants"]:
        for session in participant["sessions"]:
            yield participant, session


def test_rest_capitalises_segments_and_says_what_came_after_each() -> None:
    """`System`, `IVR`, `Delay`, `Interact` …; the last one ended with a disconnect."""
    kinds = set()
    for scenario in SCENARIOS:
        for _, leg in rest_legs(scenario, range(2)):
            segments = leg.get("segments", [])
            kinds |= {segment["type"] for segment in segments}
            for segment, following in pairwise(segments):
                assert segment["howEnded"] == following["type"]
                assert segment["endTime"] <= following["startTime"]
            if segments:
                assert segments[-1]["howEnded"] == "Disconnect"
                assert ("disconnectType" in segments[-1]) == (leg["state"] in ENDED)
    assert kinds == CAPITALS


def test_calls_are_set_up_before_anybody_is_connected() -> None:
    """A `System` segment of 10 to 250 ms outside, a `Delay` in the queue; the answer is after."""
    seen = set()
    for participant, leg in rest_legs("inbound_call", range(8)):
        first = leg["segments"][0] if leg["segments"] else None
        if first is None or participant["purpose"] not in ("customer", "ivr", "acd"):
            continue
        assert first["type"] == ("Delay" if participant["purpose"] == "acd" else "System")
        length = parse_rfc3339(first["endTime"]) - parse_rfc3339(first["startTime"])
        assert 10 <= length <= 250
        assert leg["connectedTime"] == first["endTime"]
        seen.add(participant["purpose"])
    assert seen == {"customer", "ivr", "acd"}


def test_a_ringing_leg_has_no_segment_but_a_time() -> None:
    """`startAlertingTime`; the segment comes with the answer, and begins a little earlier."""
    ringing = answered = 0
    for participant, leg in rest_legs("inbound_call", range(8)):
        if participant["purpose"] != "agent":
            continue
        if leg["state"] == "alerting":
            ringing += 1
            assert leg["segments"] == []
            assert "startAlertingTime" in leg
        elif leg["segments"]:
            answered += 1
            began = parse_rfc3339(leg["segments"][0]["startTime"])
            assert 9 <= parse_rfc3339(leg["startAlertingTime"]) - began <= 36
    assert ringing
    assert answered


def test_a_hold_may_end_with_its_leg() -> None:
    """Its segment is the last one then, and no resume is in the ledger."""
    found = 0
    for seed in range(60):
        played = perform("inbound_call", seed)
        for participant in rest.conversation_body(played.conversation, played.org)["participants"]:
            for leg in legs_of(participant):
                if not leg["segments"] or leg["segments"][-1]["type"] != "Hold":
                    continue
                found += 1
                assert leg["segments"][-1]["endTime"] == leg["disconnectedTime"]
                kinds = [
                    record.event_type
                    for record in played.records
                    if record.communication_id == leg["id"]
                ]
                assert kinds.count("hold") == kinds.count("resume") + 1
    assert found > 3


def test_it_is_over_only_after_all_work() -> None:
    """Neither `endTime` nor `conversationEnd` while after-call work lasts; seconds later both."""
    played = perform("acw_timed_out", 1)
    conversation, org = played.conversation, played.org
    assert conversation.ended_ms is not None
    done = max(
        parse_rfc3339(record.occurred_at)
        for record in played.records
        if record.event_type == "acw_end"
    )
    assert done > conversation.ended_ms
    over = conversation.over_ms
    assert over is not None
    assert over >= done + 1000
    for now, ended in ((conversation.ended_ms, False), (done, False), (over, True)):
        assert ("endTime" in rest.conversation_body(conversation, org, now)) is ended
        assert ("conversationEnd" in analytics.conversation_body(conversation, now)) is ended
    early = rest.conversation_body(conversation, org, conversation.ended_ms, before_wrapup=True)
    assert "endTime" in early


def test_an_agent_who_stays_in_after_call_work_keeps_it_open() -> None:
    """All legs are over, and Genesys still has no end of it."""
    played = perform("inbound_call", 1)
    leg = next(leg for p in played.conversation.participants for leg in p.legs if leg.acw)
    assert leg.acw is not None
    leg.acw.state, leg.acw.end_ms = "pending", None
    assert not played.conversation.live()
    assert "endTime" not in rest.conversation_body(played.conversation, played.org)
    assert "conversationEnd" not in analytics.conversation_body(played.conversation, FAR_MS)


def test_each_session_has_its_own_queue_work_and_code() -> None:
    """Of a participant that is used again: as many wrap-up segments as legs, in their queues."""
    queues, works, codes = set(), 0, set()
    for seed in range(10):
        played = perform("message_reassigned", seed, of_analytics)
        for participant, session in sessions(played.other_shapes[-1]):
            if participant["purpose"] != "agent" or len(participant["sessions"]) < 3:
                continue
            legs = {leg.id: leg for p in played.conversation.participants for leg in p.legs}
            leg = legs[session["sessionId"]]
            assert {segment["queueId"] for segment in session["segments"]} == {leg.queue_id}
            queues.add(leg.queue_id)
            wrapups = [s for s in session["segments"] if s["segmentType"] == "wrapup"]
            assert len(wrapups) == (leg.acw is not None and leg.acw.state not in NO_WORK)
            assert session.get("acwSkipped", False) == (
                leg.acw is not None and leg.acw.state == "skipped"
            )
            works += len(wrapups)
            for segment in wrapups:
                code = leg.wrapup.code if leg.wrapup is not None else None
                assert segment.get("wrapUpCode") == code
                codes.add(code)
    assert len(queues) > 2
    assert works > 10
    assert len(codes) > 2


def test_analytics_says_who_supervises_and_in_lower_case() -> None:
    """Monitoring, coaching, barging: segments, and ids on the session."""
    kinds, named = set(), set()
    for seed in range(12):
        for body in perform("supervised_call", seed, of_analytics).other_shapes:
            for _, session in sessions(body):
                kinds |= {segment["segmentType"] for segment in session["segments"]}
                named |= {key for key in session if key.endswith("ParticipantId")}
    assert {"system", "delay", "wrapup", "monitoring", "coaching", "barging"} <= kinds
    assert all(kind == kind.lower() for kind in kinds)
    assert named == {
        "monitoredParticipantId",
        "coachedParticipantId",
        "bargedParticipantId",
    }


def test_a_provisional_code_has_no_end() -> None:
    """Frames lack its `endTime`; REST calls it `provisional`; saved, it is neither."""
    provisional = saved = 0
    for seed in range(12):
        played = perform("acw_provisional", seed, of_rest)
        for (frame, _), body in zip(played.frames, played.other_shapes, strict=True):
            for shown, known in zip(frame["participants"], body["participants"], strict=True):
                if "wrapup" not in shown:
                    continue
                assert ("endTime" in shown["wrapup"]) == ("provisional" not in known["wrapup"])
                provisional += "provisional" in known["wrapup"]
                saved += "endTime" in shown["wrapup"]
    assert provisional
    assert saved
