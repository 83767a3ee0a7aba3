"""What is kept of a conversation: bounded, and good for judging what comes late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from mirror.conversation.event import Event, EventType
from mirror.conversation.fold import fold
from mirror.conversation.legs import leg_key, transition_id
from mirror.conversation.times import show
from mirror.kafka.kept import ID_BYTES, UnknownFormat, read_head
from projector.memory import MAX_IDS, MAX_LEGS, Conversation, raw_id, tombstone
from tests.unit.projector.build import Outcome

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def at(number: int) -> str:
    """A time, later for larger numbers."""
    return show(BEGIN + timedelta(seconds=number))


def told(kind: EventType, leg: str, number: int, **more: object) -> Event:
    """An event of an agent's leg, at a time of Genesys'."""
    state = "disconnected" if kind in {"disconnect", "acw", "acw_end"} else "connected"
    occurrence = str(more.get("hold_started_at") or more.get("wrapup_code") or "")
    return msgspec.convert(
        {
            "event_id": transition_id("c-1", leg_key("p-1", leg, "message"), kind, occurrence),
            "event_type": kind,
            "conversation_id": "c-1",
            "participant_id": "p-1",
            "communication_id": leg,
            "media_type": "message",
            "purpose": "agent",
            "state": state,
            "occurred_at": at(number),
            "received_at": at(number),
            **more,
        },
        type=Event,
    )


def thread(legs: int) -> list[Event]:
    """A message thread of months: leg after leg, each answered, left and worked on."""
    events = []
    for number in range(legs):
        for step, kind in enumerate(("answer", "disconnect", "acw", "acw_end")):
            events.append(told(kind, f"leg-{number}", number * 10 + step))  # type: ignore[arg-type]
    return events


def test_a_thread_of_months_is_bounded() -> None:
    """Legs, ids and bytes, however long it goes on; the view tells of the latest legs."""
    outcome = Outcome()
    sizes = []
    for _ in range(3):
        outcome.feed(thread(2_000), batch=500)
        sizes.append(len(outcome.partition.kept["c-1"]))
    view = outcome.views["c-1"]
    assert len(view.legs) == MAX_LEGS
    assert view.legs[-1].communication_id == "leg-1999"
    assert view.events == 8_000
    assert max(sizes) < 150_000
    conversation = Conversation.of(outcome.partition.kept["c-1"])
    assert len(conversation.ids) < MAX_IDS * ID_BYTES


def test_what_a_restarted_listener_tells_again_is_repeats() -> None:
    """All of the thread, of which most ids are forgotten: nothing stands twice."""
    outcome = Outcome()
    outcome.feed(thread(1_000))
    count = len(outcome.once)
    view = outcome.views["c-1"]
    outcome.feed([msgspec.structs.replace(e, received_at=at(99_999)) for e in thread(1_000)])
    assert len(outcome.once) == count
    assert outcome.views["c-1"] == view


def reading(legs: int) -> list[Event]:
    """A long conversation that was read at once: leg by leg, first the leg that ended last."""
    end = legs * 10 + 9
    return [told("answer", "customer", 0), told("disconnect", "customer", end), *thread(legs)]


@pytest.mark.parametrize("batch", [50, 10_000])
def test_what_one_reading_tells_of_a_long_conversation_is_not_lost(batch: int) -> None:
    """The times go back with each leg, but no leg was forgotten: all is new."""
    events = reading(200)
    for number in range(0, 200, 20):
        leg, at_ = f"leg-{number}", number * 10
        codes = [
            told("wrapup", leg, at_ + 4, wrapup_code="first", state="disconnected"),
            told("wrapup", leg, at_ + 5, wrapup_code="second", state="disconnected"),
        ]
        place = events.index(told("acw_end", leg, at_ + 3)) + 1
        events[place:place] = codes
    outcome = Outcome()
    outcome.feed(events, batch=batch)
    assert outcome.once == events
    outcome.feed(events, batch=batch)
    assert outcome.once == events
    codes_shown = {leg.wrapup_code for leg in outcome.views["c-1"].legs}
    assert codes_shown == {None, "second"}


def test_the_legs_that_ended_first_are_forgotten_first() -> None:
    """Whatever their order in the reading. Live events of another leg that follow are new."""
    legs = MAX_LEGS + 44
    for events in (reading(legs), list(reversed(reading(legs)))):
        outcome = Outcome()
        outcome.feed(events, batch=50)
        shown = {leg.communication_id for leg in outcome.views["c-1"].legs}
        assert shown == {"customer", *(f"leg-{n}" for n in range(legs - MAX_LEGS + 1, legs))}
        outcome.feed([told("answer", "late", (legs - 2) * 10)])
        assert outcome.once[-1].communication_id == "late"


def test_an_older_version_forgot_legs_as_it_forgot_ids() -> None:
    """It wrote one time for both, so its conversations are judged by that time."""
    outcome = Outcome()
    outcome.feed(thread(1_000))
    kept = msgspec.msgpack.decode(outcome.partition.kept["c-1"])
    del kept["legs_forgotten_at"]
    outcome.partition.kept["c-1"] = msgspec.msgpack.encode(kept)
    count = len(outcome.once)
    outcome.feed(thread(1_000))
    assert len(outcome.once) == count


def test_a_late_event_that_the_view_does_not_tell_is_new() -> None:
    """The end of an old leg that lives in the view, filled in long after: not a repeat, though its
    time lies behind the memory.
    """
    outcome = Outcome()
    outcome.feed([told("answer", "old", -10), *thread(MAX_LEGS - 10)])
    outcome.feed([told("disconnect", "old", -5)])
    assert outcome.once[-1].communication_id == "old"
    assert outcome.views["c-1"].legs[0].state == "disconnected"
    outcome.feed([told("disconnect", "old", -5), told("answer", "old", -10)])
    assert outcome.once[-1].event_type == "disconnect"


def test_holds_of_a_leg_that_lives_for_months_are_counted_once() -> None:
    """Of a leg with a thousand holds, the latest ones by their ids, the others by their start."""
    events = [told("answer", "leg", 0)]
    for number in range(1_000):
        hold = at(10 * number)
        events.append(told("hold", "leg", 10 * number, hold_started_at=hold, held=True))
        events.append(told("resume", "leg", 10 * number + 5, hold_started_at=hold))
    outcome = Outcome()
    outcome.feed(events, batch=7)
    outcome.feed(events, batch=11)
    assert len(outcome.once) == len(events)
    assert not outcome.views["c-1"].legs[0].held
    assert outcome.views["c-1"].legs[0].state == "connected"


def test_a_code_without_a_time_is_told_again() -> None:
    """By a listener that starts, at a time of its own: the view has that code."""
    outcome = Outcome()
    code = told("wrapup", "leg-0", 5, wrapup_code="w", estimated=True, state="disconnected")
    outcome.feed([*thread(200)[:4], code, *thread(200)[4:]])
    again = msgspec.structs.replace(code, occurred_at=at(90_000), received_at=at(90_000))
    count = len(outcome.once)
    outcome.feed([again])
    assert len(outcome.once) == count
    other = told("wrapup", "leg-0", 90_001, wrapup_code="v", estimated=True, state="disconnected")
    outcome.feed([other])
    assert len(outcome.once) == count + 1


def test_a_leg_knows_since_when_it_is_so() -> None:
    """Answered, held, resumed, ended: each by its own time."""
    outcome = Outcome()
    seen = []
    for event in (
        told("alert", "leg", 1, state="alerting"),
        told("answer", "leg", 2),
        told("hold", "leg", 4, hold_started_at=at(3), held=True, state="connected"),
        told("resume", "leg", 5, hold_started_at=at(3)),
        told("disconnect", "leg", 6),
        told("acw", "leg", 7),
    ):
        outcome.feed([event])
        outcome.restart()
        seen.append(outcome.views["c-1"].legs[0].since)
    assert seen == [at(1), at(2), at(3), at(5), at(6), at(6)]


def test_a_conversation_goes_through_bytes_unchanged() -> None:
    """All that the fold keeps, so that a field that is added to it is not forgotten here."""
    conversation = Conversation("c-1")
    view = None
    for event in [
        told("answer", "leg", 2, role="consult", role_participant_id="p-2"),
        told("hold", "leg", 4, hold_started_at=at(3), held=True),
        told("park", "leg", 5, state="parked"),
        told("wrapup", "leg", 8, wrapup_code="w", state="disconnected"),
        msgspec.structs.replace(
            told("answer", "leg-2", 9), linked_conversation_id="c-9", origin="snapshot"
        ),
    ]:
        conversation.take(event, raw_id(event.event_id))
        view = fold(view, event)
    assert view is not None
    restored = Conversation.of(conversation.keep(7, None)).view
    view.seen = set()
    for name, value in msgspec.structs.asdict(restored).items():
        if name != "legs":
            assert value == getattr(view, name), name
    for leg, wanted in zip(restored.legs.values(), view.legs.values(), strict=True):
        for name, value in msgspec.structs.asdict(wanted).items():
            assert getattr(leg, name) == value, name


def test_what_another_version_wrote_is_refused() -> None:
    """With one line that names the cure, instead of counting all events again."""
    assert read_head(tombstone(7)).offset == 7
    later = msgspec.msgpack.encode({"format": 99, "offset": 3})
    for kept in (later, b"", b"\xff", msgspec.msgpack.encode(["x"])):
        with pytest.raises(UnknownFormat, match="mirror projector rebuild"):
            read_head(kept)
