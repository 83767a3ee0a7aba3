"""Grants and successors within the channels that an OAuth client has (invariant I5)."""

from __future__ import annotations

from collections import Counter

import msgspec

from coordinator.plan.assignment import Place, Placement
from coordinator.plan.moves import Situation, advance
from coordinator.plan.seats import Holding, Records, SeatRecord
from mirror.fleet.words import Seat

LIMITS = {"full": 20, "free": 20}
MOVING = 6  # seats that are to leave the full client
PASSES = 40


def situation(wanted: dict[Seat, Place], now_ms: int) -> Situation:
    """Everybody lives, nobody asks for anything."""
    return Situation(
        now_ms=now_ms,
        rising_ms=now_ms,
        alive=frozenset({"north", "south"}),
        unheard=frozenset(),
        leaving=frozenset(),
        wanted=Placement(wanted, {}),
        requests={},
        limits=LIMITS,
        released={},
        patience_ms=60_000,
    )


def held(seats: Records) -> Counter[str]:
    """Channels that are granted, by client."""
    return Counter(holding.client for record in seats.values() for holding in record.holdings())


def come_to_live(seats: Records) -> None:
    """All that is granted receives."""
    for record in seats.values():
        for name in ("current", "next"):
            holding = getattr(record, name)
            if holding is not None:
                setattr(record, name, msgspec.structs.replace(holding, live=True))


def crowded(used: int, entering: list[Seat]) -> tuple[Records, dict[Seat, Place]]:
    """A client of which seats hold `used` channels and some are wanted elsewhere, and the wanted
    places. Nobody holds those that are `entering`, which are wanted there."""
    seats: Records = {}
    wanted: dict[Seat, Place] = {}
    for number in range(used):
        seat = Seat(f"{number:02d}", "a")
        seats[seat] = SeatRecord(*seat, epoch=1, current=Holding("north", "full", 1, 0, live=True))
        wanted[seat] = Place("north", "free" if number < MOVING else "full")
    wanted |= dict.fromkeys(entering, Place("south", "full"))
    return seats, wanted


def check(seats: Records, wanted: dict[Seat, Place]) -> None:
    """No pass grants more than there is, and in the end every seat is where it is wanted."""
    for number in range(PASSES):
        advance(seats, situation(wanted, 1_000_000 + 2_000 * number))
        used = held(seats)
        assert all(used[client] <= limit for client, limit in LIMITS.items()), (number, used)
        come_to_live(seats)
    places = {seat: record.current.place for seat, record in seats.items() if record.current}
    assert places == wanted


def test_seats_that_nobody_holds_wait_for_channels_that_are_held() -> None:
    """A client's twenty channels are no more, though others are to leave it in a moment."""
    check(*crowded(18, [Seat(f"new-{number}", "b") for number in range(MOVING)]))


def test_replicas_do_not_wait_for_each_other() -> None:
    """What leaves a client waits for its other replica, which waits for a channel there: with none
    to spare (the limit was lowered, or successors have them) neither would ever move."""
    check(*crowded(20, [Seat(f"{number:02d}", "b") for number in range(MOVING)]))
