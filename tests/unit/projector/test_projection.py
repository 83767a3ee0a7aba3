"""The pure projection: each transition once, the same view whatever came how often."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView, fold
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.published import PublishedView, published
from tests.unit.conversation import test_cases as conversation_cases
from tests.unit.conversation.golden import GOLDEN
from tests.unit.projector.build import GRACE_MS, Outcome

CASES = sorted(path.stem for path in (GOLDEN / "cases").glob("*.jsonl"))
ENDED = "H15_rest_chat_customer_only_2021"
ENDED_WITH_WORK = "S10_acw_ends_without_code"
HOUR_MS = 3_600_000
LATE = "2026-11-27T12:00:00.000Z"


@cache
def case(name: str) -> tuple[Event, ...]:
    """The reviewed events of a flow, in the order of the log."""
    lines = (GOLDEN / "cases" / f"{name}.jsonl").read_bytes().splitlines()
    return tuple(msgspec.json.decode(line, type=Event) for line in lines)


def frames(name: str) -> list[Any]:
    """The frames of a flow."""
    return conversation_cases.case(name)  # read anew


def folded(events: Sequence[Event]) -> dict[str, ConversationView]:
    """What a consumer of the whole stream sees."""
    views: dict[str, ConversationView] = {}
    for event in events:
        views[event.conversation_id] = fold(views.get(event.conversation_id), event)
    return views


def legs_of(outcome: Outcome) -> dict[str, object]:
    """The views, without what depends on which copy came first: times of reading."""
    return {
        key: msgspec.structs.replace(view, updated_at="") for key, view in outcome.views.items()
    }


def assert_is(shown: PublishedView, view: ConversationView) -> None:
    """A published view shows what was folded, but for `since`, which has tests of its own."""
    expected = published(
        view,
        ((leg, "") for leg in view.legs.values()),
        updated_at=shown.updated_at,
        events=shown.events,
    )
    for leg, wanted in zip(shown.legs, expected.legs, strict=True):
        leg.since = wanted.since
    assert shown == expected


def ids(events: Sequence[Event]) -> list[str]:
    """Their ids, in order."""
    return [event.event_id for event in events]


@pytest.mark.parametrize("name", CASES)
def test_a_view_is_the_fold_of_the_stream(name: str) -> None:
    """Every field that a consumer could have folded by itself."""
    outcome = Outcome()
    outcome.feed(case(name))
    for key, view in folded(case(name)).items():
        shown = outcome.views[key]
        assert_is(shown, view)
        assert shown.events == len({e.event_id for e in case(name) if e.conversation_id == key})


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[tuple[Event, ...], list[Event], list[int]]:
    """A flow as two replicas tell it, either one repeating itself, and sizes of batches."""
    events = case(draw(st.sampled_from(CASES)))
    replicas = [list(events), list(events)]
    for replica in replicas:
        if draw(st.booleans()):  # told again from some event on, as after a spool or a restart
            at = draw(st.integers(0, len(events)))
            replica[at:at] = replica[:at]
    mixed: list[Event] = []
    while any(replicas):
        side = draw(st.integers(0, 1))
        replica = replicas[side] or replicas[1 - side]
        mixed.append(replica.pop(0))
    return events, mixed, draw(st.lists(st.integers(1, 8), min_size=1, max_size=5))


@given(deliveries(), st.data())
def test_any_delivery_gives_each_event_once_and_the_same_view(
    delivery: tuple[tuple[Event, ...], list[Event], list[int]], data: st.DataObject
) -> None:
    """Whatever is repeated and however replicas mix, in batches of any size, with another projector
    taking over between any two, and with batches that were drafted and not committed.
    """
    events, mixed, sizes = delivery
    plain, outcome = Outcome(), Outcome()
    plain.feed(events)
    for turn, _ in enumerate(mixed):
        size = sizes[turn % len(sizes)]
        batch, mixed = mixed[:size], mixed[size:]
        if data.draw(st.booleans()):
            outcome.draft(batch)  # aborted
        outcome.project(batch)
        if data.draw(st.booleans()):
            outcome.restart()
        if not mixed:
            break
    assert sorted(ids(outcome.once)) == sorted(set(ids(events)))
    assert ids(outcome.once) == list(dict.fromkeys(ids(outcome.once)))
    assert legs_of(outcome) == legs_of(plain)


@given(deliveries(), st.data())
def test_readings_under_the_id_of_a_transition_are_folded_as_a_consumer_folds_them(
    delivery: tuple[tuple[Event, ...], list[Event], list[int]], data: st.DataObject
) -> None:
    """A listener that first sees a leg in the middle may read what another one saw happen, without
    its time: the dated event may come before or after that, and still counts.
    """
    _, mixed, sizes = delivery
    for place, event in enumerate(mixed):
        if event.participant_id is not None and data.draw(st.booleans()):
            mixed[place] = msgspec.structs.replace(
                event, origin="snapshot", estimated=True, occurred_at=event.received_at
            )
    outcome, left = Outcome(), mixed
    for size in (*sizes, len(mixed)):
        outcome.project(left[:size])
        outcome.restart()
        left = left[size:]
    assert ids(outcome.once) == list(dict.fromkeys(ids(mixed)))
    for key, view in folded(mixed).items():
        assert_is(outcome.views[key], view)


LAST_QUEUES = {
    "S01_message_reassigned_to_same_agent": "000000a2-0000-4000-8000-000000000000",
    "S02_no_answer_then_reroute": "000000a1-0000-4000-8000-000000000000",
    "S18_blind_transfer_to_queue": "000000a2-0000-4000-8000-000000000000",
}


@pytest.mark.parametrize("name", LAST_QUEUES)
def test_the_queue_of_a_conversation_is_that_of_its_latest_leg_whatever_its_place(
    name: str,
) -> None:
    """Of a last frame at first sight, its arrays in any order; live and over."""
    body = frames(name)[-1]
    for over in (False, True):
        for seed in range(20):
            rng = random.Random(seed)
            participants = body["eventBody"]["participants"]
            rng.shuffle(participants)
            for participant in participants:
                for array in participant.values():
                    if isinstance(array, list):
                        rng.shuffle(array)
                        for leg in array:
                            if over and "disconnectedTime" not in leg:
                                leg |= {"state": "terminated", "disconnectedTime": LATE}
            raw = msgspec.json.encode(body)
            outcome = Outcome()
            outcome.feed(Normaliser().frame(raw, LATE, 0.0).events)
            (view,) = outcome.views.values()
            assert view.state == ("ended" if over else "active")
            assert view.queue_id == LAST_QUEUES[name]


@pytest.mark.parametrize("name", CASES)
def test_a_restart_between_any_two_events_changes_nothing(name: str) -> None:
    """What is kept in Kafka is all that the fold needs: the same bytes come out."""
    plain = Outcome()
    plain.feed(case(name), batch=1)
    outcome = Outcome()
    for event in case(name):
        outcome.project([event])
        outcome.restart()
    assert outcome.log == plain.log
    assert outcome.partition.kept == plain.partition.kept


def test_a_repeat_changes_and_writes_nothing() -> None:
    """The second copy of everything costs no record."""
    outcome = Outcome()
    outcome.feed(case("S04_consult_transfer_completed"))
    written = len(outcome.log)
    outcome.feed(case("S04_consult_transfer_completed"))
    assert len(outcome.log) == written


def test_a_draft_that_is_dropped_leaves_no_trace() -> None:
    """A transaction was aborted: the same records give the same outcome again."""
    outcome = Outcome()
    outcome.feed(case("S01_message_reassigned_to_same_agent")[:5])
    before = dict(outcome.partition.kept), outcome.partition.following
    _, once, log = outcome.draft(case("S01_message_reassigned_to_same_agent")[5:])
    assert (dict(outcome.partition.kept), outcome.partition.following) == before
    assert outcome.draft(case("S01_message_reassigned_to_same_agent")[5:])[1:] == (once, log)


def ended(outcome: Outcome) -> str:
    """Project a conversation that ends; its id."""
    outcome.feed(case(ENDED), ends=True)
    ((key, view),) = outcome.views.items()
    assert view.state == "ended"
    return key


def test_a_conversation_that_ended_goes_after_its_grace() -> None:
    """And not before; a tombstone takes it from all who read the topic."""
    outcome = Outcome()
    ended(outcome)
    outcome.clock_ms = GRACE_MS - 1
    outcome.feed([], ends=True)
    assert outcome.views
    outcome.clock_ms = GRACE_MS
    outcome.feed([], ends=True)
    assert outcome.log[-1].value is None
    assert not outcome.views
    assert not outcome.partition.kept
    outcome.restart()
    assert not outcome.partition.kept


def test_days_that_are_read_again_are_no_days_of_grace() -> None:
    """A rebuild reads the copies of an event behind it, however long ago both were: the clock of a
    partition is its records' until its end is reached.
    """
    outcome = Outcome()
    outcome.clock_ms = 5 * HOUR_MS
    outcome.feed(case(ENDED))
    outcome.feed(case(ENDED))
    assert len(outcome.once) == len(set(ids(outcome.once)))
    outcome.clock_ms = 5 * HOUR_MS + GRACE_MS
    (event,) = case("S17_internal_call")[:1]
    outcome.feed([event])  # a record of a day later
    assert outcome.log[-1].value is None


@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_was_far_ahead_keeps_no_later_conversation(*, restarts: bool) -> None:
    """What ended meanwhile stays until that time. What ended later goes as ever."""
    outcome = Outcome()
    outcome.clock_ms = 365 * GRACE_MS
    early = ended(outcome)
    outcome.clock_ms = HOUR_MS
    outcome.feed(case(ENDED_WITH_WORK), ends=True)
    assert len(outcome.views) == 2
    if restarts:
        outcome.restart()
    outcome.clock_ms = HOUR_MS + GRACE_MS
    outcome.feed([], ends=True)
    assert outcome.views.keys() == {early}
    outcome.clock_ms = 366 * GRACE_MS
    outcome.feed([], ends=True)
    assert not outcome.partition.kept


def test_after_call_work_prolongs_the_grace() -> None:
    """It counts from the last change, so that what belongs together goes together."""
    outcome = Outcome()
    events = case(ENDED_WITH_WORK)
    outcome.feed(events[:-1], ends=True)
    outcome.clock_ms = GRACE_MS - 1
    outcome.feed(events[-1:], ends=True)
    outcome.clock_ms = GRACE_MS
    outcome.feed([], ends=True)
    assert outcome.views


def test_what_holds_no_event_is_passed_over() -> None:
    """Garbage, nothing at all, and an event whose id is none; each counted."""
    outcome = Outcome()
    (event,) = case("S17_internal_call")[:1]
    draft, *_ = outcome.draft([])
    odd = msgspec.structs.replace(event, event_id="not hex")
    short = msgspec.structs.replace(event, event_id="ab")
    values = [None, b"", b"{", b"\xc1", msgspec.json.encode(odd), msgspec.json.encode(short)]
    assert [draft.take(offset, value, 0) for offset, value in enumerate(values)] == [False] * 6
    assert (draft.unreadable, draft.following) == (6, 6)


def test_both_encodings_are_read() -> None:
    """As after a change of MIRROR_ENCODING; a copy in the other one is a repeat."""
    (event,) = case("S17_internal_call")[:1]
    draft = Outcome().draft([])[0]
    assert draft.take(0, msgspec.msgpack.encode(event), 0)
    assert not draft.take(1, msgspec.json.encode(event), 0)


def test_a_lost_offset_is_found_in_the_conversations() -> None:
    """The group's offsets expire after a week without a projector; what was projected does not
    count again.
    """
    outcome = Outcome()
    events = case("S17_internal_call")
    outcome.feed(events)
    outcome.partition.following = 0  # of which a restart knows nothing
    outcome.restart()
    assert outcome.partition.following == len(events)
