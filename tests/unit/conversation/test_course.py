"""The course of a conversation: the steps of each leg in their order, and since when it is so."""

from __future__ import annotations

from mirror.conversation.course import course
from tests.unit.conversation.build import Reader, at, leg, participant


def test_the_steps_of_a_leg_stand_in_the_order_of_its_life() -> None:
    """A ring has our time, which may be later than Genesys' time of the answer and of a hold."""
    reader = Reader()
    held = leg("connected", connectedTime=at(1_000), held=True, startHoldTime=at(2_000))
    seen = reader.frame(participant(leg("alerting")))
    rings = course(seen)
    told = course(seen + reader.frame(participant(held)))
    assert rings is not None
    assert told is not None
    (ringing,), (holding,) = rings.legs, told.legs
    assert ringing.since == seen[-1].occurred_at > at(2_000)
    assert [step.event_type for step in holding.steps] == ["alert", "answer", "hold"]
    assert (holding.held, holding.since) == (True, at(2_000))
