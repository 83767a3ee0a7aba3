"""A conversation goes to Python and comes back; what the native reader cannot hold stays there."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.conversation.normaliser import Normaliser
from mirror.conversation.normaliser.lending import conversation_of, state_of
from tests.unit.conversation.build import at, conversation, frame, leg, participant
from tests.unit.native.twins import Message, Twins

CONNECTED = leg("connected", connectedTime=at(1_000))
HELD = {**CONNECTED, "held": True, "startHoldTime": at(2_000)}
ENDED = {**CONNECTED, "state": "disconnected", "disconnectedTime": at(9_000)}
CODED = {**ENDED, "wrapup": {"code": "A", "endTime": at(9_500)}}
PARKED = {**CONNECTED, "state": "parked", "parkTime": at(3_000)}
ODD = {**CONNECTED, "connectedTime": "2026-11-18T11:06:41Z"}  # another precision


def message(second: int, *people: dict[str, Any], **fields: Any) -> Message:
    """A frame that is read at a second."""
    return frame(conversation(*people, **fields)), at(second * 1_000), float(second)


@pytest.mark.parametrize("shown", [CONNECTED, HELD, ENDED, CODED, PARKED])
def test_a_conversation_comes_back_as_it_went(shown: dict[str, Any]) -> None:
    """Holds, parks, codes and ends are all of its state."""
    twins = Twins()
    reader = twins.native.reader
    twins.read([message(10, participant(shown, medium="email"))])
    assert twins.taken == 1
    state = reader.take("c-1")
    assert state is not None
    assert "c-1" not in reader
    lent = state_of(conversation_of("c-1", state))
    assert lent is not None
    assert reader.put("c-1", lent)
    again = reader.take("c-1")
    assert again == state
    assert reader.take("c-1") is None


def test_one_odd_frame_is_python_s_and_the_next_one_is_not() -> None:
    """A time in another precision is converted there; the leg's memory is plain again."""
    twins = Twins()
    twins.read([message(10, participant(leg("alerting")))])
    twins.read([message(11, participant(ODD))])
    twins.read([message(12, participant(HELD))])
    assert (twins.taken, twins.left) == (2, 1)
    twins.compare_memory(["c-1"])


def test_a_consultation_is_python_s_while_it_lasts() -> None:
    """The role of a leg comes back with its conversation, and is told as taken up natively."""
    twins = Twins()
    agent = participant(CONNECTED)
    customer = participant({**CONNECTED, "id": "comm-2"}, participant_id="p-2", purpose="customer")
    twins.read([message(10, customer, agent)])
    asks = {"consultParticipantId": "p-2"}
    asked = participant({**CONNECTED, "id": "comm-3"}, participant_id="p-3", userId="u-3")
    twins.read([message(11, {**customer, **asks}, {**agent, **asks}, {**asked, **asks})])
    assert "c-1" in twins.native.reader
    gone = participant({**ENDED, "disconnectType": "transfer.consult"})
    twins.read([message(12, {**customer, **asks}, {**gone, **asks}, {**asked, **asks})])
    assert (twins.taken, twins.left) == (1, 2)
    twins.read([message(13, customer, participant(ENDED), asked)])
    assert (twins.taken, twins.left) == (2, 2)
    twins.compare_memory(["c-1"])


def test_who_monitors_coaches_or_barges_is_read_natively() -> None:
    """A change of role tells how the leg is."""
    twins = Twins()
    agent = participant(CONNECTED)
    twins.read([message(10, agent)])
    for number, role in enumerate(("monitored", "coached", "barged")):
        key = {f"{role}ParticipantId": "p-1"}
        twins.read(
            [message(11 + number, agent, participant(CONNECTED, participant_id="p-2", **key))]
        )
    screen = participant(CONNECTED, participant_id="p-3", medium="screen_monitoring")
    twins.read([message(20, agent, screen), message(21, agent, screen)])
    assert (twins.taken, twins.left) == (6, 0)
    twins.compare_memory(["c-1"])


def test_a_linked_conversation_stays_with_python() -> None:
    """Its events name the other one."""
    twins = Twins()
    linked = {"associatedConversation": {"id": "c-0"}}
    twins.read([message(10, participant(CONNECTED), **linked)])
    twins.read([message(11, participant(HELD))])
    assert (twins.taken, twins.left) == (0, 2)


def test_what_python_has_is_not_read_natively() -> None:
    """Also where it rests."""
    twins = Twins()
    memory = twins.native.normaliser.memory
    memory.rest_after = 0.0
    linked = {"associatedConversation": {"id": "c-0"}}
    twins.read([message(10, participant(CONNECTED), **linked)])
    other = frame({"id": "c-2", "participants": [], **linked})
    twins.read([(other, at(20_000), 20.0)])
    assert memory.resting == 1
    twins.read([message(30, participant(HELD))])
    assert (twins.taken, twins.left) == (0, 3)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"key": 'p"1'},
        {"ended_at": "yesterday"},
        {"medium": "hologram"},
        {"since": "2026-02-29T10:00:00.000Z"},
    ],
)
def test_what_cannot_be_written_as_it_is_stays_with_python(spoilt: dict[str, str]) -> None:
    """The native reader refuses it, and remembers nothing of it."""
    twins = Twins()
    normaliser = Normaliser()
    normaliser.frame(*message(10, participant(HELD, participant_id=spoilt.get("key", "p-1"))))
    known = normaliser.memory.get("c-1")
    assert known is not None
    (leg,) = known.legs.values()
    leg.ended_at = spoilt.get("ended_at")
    leg.medium = spoilt.get("medium", "call")
    assert leg.hold is not None
    leg.hold.since = spoilt.get("since", leg.hold.since)
    state = state_of(known)
    assert state is not None
    assert not twins.native.reader.put("c-1", state)
    assert len(twins.native.reader) == 0


def test_an_interruption_counts_for_both() -> None:
    """Whoever reads the next frame says again how the legs are."""
    twins = Twins()
    twins.read([message(10, participant(CONNECTED))])
    twins.interrupt()
    twins.read([message(11, participant(CONNECTED))])
    twins.interrupt()
    twins.read([message(12, participant(ODD))])
    twins.read([message(13, participant(HELD))])
    assert (twins.taken, twins.left) == (3, 1)
