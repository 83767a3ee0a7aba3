"""The rules by which snapshots become events, one behaviour a test."""

from __future__ import annotations

import pytest

from mirror.conversation.event import RANK
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.normaliser.topics import classify
from mirror.conversation.normaliser.words import MEDIA_OF_ANALYTICS, MEDIA_OF_ARRAY, disconnect_type
from tests.unit.conversation.build import (
    ARRAY,
    Reader,
    at,
    conversation,
    folded,
    frame,
    leg,
    only,
    participant,
    types,
)

CONNECTED = leg("connected", connectedTime=at(1_000), held=False)
ENDED = leg(
    "disconnected", connectedTime=at(1_000), disconnectedTime=at(9_000), disconnectType="peer"
)


def test_a_leg_that_is_new_enters_with_its_whole_history() -> None:
    """A first frame with an ended leg tells its answer and end by Genesys' times, live."""
    events = Reader().frame(participant(ENDED), participant(CONNECTED, participant_id="p-2"))
    assert types(events) == ["start", "answer", "disconnect", "answer"]
    assert [e.occurred_at for e in events[:4]] == [at(1_000), at(1_000), at(9_000), at(1_000)]
    assert {e.origin for e in events[:4]} == {"live"}
    # Frames do not say when the conversation began: at the latest with its first leg.
    assert [e.estimated for e in events[:4]] == [True, False, False, False]


def test_a_conversation_starts_with_the_earliest_time_of_a_leg() -> None:
    """Also if that leg was never connected: the start does not come after the end."""
    missed = leg("terminated", disconnectedTime=at(500), disconnectType="uncallable")
    start = only(Reader().frame(participant(missed)), "start")
    assert (start.occurred_at, start.estimated) == (at(500), True)
    events = Reader().frame(participant(CONNECTED), participant(missed, participant_id="p-2"))
    assert only(events, "start").occurred_at == at(500)
    for keys in ({"held": True, "startHoldTime": at(700)}, {"parkTime": at(700)}):
        shown = participant(leg("parked" if "parkTime" in keys else "connected", **keys))
        assert only(Reader().frame(shown), "start").occurred_at == at(700)


def test_an_end_is_told_once_whether_disconnected_or_terminated() -> None:
    """`disconnected` and then `terminated` is one disconnect, in the words of the first."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    assert types(reader.frame(participant(ENDED))) == ["disconnect", "end"]
    assert reader.frame(participant({**ENDED, "state": "terminated"})) == []


def test_a_disconnect_type_that_changes_tells_the_transfer_once() -> None:
    """transfer → peer → transfer on one leg is one disconnect and one transfer."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    first = reader.frame(participant({**ENDED, "disconnectType": "transfer.dnd"}))
    assert types(first) == ["disconnect", "transfer", "end"]
    assert reader.frame(participant({**ENDED, "disconnectType": "peer"})) == []
    assert reader.frame(participant({**ENDED, "disconnectType": "transfer"})) == []


def test_a_transfer_stands_beside_its_disconnect() -> None:
    """After-call work and the ends of other legs, which the same frame tells, come after both."""
    reader = Reader()
    reader.frame(participant(CONNECTED), participant(CONNECTED, participant_id="p-2"))
    work = {"state": "complete", "startTime": at(9_000), "endTime": at(9_500)}
    left = {**ENDED, "disconnectType": "transfer", "afterCallWork": work}
    events = reader.frame(participant(left), participant(left, participant_id="p-2"))
    once = ["disconnect", "transfer", "acw", "acw_end"]
    assert types(events) == [*once, *once, "end"]
    assert [event.participant_id for event in events] == ["p-1"] * 4 + ["p-2"] * 4 + [None]


def test_a_transfer_that_shows_later_is_told_then() -> None:
    """A leg whose end only later turns out to be a transfer still tells it, without a new end."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    reader.frame(participant(ENDED))
    assert types(reader.frame(participant({**ENDED, "disconnectType": "transfer"}))) == ["transfer"]


def test_who_was_consulted_transfers_nobody_whoever_comes_later() -> None:
    """Also for a process that starts when it is over, and cannot know what it was."""
    asks = {**CONNECTED, "connectedTime": at(1_000)}
    asked = {**ENDED, "connectedTime": at(3_000), "disconnectedTime": at(4_000)}
    asked |= {"disconnectType": "transfer.consult", "id": "comm-2"}
    later = {**CONNECTED, "connectedTime": at(6_000), "id": "comm-3"}
    shown = [
        participant(asks),
        participant(asked, participant_id="p-2"),
        participant(later, participant_id="p-3"),
    ]
    assert "transfer" not in types(Reader().frame(*shown))
    left = {**asks, "state": "disconnected", "disconnectedTime": at(7_000)}
    shown[0] = participant({**left, "disconnectType": "transfer.consult"})
    assert only(Reader().frame(*shown), "transfer").participant_id == "p-1"


def test_who_was_consulted_while_a_third_joined_transfers_nobody() -> None:
    """Who consulted is still there: so says a process that saw the consultation, and one that did
    not, though somebody was connected meanwhile and goes on."""
    asks = {**CONNECTED, "connectedTime": at(1_000)}
    asked = {**CONNECTED, "connectedTime": at(3_000), "id": "comm-2"}
    joined = {**CONNECTED, "connectedTime": at(3_500), "id": "comm-3"}
    marks = {"consultParticipantId": "p-9"}
    reader = Reader()
    reader.frame(participant(asks, **marks))
    reader.frame(participant(asks, **marks), participant(asked, participant_id="p-2", **marks))
    over = {**asked, "state": "terminated", "disconnectedTime": at(4_000)}
    shown = (
        participant(asks),
        participant({**over, "disconnectType": "transfer.consult"}, participant_id="p-2"),
        participant(joined, participant_id="p-3"),
    )
    assert "transfer" not in types(reader.frame(*shown))
    assert "transfer" not in types(Reader().frame(*shown))


def test_a_code_on_the_leg_of_a_machine_makes_no_transfer() -> None:
    """A dialler's participant has a system's code; it is transferred to an agent all the same."""
    code = {"code": "ININ-OUTBOUND", "endTime": at(9_000)}
    shown = {**ENDED, "disconnectType": "transfer", "wrapup": code}
    events = Reader().frame(participant(shown, purpose="outbound"))
    assert types(events) == ["start", "answer", "disconnect", "wrapup", "end"]


@pytest.mark.parametrize("purpose", ["acd", "ivr", "customer"])
def test_only_people_are_transferred(purpose: str) -> None:
    """The legs of machines and customers end by transfer without a `transfer`."""
    shown = participant({**ENDED, "disconnectType": "transfer"}, purpose=purpose)
    assert "transfer" not in types(Reader().frame(shown))


def test_a_missed_alert_is_an_alert_and_a_disconnect() -> None:
    """An agent who does not answer never has an `answer`, nor a `transfer`."""
    reader = Reader()
    events = reader.frame(participant(leg("alerting")), participant(CONNECTED, participant_id="p"))
    assert only(events, "alert").estimated
    shown = leg("disconnected", disconnectedTime=at(9_000), disconnectType="transfer.noanswer")
    events = reader.frame(participant(shown), participant(CONNECTED, participant_id="p"))
    assert types(events) == ["disconnect"]
    assert events[0].disconnect_type == "transfer.noanswer"


def test_hold_and_resume_carry_the_start_of_the_hold() -> None:
    """The hold has Genesys' time; the resume is timed by us and named by its hold."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    held = {**CONNECTED, "held": True, "startHoldTime": at(5_000)}
    (hold,) = reader.frame(participant(held))
    assert (hold.event_type, hold.held, hold.occurred_at) == ("hold", True, at(5_000))
    (resume,) = reader.frame(participant(CONNECTED))
    assert (resume.event_type, resume.held, resume.estimated) == ("resume", False, True)
    assert resume.hold_started_at == hold.hold_started_at == at(5_000)
    assert resume.occurred_at == resume.received_at


def test_a_next_hold_between_two_frames_ends_the_first() -> None:
    """A held leg whose hold has another start was resumed unseen."""
    reader = Reader()
    reader.frame(participant({**CONNECTED, "held": True, "startHoldTime": at(5_000)}))
    events = reader.frame(participant({**CONNECTED, "held": True, "startHoldTime": at(7_000)}))
    assert [(e.event_type, e.hold_started_at) for e in events] == [
        ("resume", at(5_000)),
        ("hold", at(7_000)),
    ]


def test_holds_without_times_are_told_apart_by_number() -> None:
    """Without `startHoldTime` two holds of a leg still have different ids, and are estimated."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    ids = []
    for _ in range(2):
        (hold,) = reader.frame(participant({**CONNECTED, "held": True}))
        (resume,) = reader.frame(participant(CONNECTED))
        assert hold.hold_started_at is None
        assert hold.estimated
        ids += [hold.event_id, resume.event_id]
    assert len(set(ids)) == 4


def test_a_late_frame_before_a_hold_is_put_right() -> None:
    """A resume that a late frame made up is corrected by a snapshot reading of its own id."""
    reader = Reader()
    held = {**CONNECTED, "held": True, "startHoldTime": at(5_000)}
    for shown in (CONNECTED, held, CONNECTED):
        reader.frame(participant(shown))
    (again,) = reader.frame(participant(held))
    assert (again.event_type, again.origin, again.held) == ("hold", "snapshot", True)
    (resumed,) = reader.frame(participant(CONNECTED))
    assert (resumed.event_type, resumed.origin, resumed.held) == ("resume", "snapshot", False)


def test_a_leg_of_staff_first_seen_connected_is_read_not_witnessed() -> None:
    """Was it held before? A snapshot reading says how it is, beside the dated answer."""
    events = Reader().frame(participant(CONNECTED))
    assert types(events, snapshots=True) == ["start", "answer", "answer"]
    assert [e.origin for e in events] == ["live", "live", "snapshot"]
    assert events[1].event_id != events[2].event_id


def test_an_interruption_makes_holds_doubtful_once() -> None:
    """After lost frames the next one says again whether the leg is held; the one after does not."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    assert reader.frame(participant(CONNECTED)) == []
    reader.normaliser.interrupted()
    (event,) = reader.frame(participant(CONNECTED))
    assert (event.event_type, event.origin, event.held) == ("answer", "snapshot", False)
    assert reader.frame(participant(CONNECTED)) == []


def test_confinement_mute_and_consult_are_no_events() -> None:
    """A customer who hears hold music, a muted leg and a consult id change nothing."""
    reader = Reader()
    customer = participant({**CONNECTED, "confined": False}, purpose="customer")
    reader.frame(customer)
    shown = leg("connected", connectedTime=at(1_000), held=False, confined=True, muted=True)
    assert reader.frame(participant(shown, purpose="customer", consultParticipantId="p-9")) == []


def test_after_call_work_and_wrap_up_follow_the_end() -> None:
    """Both come after `end`, once for the participant, by their own times."""
    reader = Reader()
    reader.frame(participant(CONNECTED))
    reader.frame(participant(ENDED))
    (acw,) = reader.frame(participant(ENDED, startAcwTime=at(9_001)))
    assert (acw.event_type, acw.occurred_at, acw.state) == ("acw", at(9_001), "disconnected")
    wrapup = {"code": "code-1", "notes": "secret", "endTime": at(20_000)}
    (done,) = reader.frame(participant(ENDED, startAcwTime=at(9_001), wrapup=wrapup))
    assert (done.event_type, done.wrapup_code, done.occurred_at) == (
        "wrapup",
        "code-1",
        at(20_000),
    )
    assert reader.frame(participant(ENDED, startAcwTime=at(9_001), wrapup=wrapup)) == []


@pytest.mark.parametrize("state", ["skipped", "notApplicable"])
def test_after_call_work_that_does_not_take_place_is_no_event(state: str) -> None:
    """Whatever times stand beside it."""
    shown = {**ENDED, "afterCallWork": {"state": state, "startTime": at(9_000)}}
    assert "acw" not in types(Reader().frame(participant(shown)))


def test_after_call_work_that_is_only_pending_has_not_begun() -> None:
    """`pending` stands there during the whole call; the start time is what tells."""
    reader = Reader()
    reader.frame(participant({**CONNECTED, "afterCallWork": {"state": "pending"}}))
    shown = {**ENDED, "afterCallWork": {"state": "pending", "startTime": at(9_000)}}
    assert types(reader.frame(participant(shown))) == ["disconnect", "acw", "end"]


def test_after_call_work_names_the_medium_that_was_handled() -> None:
    """Of a participant with a callback and a call, the answered one was handled."""
    call = {**ENDED, "id": "comm-2"}
    callback = leg("disconnected", disconnectedTime=at(2_000))
    shown = participant(call, startAcwTime=at(9_000))
    shown["callbacks"] = [callback]
    assert only(Reader().frame(shown), "acw").media_type == "call"
    del shown["calls"]
    shown["callbacks"] = [ENDED]
    shown["calls"] = [{**callback, "id": "comm-2"}]
    assert only(Reader().frame(shown), "acw").media_type == "callback"


def test_after_call_work_of_a_callback_that_dialled_is_of_the_callback() -> None:
    """Both legs were answered: the one that tells its own counts, else the earlier one."""
    call = {**ENDED, "id": "comm-2", "connectedTime": at(3_000)}
    shown = participant(call, startAcwTime=at(9_000), wrapup={"code": "w-1", "endTime": at(9_900)})
    shown["callbacks"] = [ENDED]
    for event_type in ("acw", "wrapup"):
        assert only(Reader().frame(shown), event_type).media_type == "callback"
    for mark in (
        {"afterCallWork": {"state": "complete", "startTime": at(9_000)}},
        {"wrapup": {"code": "w-1"}},
    ):
        marked = {**shown, "calls": [{**call, **mark}]}
        assert only(Reader().frame(marked), "acw").media_type == "call"


def test_a_conversation_that_goes_on_ends_anew() -> None:
    """A live leg after `end` has its own events, and the next `end` another id."""
    reader = Reader()
    first = only(reader.frame(participant(ENDED)), "end")
    second = participant(leg("alerting"), participant_id="p-2")
    assert types(reader.frame(participant(ENDED), second)) == ["alert"]
    events = reader.frame(participant(ENDED), participant(ENDED, participant_id="p-2"))
    assert types(events) == ["answer", "disconnect", "end"]
    assert only(events, "end").event_id != first.event_id


def test_an_end_repeats_only_for_other_legs() -> None:
    """The frames of after-call work do not end the conversation again."""
    reader = Reader()
    assert types(reader.frame(participant(ENDED)))[-1] == "end"
    changed = {**ENDED, "state": "terminated", "disconnectType": "client"}
    assert reader.frame(participant(changed)) == []


def test_several_communications_of_one_medium_have_ids_of_their_own() -> None:
    """A participant's second call is another leg, wherever it stands in the array."""
    two = Reader().frame(participant(CONNECTED, {**CONNECTED, "id": "comm-2"}))
    single = Reader().frame(participant(CONNECTED))
    answers = [e for e in two if e.event_type == "answer" and e.origin == "live"]
    assert [e.communication_id for e in answers] == ["comm-1", "comm-2"]
    assert answers[0].event_id == only(single, "answer").event_id != answers[1].event_id


PARKS = {
    "kept": (at(2_000), at(2_000), at(4_000), at(4_000)),
    "gone": (at(2_000), None, at(4_000), None),
    "moved on": (at(2_000), at(2_000), at(4_000), None),
}


@pytest.mark.parametrize("medium", ["email", "message"])
@pytest.mark.parametrize("keys", sorted(PARKS))
def test_parks_are_told_by_the_state_of_the_leg(medium: str, keys: str) -> None:
    """Whatever becomes of `parkTime`: a park at its time, an unpark when the leg is seen back.

    `resumeTime` is when somebody means to go on; nothing is ever dated by it.
    """
    reader = Reader()
    told = []
    states = ("parked", "connected", "parked", "connected")
    reader.frame(participant(CONNECTED, medium=medium))
    for state, since in zip(states, PARKS[keys], strict=True):
        shown = {**CONNECTED, "state": state, "parkTime": since, "resumeTime": at(9_000_000)}
        told += reader.frame(participant(shown, medium=medium))
        told += reader.frame(participant(shown, medium=medium))  # nothing new
    assert [(e.event_type, e.state, e.estimated) for e in told] == [
        ("park", "parked", False),
        ("unpark", "connected", True),
    ] * 2
    assert [e.occurred_at for e in told[::2]] == [at(2_000), at(4_000)]
    assert all(e.occurred_at == e.received_at for e in told[1::2])
    assert len({e.event_id for e in told}) == 4


def test_between_two_parks_a_leg_is_connected() -> None:
    """The second park is seen before the end of the first one: its `unpark` is not parked."""
    reader = Reader()
    first = reader.frame(participant({**CONNECTED, "state": "parked", "parkTime": at(2_000)}))
    told = reader.frame(participant({**CONNECTED, "state": "parked", "parkTime": at(4_000)}))
    assert [(e.event_type, e.state) for e in told] == [("unpark", "connected"), ("park", "parked")]
    view = folded(first + told).legs["p-1 comm-1"]
    assert (view.state, view.parked_at) == ("parked", at(4_000))


def test_a_park_that_was_over_before_it_was_seen_is_told() -> None:
    """Its key is still there: both are told, and the leg is not parked."""
    shown = {**CONNECTED, "parkTime": at(2_000), "resumeTime": at(9_000_000)}
    events = Reader().frame(participant(shown, medium="email"))
    assert types(events) == ["start", "answer", "park"]
    assert types(events, snapshots=True)[3:] == ["unpark", "answer"]
    assert folded(events).legs["p-1 comm-1"].state == "connected"


@pytest.mark.parametrize("since", [at(2_000), None], ids=["dated", "undated"])
@pytest.mark.parametrize("keys", ["kept", "gone"])
def test_a_parked_leg_that_rings_again_is_not_parked(since: str | None, keys: str) -> None:
    """It is unparked when it rings, and read as connected when it is answered: its alert and its
    answer were told before. The same once more.
    """
    reader = Reader()
    parked = {**CONNECTED, "state": "parked", "parkTime": since}
    live = {**CONNECTED, "parkTime": since if keys == "kept" else None}
    rings = {**live, "state": "alerting"}
    events = reader.frame(participant(CONNECTED, medium="email"))
    for number in range(2):
        if number and since:
            for shown in (parked, *([live, rings] if keys == "kept" else [])):
                shown["parkTime"] = at(4_000)
        told = []
        states = []
        for shown in (parked, rings, rings, live, live):
            told += (found := reader.frame(participant(shown, medium="email")))
            events += found
            states.append(folded(events).legs["p-1 comm-1"].state)
        assert [(e.event_type, e.state, e.origin) for e in told] == [
            ("park", "parked", "live"),
            ("unpark", "alerting", "live"),
            ("answer", "connected", "snapshot"),
        ]
        assert states == ["parked", "alerting", "alerting", "connected", "connected"]


def test_a_parked_leg_that_rings_again_may_be_parked_again_or_end() -> None:
    """Unanswered, by its next park or its end."""
    for since in (at(4_000), None):
        reader = Reader()
        reader.frame(participant({**CONNECTED, "state": "parked"}, medium="email"))
        rings = {**CONNECTED, "state": "alerting"}
        assert types(reader.frame(participant(rings, medium="email"))) == ["unpark"]
        again = {**CONNECTED, "state": "parked", "parkTime": since}
        assert types(reader.frame(participant(again, medium="email"))) == ["park"]
        assert types(reader.frame(participant(rings, medium="email"))) == ["unpark"]
        assert types(reader.frame(participant(ENDED, medium="email"))) == ["disconnect", "end"]


def test_a_late_alert_does_not_unpark() -> None:
    """A frame from before the answer shows neither the answer nor the park."""
    reader = Reader()
    parked = {**CONNECTED, "state": "parked", "parkTime": at(2_000)}
    reader.frame(participant(parked, medium="email"))
    assert types(reader.frame(participant(leg("alerting"), medium="email"))) == ["alert"]
    assert reader.frame(participant(parked, medium="email")) == []


def test_a_leg_that_ends_while_parked_or_held_has_no_unpark_and_no_resume() -> None:
    """They end with their leg."""
    reader = Reader()
    reader.frame(
        participant({**CONNECTED, "state": "parked", "parkTime": at(2_000)}, medium="email")
    )
    events = reader.frame(participant({**ENDED, "parkTime": at(2_000)}, medium="email"))
    assert types(events) == ["disconnect", "end"]
    reader = Reader()
    reader.frame(participant({**CONNECTED, "held": True, "startHoldTime": at(5_000)}))
    assert types(reader.frame(participant({**ENDED, "held": True}))) == ["disconnect", "end"]


def test_a_scheduled_callback_waits_without_events() -> None:
    """`scheduled` is neither dialing nor alerting; its conversation has started all the same."""
    reader = Reader()
    assert types(reader.frame(participant(leg("scheduled"), medium="callback"))) == ["start"]
    events = reader.frame(participant(leg("alerting"), medium="callback"))
    assert types(events) == ["alert"]


@pytest.mark.parametrize("state", ["dialing", "contacting", "offering"])
def test_dialing_contacting_and_offering_are_one_dial(state: str) -> None:
    """Whichever comes first is the dial; the others add nothing."""
    reader = Reader()
    events = reader.frame(participant(leg(state)))
    assert only(events, "dial").state == state
    assert only(events, "dial").origin == "live"
    assert reader.frame(participant(leg("contacting"))) == []


def test_a_late_frame_adds_history_and_takes_nothing_back() -> None:
    """A leg that ended stays ended; an alert that only a late frame shows is still told."""
    reader = Reader()
    reader.frame(participant(ENDED), participant(CONNECTED, participant_id="p-2"))
    late = reader.frame(
        participant(leg("alerting")),
        participant({**CONNECTED, "held": True, "startHoldTime": at(3_000)}, participant_id="p-2"),
    )
    assert types(late) == ["alert", "hold"]
    assert (
        reader.frame(participant(ENDED), participant(CONNECTED, participant_id="p-2"))[0].event_type
        == "resume"
    )


def test_a_late_frame_does_not_release_the_holds_of_others() -> None:
    """A frame from before a hold, known by another leg, says nothing against the hold."""
    reader = Reader()
    held = {**CONNECTED, "held": True, "startHoldTime": at(5_000)}
    reader.frame(participant(held), participant(CONNECTED, participant_id="p-2"))
    late = reader.frame(participant(CONNECTED), participant(leg("alerting"), participant_id="p-2"))
    assert types(late) == ["alert"]


def test_absent_null_and_empty_are_read_as_nothing() -> None:
    """Frames without participants, legs, times, references or states raise nothing."""
    reader = Reader()
    assert reader.frame() == []
    assert reader.frame({"id": "p-1"}, {}, {"id": None}, {"purpose": "agent"}) == []
    assert reader.frame({"id": "p-1", "calls": [], "chats": None}) == []
    empty: dict[str, object] = {}
    shown = participant(empty, wrapup=empty, queue=empty, user=empty, userId=None, purpose=None)
    events = reader.frame(shown)
    assert types(events) == ["start"]
    assert reader.frame(participant({"state": None, "held": None, "wrapup": None})) == []


def test_an_empty_communication_id_is_none() -> None:
    """The medium names the leg then, as without an id."""
    named, bare = ({**CONNECTED, "id": ""}, {**CONNECTED, "id": None})
    first, second = (only(Reader().frame(participant(one)), "answer") for one in (named, bare))
    assert first.communication_id is None
    assert first.event_id == second.event_id


def test_unknown_words_pass_through() -> None:
    """A state, purpose or disconnect type of tomorrow is what the event says."""
    reader = Reader()
    events = reader.frame(participant({**CONNECTED, "state": "levitating"}, purpose="robot"))
    assert (only(events, "answer").purpose, only(events, "answer").state) == ("robot", "connected")
    shown = {**ENDED, "disconnectType": "abducted.byAliens"}
    events = reader.frame(participant(shown, purpose="robot"))
    assert only(events, "disconnect").disconnect_type == "abducted.byAliens"


def test_conversation_events_have_no_leg() -> None:
    """`start` and `end` carry null in all fields of legs."""
    for event in Reader().frame(participant(ENDED)):
        fields = (event.participant_id, event.media_type, event.communication_id, event.purpose)
        assert (event.event_type in {"start", "end"}) == (fields == (None,) * 4)


def test_the_queue_of_a_customer_is_what_the_frame_shows() -> None:
    """`queue_id` is the participant's own, never guessed from another's."""
    events = Reader().frame(
        participant(CONNECTED, purpose="customer"),
        participant(CONNECTED, participant_id="p-2", queueId="q-1"),
    )
    assert {e.participant_id: e.queue_id for e in events} == {None: None, "p-1": None, "p-2": "q-1"}


@pytest.mark.parametrize("purpose", ["customer", "agent", "external"])
def test_empty_ids_of_queue_and_user_are_none(purpose: str) -> None:
    """An event has null where there is nothing, never empty text."""
    shown = participant(ENDED, purpose=purpose, queueId="", userId="")
    assert {(e.queue_id, e.agent_id) for e in Reader().frame(shown)} == {(None, None)}


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("2026-11-23T10:00:00Z", "2026-11-23T10:00:00.000Z"),
        ("2026-11-23T10:00:00.123456Z", "2026-11-23T10:00:00.123Z"),
        ("2026-11-23T12:00:00.1+02:00", "2026-11-23T10:00:00.100Z"),
        ("2026-11-23T10:00:00.123+0000", "2026-11-23T10:00:00.123Z"),
        ("2024-02-29T10:00:00.123Z", "2024-02-29T10:00:00.123Z"),
    ],
)
def test_times_of_other_precision_are_converted(shown: str, told: str) -> None:
    """Every event has milliseconds and UTC, whatever Genesys wrote."""
    event = only(Reader().frame(participant({**CONNECTED, "connectedTime": shown})), "answer")
    assert (event.occurred_at, event.estimated) == (told, False)


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "soon",
        "2026-02-30T10:00:00.000Z",
        "2026-13-01T10:00:00.000Z",
        "aaaa-bb-ccTdd:ee:ff.gggZ",
        "0000-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
        "٢٠٢٦-11-23T10:00:00.123Z",
        "2026-11-23T10:00:00.123Z\n",
    ],
)
def test_what_is_no_time_counts_for_none(shown: str) -> None:
    """Then the time is ours, and says so. The frame is a dead letter besides."""
    broken = participant({**CONNECTED, "connectedTime": shown}, purpose="customer")
    reading = Reader().read(frame(conversation(broken)))
    events, problem = reading.events, reading.problem
    assert (problem is not None and problem.error == "InvalidTime") == bool(shown)
    (answer,) = [e for e in events if e.event_type == "answer"]
    assert answer.estimated
    assert answer.occurred_at == answer.received_at


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("endpoint.donotdisturb", "endpoint.dnd"),
        ("dndTransfer", "transfer.dnd"),
        ("transferDnd", "transfer.dnd"),
        ("DND_ENDPOINT", "endpoint.dnd"),
        ("noAnswerTransfer", "transfer.noanswer"),
        ("NOT_AVAILABLE_TRANSFER", "transfer.notavailable"),
        ("SESSION_EXPIRED", "session.expired"),
        ("transportFailure", "transport.failure"),
        ("transfer.consult", "transfer.consult"),
        ("PEER", "peer"),
        ("", None),
        (None, None),
        ("Something.New", "Something.New"),
    ],
)
def test_disconnect_types_have_one_spelling(word: str | None, told: str | None) -> None:
    """That of notifications, whichever surface said it."""
    assert disconnect_type(word) == told


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("v2.users.u.conversations", "conversation"),
        ("V2.Routing.Queues.Q.Conversations", "conversation"),
        ("v2.users.u.conversations.calls", "unknown"),
        ("v2.routing.queues.q.conversations.videos", "unknown"),
        ("v2.users.u.conversationsummary", "unknown"),
        ("v2.users.u.conversations.c.recordings", "unknown"),
        ("v2.users.u.routingStatus", "agent"),
        ("channel.metadata", "channel"),
        ("v2.system.socket_closing", "system"),
        ("streaming-subscriptions-expiring", "system"),
    ],
)
def test_topics_say_what_their_frames_are(topic: str, kind: str) -> None:
    """Compared without regard to case; what is not known is `unknown`."""
    assert classify(topic) == kind


def test_every_medium_has_an_array_and_a_rank_every_type() -> None:
    """The tables are whole: eleven media, of which analytics names all but social expressions."""
    assert set(ARRAY) == set(MEDIA_OF_ARRAY.values())
    assert set(MEDIA_OF_ANALYTICS.values()) == set(ARRAY) - {"social_expression"}
    assert len(RANK) == 15


def test_heartbeats_and_pongs_are_told_apart() -> None:
    """Neither has a version or metadata."""
    beat = b'{"topicName":"channel.metadata","eventBody":{"message":"WebSocket Heartbeat"}}'
    pong = b'{"topicName":"channel.metadata","eventBody":{"message":"pong"}}'
    kinds = [Reader().read(raw).kind for raw in (beat, pong)]
    assert kinds == ["heartbeat", "pong"]


def test_memory_is_bounded_and_forgetting_is_harmless() -> None:
    """Beyond its size the quietest conversation goes; its next frame repeats the same ids."""
    reader = Reader(Normaliser(max_conversations=2))
    first = reader.frame(participant(CONNECTED))
    for number in range(5):
        reader.read(frame({"id": f"c-{number}", "participants": [participant(CONNECTED)]}))
    assert len(reader.normaliser.memory) == 2
    again = reader.frame(participant(CONNECTED))
    assert [e.event_id for e in again[:2]] == [e.event_id for e in first[:2]]


def test_an_ended_conversation_is_forgotten_after_its_grace() -> None:
    """After-call work may take the grace from the last frame on, not from the end."""
    reader = Reader(Normaliser(grace=10.0))
    reader.frame(participant(ENDED))
    reader.seconds += 9
    reader.frame(participant(ENDED, startAcwTime=at(9_000)))
    reader.seconds += 8
    reader.read(frame({"id": "c-2", "participants": []}))
    assert len(reader.normaliser.memory) == 2
    reader.seconds += 3
    reader.read(frame({"id": "c-2", "participants": []}))
    assert len(reader.normaliser.memory) == 1


def test_a_leg_that_replaced_another_is_not_answered_by_its_participants_time() -> None:
    """The participant was connected by an earlier leg, which is shown no more."""
    missed = leg("disconnected", disconnectedTime=at(9_000), disconnectType="system")
    events = Reader().frame(participant(missed, connectedTime=at(1_000), endTime=at(9_000)))
    assert types(events) == ["start", "disconnect", "end"]
