"""What one conversation does and another does not: open questions, roles, links, voicemail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.model import Conversation
from simulator.org import Org
from simulator.quirks import Quirks
from simulator.shapes import analytics, rest
from tests.unit.simulator.theatre import Performance, perform

FAR_MS = 4_000_000_000_000


def of_rest(conversation: Conversation, org: Org) -> dict[str, Any]:
    """The REST body at a frame."""
    return rest.conversation_body(conversation, org)


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
                    found.append([str(known.index(participant)) for participant in shown])
    return found


def test_the_legs_of_a_reused_participant_come_in_three_orders() -> None:
    """Appended, newest first, or the newest alone; REST has them all."""
    appended = arrays("append")
    assert any(len(order) > 2 for order in appended)
    assert all(order == sorted(order, key=int) for order in appended)
    first = arrays("newest_first")
    assert any(len(order) > 2 for order in first)
    assert all(order == sorted(order, key=int, reverse=True) for order in first)
    replaced = arrays("replace")
    assert {len(order) for order in replaced} == {1}
    assert len({order[0] for order in replaced}) > 2
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
    played = next(merge for merge in merges("merge_call") if merge.others)
    ended = [r for r in played.records if r.disconnect_type == "transfer.conference"]
    assert {r.purpose for r in ended if r.event_type == "disconnect"} == {"customer", "agent"}
    assert "transfer" not in {r.event_type for r in played.records}
    other = played.others[0]
    assert "customer" in {r.purpose for r in other.records}
    assert {r.linked_conversation_id for r in other.records} == {None}
    body = analytics.conversation_body(played.conversation, FAR_MS)
    led = [
        segment["destinationConversationId"]
        for participant in body["participants"]
        for session in participant["sessions"]
        for segment in session["segments"]
        if "destinationConversationId" in segment
    ]
    assert led == [other.conversation.id] * 2


def test_a_consultation_of_its_own_is_linked_both_ways() -> None:
    """`associatedConversation` on it, `consultationConversations` on the one that it serves."""
    played = next(merge for merge in merges("consult_apart") if merge.others)
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
