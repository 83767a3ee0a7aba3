"""What consumers see behind late frames, restarts and losses, one way to be misled a test.

Two replicas read frames, and a consumer folds what they tell in the order of their readings.
"""

from __future__ import annotations

from typing import Any

from mirror.fold import ConversationView, LegView, fold
from tests.unit.normaliser.build import Reader, at, leg, participant, types

Shown = dict[str, Any]

CONNECTED = leg("connected", connectedTime=at(1_000), held=False)


def held(since_ms: int) -> Shown:
    """The connected leg on hold."""
    return {**CONNECTED, "held": True, "startHoldTime": at(since_ms)}


class House:
    """The replicas `a` and `b`, and the view of a consumer."""

    def __init__(self) -> None:
        self.replicas = {"a": Reader(), "b": Reader()}
        self.seconds = 1_000
        self.view: ConversationView | None = None

    def starts(self, replica: str, *legs: Shown) -> list[str]:
        """A replica starts, knowing nothing, and reads a frame."""
        self.replicas[replica] = Reader()
        return self.reads(replica, *legs)

    def reads(self, replica: str, *legs: Shown, medium: str = "call") -> list[str]:
        """A replica reads a frame, by one leg for each of the agents p-1, p-2 and so on."""
        self.seconds += 1
        reader = self.replicas[replica]
        reader.seconds = self.seconds
        people = [
            participant(shown, medium=medium, participant_id=f"p-{number}")
            for number, shown in enumerate(legs, 1)
        ]
        events = reader.frame(*people)
        for event in events:
            self.view = fold(self.view, event)
        return types(events)

    def leg(self) -> LegView:
        """The leg of p-1 as the consumer sees it."""
        assert self.view is not None
        return self.view.legs[0]


def test_a_hold_that_was_resumed_by_mistake_is_seen_again() -> None:
    """One replica's late frame made up a resume. Another, started late too, then sees the hold."""
    house = House()
    house.reads("a", CONNECTED)
    house.reads("a", held(5_000))
    assert house.reads("a", CONNECTED) == ["resume"]  # from before the hold
    house.starts("a", held(5_000))
    assert house.leg().held
    house.starts("b", CONNECTED)  # from before the hold
    assert not house.leg().held
    assert house.reads("b", held(5_000)) == ["hold"]  # told before, and resumed
    assert house.leg().held
    assert house.leg().hold_started_at == at(5_000)


def test_a_hold_that_lags_behind_its_resume_stays_resumed() -> None:
    """Without a reading between there was no mistake: the replica that lags has it to tell yet."""
    house = House()
    house.reads("a", CONNECTED)
    house.reads("b", CONNECTED)
    house.reads("a", held(5_000))
    house.reads("a", CONNECTED)
    assert house.reads("b", held(5_000)) == ["hold"]
    assert not house.leg().held


def test_a_repeat_from_before_the_last_reading_is_no_later_word() -> None:
    """A hold that comes out of a spool, read before others saw the leg connected again."""
    house = House()
    house.reads("a", CONNECTED)
    house.reads("a", held(5_000))
    spooling = Reader()
    spooling.seconds = house.seconds
    spooled = spooling.frame(participant(held(5_000)))
    house.reads("a", CONNECTED)
    house.starts("b", CONNECTED)
    for event in spooled:
        house.view = fold(house.view, event)
    assert not house.leg().held
