"""The tracker's fold: what is active after these events, however they repeat (guarantees 3, 7)."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from coordinator.tracker.batch import changes, read
from coordinator.tracker.fold import (
    HEARD_EVERY_MS,
    MAX_OPEN,
    MAX_OVER,
    MAX_PLACES,
    TrackedEvent,
    fold,
)
from mirror.conversation.event import Event
from mirror.conversation.legs import LegKey, end_id
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.times import epoch_ms
from mirror.fleet.tracked import Tracked, decode, encode, threshold_ms

CONVERSATION = "c0000000-0000-4000-8000-000000000001"
RECEIVED = "2026-11-23T10:00:30.000Z"
CONNECTED = "2026-11-23T10:00:00.000Z"
ENDED = "2026-11-23T10:05:00.000Z"


def call(state: str, number: int = 1, **more: Any) -> dict[str, Any]:
    """One communication of a call."""
    times: dict[str, Any] = {}
    if state in {"connected", "disconnected"}:
        times["connectedTime"] = CONNECTED
    if state == "disconnected":
        times["disconnectedTime"] = ENDED
    return {"id": f"call-{number}", "state": state, "direction": "inbound", **times, **more}


def participant(name: str, *calls: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A participant with these calls."""
    purpose = name.rstrip("0123456789")
    return {"id": name, "purpose": purpose, "calls": list(calls), **more}


def events(*snapshots: list[dict[str, Any]]) -> list[Event]:
    """What a listener reports of these snapshots of one conversation."""
    normaliser = Normaliser()
    found: list[Event] = []
    for snapshot in snapshots:
        frame = {
            "topicName": "v2.users.u1.conversations",
            "eventBody": {"id": CONVERSATION, "participants": snapshot},
        }
        found += normaliser.frame(msgspec.json.encode(frame), RECEIVED, 0.0).events
    return found


def seen(reported: list[Event]) -> list[TrackedEvent]:
    """The same events as the tracker reads them."""
    found, unreadable = read([msgspec.json.encode(event) for event in reported])
    assert not unreadable
    return [event for known in found.values() for event in known]


def folded(reported: list[Event], tracked: Tracked | None = None) -> Tracked:
    """The conversation after these events."""
    for event in seen(reported):
        tracked = fold(tracked, event)
    assert tracked is not None
    return tracked


CUSTOMER = participant("customer1", call("connected", 1))
RINGING = participant("agent1", call("alerting", 2), userId="u1", queueId="q1")
TALKING = participant("agent1", call("connected", 2), userId="u1", queueId="q1")
GONE = participant("agent1", call("disconnected", 2), userId="u1", queueId="q1")
CUSTOMER_GONE = participant("customer1", call("disconnected", 1))
LIFE = events(
    [CUSTOMER], [CUSTOMER, RINGING], [CUSTOMER, TALKING], [CUSTOMER, GONE], [CUSTOMER_GONE, GONE]
)


def test_a_conversation_is_active_until_its_end() -> None:
    """Open legs keep it active with what the janitor needs; `end` alone ends it."""
    ends = [index for index, event in enumerate(LIFE) if event.event_type == "end"]
    assert ends == [len(LIFE) - 1]
    before = folded(LIFE[:-1])
    assert not before.ended
    assert folded(LIFE).ended
    talking = folded(events([CUSTOMER], [CUSTOMER, TALKING]))
    agent = next(leg for leg in talking.legs if leg.purpose == "agent")
    assert (agent.agent_id, agent.queue_id, agent.state) == ("u1", "q1", "connected")
    assert (agent.communication_id, agent.answered, agent.direction) == ("call-2", True, "inbound")


def test_repeats_of_an_ended_conversation_do_not_open_it() -> None:
    """The other replica's copies, whole or in part and however late, change nothing."""
    once = encode(folded(LIFE))
    rng = random.Random(3)
    for _ in range(50):
        tracked = decode(once)
        repeats = LIFE[rng.randrange(len(LIFE)) :]
        assert encode(folded(repeats, tracked)) == once


def test_two_replicas_interleaved_give_what_one_gives() -> None:
    """Any interleaving of two copies ends in the same conversation as one copy."""
    rng = random.Random(4)
    wanted = folded(LIFE)
    for _ in range(100):
        first, second = list(LIFE), list(LIFE)
        mixed = []
        while first or second:
            source = first if not second or (first and rng.random() < 0.5) else second
            mixed.append(source.pop(0))
        got = folded(mixed)
        assert (got.ended, got.legs, sorted(got.over)) == (True, [], sorted(wanted.over))


def test_a_new_leg_after_the_end_opens_the_conversation_and_a_late_end_does_not_close_it() -> None:
    """A conversation goes on; the earlier `end`, repeated, does not know the new leg."""
    again = participant("agent2", call("connected", 3), userId="u2")
    goes_on = events([CUSTOMER_GONE, GONE], [CUSTOMER_GONE, GONE, again])
    first_end = next(event for event in goes_on if event.event_type == "end")
    tracked = folded([*goes_on, first_end])
    assert not tracked.ended
    assert [leg.agent_id for leg in tracked.legs] == ["u2"]


def test_an_end_that_knows_the_open_legs_closes_them() -> None:
    """Where disconnects were lost and the end was not, nothing stays open."""
    without = [event for event in LIFE if event.event_type != "disconnect"]
    tracked = folded(without)
    assert tracked.ended
    assert not tracked.legs


def test_two_calls_of_one_participant_are_two_legs() -> None:
    """The second ends and the first stays, whatever event of them comes first."""
    both = participant("agent1", call("connected", 1), call("connected", 2))
    single = participant("agent1", call("connected", 1), call("disconnected", 2))
    reported = events([both], [single])
    assert [leg.communication_id for leg in folded(reported).legs] == ["call-1"]
    # Read from the middle, as after a rebuild, each is still named by its communication.
    later = [event for event in reported if event.communication_id == "call-2"]
    tracked = folded(later)
    assert tracked.over == ["agent1 call-2"]


def test_after_call_work_neither_opens_nor_ends_a_leg() -> None:
    """Also for a participant that was never seen, as after a rebuild."""
    wrapup = {"code": "sale", "endTime": ENDED}
    after = participant("agent1", call("disconnected", 2), startAcwTime=ENDED, wrapup=wrapup)
    reported = events([CUSTOMER_GONE, GONE], [CUSTOMER_GONE, after])
    assert {"acw", "wrapup"} <= {event.event_type for event in reported}
    assert folded(reported).ended
    only = [event for event in reported if event.event_type in {"acw", "wrapup"}]
    assert folded(only).legs == []


def test_a_code_that_is_saved_long_after_the_end_makes_nothing_active() -> None:
    """What ended is kept for minutes; a later code is no conversation to be verified for hours."""
    work = [told(kind, "m-1", "disconnected") for kind in ("acw", "acw_end", "wrapup")]
    for event in work:
        assert after(event).ended
    assert not after(*work, told("answer", "m-2")).ended


def test_the_age_of_verification_follows_the_open_media() -> None:
    """A callback waits for days; when only its call is left, calls' age counts."""
    callback = {"id": "cb", "state": "scheduled"}
    both = {
        "id": "customer1",
        "purpose": "customer",
        "callbacks": [{**callback, "state": "connected", "connectedTime": CONNECTED}],
        "calls": [call("connected")],
    }
    left = {**both, "callbacks": [{**callback, "state": "disconnected", "disconnectedTime": ENDED}]}
    media = {"callback": 100.0}
    assert threshold_ms(folded(events([both])), 10.0, media) == 100_000
    assert threshold_ms(folded(events([both], [left])), 10.0, media) == 10_000


def test_a_batch_tells_what_changed_and_when_it_is_due() -> None:
    """New, ended and unchanged conversations; JSON and MessagePack on one topic."""
    begun = events([CUSTOMER])
    mixed = [
        msgspec.json.encode(begun[0]),
        msgspec.msgpack.encode(begun[1]),
        b"no event",
        None,
    ]
    conversations, unreadable = read(mixed)
    assert unreadable == 2
    (new,) = changes(conversations, [None], 10.0, {})
    since = decode(new.document).since_ms
    assert (new.was_due_ms, new.due_ms, new.threshold_ms) == (None, since + 10_000, 10_000)
    assert changes(conversations, [new.document.decode()], 10.0, {}) == []
    rest, _ = read([msgspec.json.encode(event) for event in events([CUSTOMER], [CUSTOMER_GONE])])
    (over,) = changes(rest, [new.document.decode()], 10.0, {})
    assert (over.was_due_ms, over.due_ms) == (since + 10_000, None)


def test_a_conversation_stays_active_between_a_janitors_end_and_its_finalize() -> None:
    """One that dies in between must find it again; anybody else's end is the end."""
    shown = events([CUSTOMER], [CUSTOMER_GONE])
    live = [event for event in shown if event.event_type != "end"]
    (end,) = (event for event in shown if event.event_type == "end")
    by_janitor = msgspec.structs.replace(end, origin="janitor")
    tracked = folded([*live, by_janitor])
    assert (tracked.legs, tracked.ended) == ([], False)
    final = msgspec.structs.replace(by_janitor, event_type="finalize", event_id="f")
    assert folded([*live, by_janitor, final]).ended
    assert folded([*live, by_janitor, end]).ended


def told(event_type: str, leg: str, state: str = "connected", **more: Any) -> TrackedEvent:
    """One event of a message leg."""
    fields: dict[str, Any] = {
        "event_id": f"{event_type} {leg}",
        "event_type": event_type,
        "conversation_id": CONVERSATION,
        "occurred_at": CONNECTED,
        "received_at": RECEIVED,
        "state": state,
        "participant_id": "agent",
        "communication_id": leg,
        "media_type": "message",
        **more,
    }
    return msgspec.convert(fields, TrackedEvent)


def after(*seen_events: TrackedEvent, tracked: Tracked | None = None) -> Tracked:
    """The conversation after these."""
    for event in seen_events:
        tracked = fold(tracked, event)
    assert tracked is not None
    return tracked


def test_legs_are_named_by_participant_and_communication() -> None:
    """Two communications of one medium are two legs, in whatever order they come; their end is
    named by both."""
    two = after(told("answer", "m-2"), told("answer", "m-1"))
    assert [leg.key for leg in two.legs] == [LegKey("agent", "m-2"), LegKey("agent", "m-1")]
    end = told("end", "", "ended", participant_id=None, media_type=None)
    other = msgspec.structs.replace(end, event_id=end_id(CONVERSATION, ["agent m-1"]))
    assert after(other, tracked=two).legs  # of before the second leg
    both = msgspec.structs.replace(end, event_id=end_id(CONVERSATION, ["agent m-1", "agent m-2"]))
    assert after(both, tracked=two).ended


def test_who_listens_is_no_agent_who_serves() -> None:
    """A role comes and goes with the readings of a leg; the leg keeps the conversation active."""
    leg = told("answer", "m-1", agent_id="u1", queue_id="q1", role="coach")
    (coach,) = after(leg).legs
    assert (coach.role, coach.serves) == ("coach", False)
    (plain,) = after(leg, told("answer", "m-1", origin="snapshot")).legs
    assert plain.serves
    assert not after(leg).ended


def test_the_end_of_after_call_work_opens_nothing() -> None:
    """With or without a code, also for a leg that was never seen."""
    work = told("acw_end", "m-1", "disconnected")
    assert after(work).legs == []
    over = after(told("answer", "m-1"), told("disconnect", "m-1", "disconnected"))
    assert after(work, tracked=over).legs == []


def test_a_thread_of_months_costs_what_a_call_costs() -> None:
    """Fifty thousand legs: what is kept is bounded, the count goes on, the latest end is sticky."""
    tracked: Tracked | None = None
    largest = 0
    for number in range(50_000):
        place = {"queue_id": f"q{number % 200}", "agent_id": f"u{number % 300}"}
        leg = f"m-{number}"
        tracked = after(
            told("answer", leg, **place),
            told("disconnect", leg, "disconnected", **place),
            tracked=tracked,
        )
        if number % 5_000 == 0:
            largest = max(largest, len(encode(tracked)))
    assert tracked is not None
    assert len(tracked.over) == MAX_OVER
    assert len(tracked.over) + tracked.forgotten == 50_000
    assert len(tracked.places) == MAX_PLACES
    assert largest < 16_384
    once = encode(tracked)
    assert encode(after(told("answer", "m-49999"), tracked=tracked)) == once


def test_a_conference_gone_wrong_is_bounded_and_stays_active() -> None:
    """Beyond so many open legs only the end of the conversation counts."""
    tracked = after(*(told("answer", f"m-{number}") for number in range(10 * MAX_OPEN)))
    assert len(tracked.legs) == MAX_OPEN
    for number in range(MAX_OPEN):
        tracked = after(told("disconnect", f"m-{number}", "disconnected"), tracked=tracked)
    assert (tracked.legs, tracked.ended) == ([], False)
    end = told("end", "", "ended", participant_id=None, media_type=None)
    assert after(end, tracked=tracked).ended


def test_where_a_leg_was_is_known_after_its_end() -> None:
    """A gap of its queue then still finds the conversation."""
    gone = after(
        told("answer", "m-1", queue_id="q1", agent_id="u1"),
        told("disconnect", "m-1", "disconnected"),
        told("answer", "m-2", queue_id="q2"),
    )
    assert gone.visited() == {"q1", "u1", "q2"}


def test_when_a_leg_was_last_heard_to_live_is_kept_rounded() -> None:
    """What repeats a moment later writes nothing; what ends is no sign of life."""
    tracked = after(told("answer", "m-1"))
    heard = tracked.heard_ms
    assert 0 <= epoch_ms(RECEIVED) - heard < HEARD_EVERY_MS
    again = told("answer", "m-1", received_at="2026-11-23T10:00:45.000Z")
    assert after(again, tracked=tracked).heard_ms == heard
    later = "2026-11-23T10:07:00.000Z"
    assert after(told("hold", "m-1", received_at=later), tracked=tracked).heard_ms > heard
    ended = after(told("answer", "m-1"), told("disconnect", "m-1", "x", received_at=later))
    assert ended.heard_ms == heard


def test_a_document_of_another_form_is_begun_anew() -> None:
    """As after an upgrade: the tracker folds the topic anew, and nobody fails meanwhile."""
    old = '[1764000000000,[["p","call",0,"c"]],[],false]'
    conversations, _ = read([msgspec.json.encode(events([CUSTOMER])[0])])
    (new,) = changes(conversations, [old], 10.0, {})
    assert new.was_due_ms is None
    assert decode(new.document).since_ms > 0
