"""What REST and analytics show of a conversation, and when."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from simulator.clock import parse_rfc3339
from simulator.model import Conversation
from simulator.org import Org
from simulator.parts import NO_WORK
from simulator.quirks import Quirks
from simulator.scenarios import SCENARIOS
from simulator.shapes import analytics, rest
from tests.unit.simulator.reader import ENDED, legs_of
from tests.unit.simulator.theatre import Performance, perform

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


def parks(quirks: Quirks) -> set[tuple[bool, bool]]:
    """Which keys a leg that was parked and goes on shows: `parkTime`, `resumeTime`."""
    found = set()
    for seed in range(6):
        parked = set()
        for body, _ in perform("email_parked_for_days", seed, quirks=quirks).frames:
            for participant in body["participants"]:
                for leg in participant.get("emails", []):
                    if leg["state"] == "parked":
                        parked.add(leg["id"])
                        assert leg["resumeTime"] > leg["parkTime"]
                    elif leg["state"] == "connected" and leg["id"] in parked:
                        found.add(("parkTime" in leg, "resumeTime" in leg))
    return found


def test_what_an_early_resume_does_to_the_keys_is_a_quirk() -> None:
    """`resumeTime` is a plan; both may go, stay, or one of them."""
    assert parks(Quirks(early_resume="gone")) == {(False, False)}
    assert parks(Quirks(early_resume="kept")) == {(True, True)}
    assert parks(Quirks(early_resume="park_kept")) == {(True, False)}
    assert parks(Quirks(early_resume="resume_kept")) == {(False, True)}
    assert len(parks(Quirks())) > 1


def arrays(order: str) -> list[list[str]]:
    """The communication ids of each agent who was used again, as the frames show them."""
    found = []
    for seed in range(6):
        played = perform("message_reassigned", seed, quirks=Quirks(reused_participant=order))
        for body, _ in played.frames:
            for participant in body["participants"]:
                legs = [
                    p.legs for p in played.conversation.participants if p.id == participant["id"]
                ]
                if participant["purpose"] == "agent" and len(legs[0]) > 2:
                    known = [leg.id for leg in legs[0]]
                    shown = [leg["id"] for leg in participant["messages"]]
                    found.append([str(known.index(one)) for one in shown])
    return found


def test_the_legs_of_a_reused_participant_come_in_three_orders() -> None:
    """Appended, newest first, or the newest alone; REST has them all."""
    appended = arrays("append")
    assert any(len(one) > 2 for one in appended)
    assert all(one == sorted(one, key=int) for one in appended)
    first = arrays("newest_first")
    assert any(len(one) > 2 for one in first)
    assert all(one == sorted(one, key=int, reverse=True) for one in first)
    replaced = arrays("replace")
    assert {len(one) for one in replaced} == {1}
    assert len({one[0] for one in replaced}) > 2
    played = perform("message_reassigned", 1, of_rest, Quirks(reused_participant="replace"))
    longest = max(len(p["messages"]) for p in played.other_shapes[-1]["participants"])
    assert longest > 2


def ends(scenario: str, purpose: tuple[str, ...], quirks: Quirks) -> set[str]:
    """How answered legs of staff ended that had a consult."""
    found = set()
    for seed in range(40):
        played = perform(scenario, seed, quirks=quirks)
        consults = {r.participant_id for r in played.records if r.role == "consult"}
        for record in played.records:
            if record.event_type == "disconnect" and record.purpose in purpose:
                found.add(f"{record.participant_id in consults} {record.disconnect_type}")
    return found


def test_how_the_legs_of_a_consult_end_is_a_quirk() -> None:
    """Who consulted ends `transfer` or `transfer.consult`, who was asked in vain that or `peer`."""
    staff = ("agent", "user")
    plain = ends("consult_call", staff, Quirks(consult_transfer_type="transfer"))
    assert "False transfer" in plain
    assert "False transfer.consult" not in plain
    consult = ends("consult_call", staff, Quirks(consult_transfer_type="transfer.consult"))
    assert "False transfer.consult" in consult
    peer = ends("consult_call", staff, Quirks(consult_cancel_type="peer"))
    assert "True transfer.consult" not in peer
    cancelled = ends("consult_call", staff, Quirks(consult_cancel_type="transfer.consult"))
    assert "True transfer.consult" in cancelled


def test_a_consult_marks_all_three_while_it_lasts() -> None:
    """The customer's participant id, on each of them, and on nobody afterwards."""
    for attribute in ("present", "absent"):
        counts, marked = set(), set()
        for seed in range(12):
            played = perform("consult_call", seed, quirks=Quirks(consult_attribute=attribute))
            for body, _ in played.frames:
                parties = [p for p in body["participants"] if "consultParticipantId" in p]
                counts.add(len(parties))
                customers = {p["id"] for p in body["participants"] if p["purpose"] == "customer"}
                assert {p["consultParticipantId"] for p in parties} <= customers
                marked |= {"consultInitiator" in p["attributes"] for p in parties}
            assert "consultParticipantId" not in repr(played.frames[-1][0])
        assert counts == {0, 3}
        assert marked == ({True, False} if attribute == "present" else {False})


def test_a_supervisor_keeps_one_key_or_all() -> None:
    """And gains a media role with each step; `bargedTime` is on the call."""
    for quirk, most in (("one", 1), ("all", 3)):
        counts, roles = set(), set()
        for seed in range(12):
            played = perform("supervised_call", seed, quirks=Quirks(supervision_keys=quirk))
            for body, _ in played.frames:
                for participant in body["participants"]:
                    keys = [
                        key
                        for key in ("monitored", "coached", "barged")
                        if f"{key}ParticipantId" in participant
                    ]
                    if keys:
                        counts.add(len(keys))
                        roles.add(tuple(participant["mediaRoles"]))
                        barged = "bargedTime" in participant["calls"][0]
                        assert barged == ("barged" in keys)
        assert max(counts) == most
        assert roles == {("monitor",), ("monitor", "coach"), ("monitor", "coach", "full")}


def test_skipped_work_has_equal_times_or_none() -> None:
    """And nothing of it is in the ledger."""
    for quirk, keys in (("equal", {"state", "startTime", "endTime"}), ("absent", {"state"})):
        found = set()
        for seed in range(6):
            played = perform("acw_skipped", seed, quirks=Quirks(skipped_acw_times=quirk))
            for participant in played.frames[-1][0]["participants"]:
                work = participant["calls"][0].get("afterCallWork", {})
                if work.get("state") == "skipped":
                    found.add(frozenset(work))
                    assert work.get("startTime") == work.get("endTime")
            assert not {"acw", "acw_end"} & {record.event_type for record in played.records}
        assert found == {frozenset(keys)}


def test_a_voicemail_is_recorded_before_anybody_answers() -> None:
    """The callback uploads, the box has a user and is no agent; REST calls the upload `none`."""
    for seed in range(6):
        played = perform("voicemail", seed, of_rest)
        states = []
        for body, shown in played.frames:
            callback = body["participants"][0].get("callbacks", [{}])[0]
            states.append(callback.get("state"))
            if callback.get("state") == "uploading":
                answered = {r.communication_id for r in shown if r.event_type == "answer"}
                assert callback["id"] not in answered
        assert "uploading" in states
        assert "connected" in states[states.index("uploading") :]
        box = [r for r in played.records if r.purpose == "voicemail"]
        assert {r.event_type for r in box} == {"answer", "disconnect"}
        assert {r.agent_id for r in box} == {None}
        shown_box = [p for p in played.frames[-1][0]["participants"] if p["purpose"] == "voicemail"]
        assert shown_box[0]["userId"]


def test_a_merge_goes_on_in_another_conversation() -> None:
    """Customer and agent end `transfer.conference` here; the customer talks there."""
    played = next(one for one in merges("merge_call") if one.others)
    ended = [r for r in played.records if r.disconnect_type == "transfer.conference"]
    assert {r.purpose for r in ended if r.event_type == "disconnect"} == {"customer", "agent"}
    assert "transfer" not in {r.event_type for r in played.records}
    other = played.others[0]
    assert "customer" in {r.purpose for r in other.records}
    assert {r.linked_conversation_id for r in other.records} == {None}
    body = analytics.conversation_body(played.conversation, FAR_MS)
    led = [
        segment["destinationConversationId"]
        for _, session in sessions(body)
        for segment in session["segments"]
        if "destinationConversationId" in segment
    ]
    assert led == [other.conversation.id] * 2


def test_a_consultation_of_its_own_is_linked_both_ways() -> None:
    """`associatedConversation` on it, `consultationConversations` on the one that it serves."""
    played = next(one for one in merges("consult_apart") if one.others)
    other = played.others[0]
    served, serving = played.frames[-1][0], other.frames[-1][0]
    assert serving["associatedConversation"] == {"id": served["id"]}
    assert served["consultationConversations"] == [{"id": serving["id"]}]
    assert {r.linked_conversation_id for r in other.records} == {served["id"]}
    assert {r.linked_conversation_id for r in played.records} == {None}
    body = analytics.conversation_body(other.conversation, FAR_MS)
    assert body["associatedConversationId"] == served["id"]
    assert "associatedConversation" not in rest.conversation_body(other.conversation, other.org)


def merges(scenario: str) -> Iterator[Performance]:
    """Performances of a scenario that may give rise to another conversation."""
    for seed in range(20):
        yield perform(scenario, seed)
