"""What operators and listeners request of the leader, and what of it is done. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from coordinator.plan import moves
from coordinator.plan.coverage import ChannelKey
from coordinator.plan.moves import SeatChange, SuccessorRequest
from coordinator.plan.seats import Records
from mirror.fleet.requests import DRAIN, REBALANCE, ROTATE
from mirror.fleet.words import Beat, Seat, seat_of


def leaving(
    commands: Collection[str], listeners: Mapping[str, Beat], alive: Iterable[str]
) -> frozenset[str]:
    """The draining listeners. Each keeps seats that no other listener can take."""
    return frozenset(
        listener
        for listener in alive
        if (listener in listeners and listeners[listener].state == "draining")
        or DRAIN + listener in commands
    )


def successors(
    seats: Records,
    commands: Iterable[str],
    listeners: Mapping[str, Beat],
    unhealthy: Iterable[Seat],
    deaf: Mapping[Seat, ChannelKey],
) -> dict[Seat, SuccessorRequest]:
    """Successors that listeners and operators request, and those for unhealthy and deaf
    channels."""
    requests = dict.fromkeys(unhealthy, SuccessorRequest(moves.UNHEALTHY, urgent=True)) | {
        seat_of(command.removeprefix(ROTATE)): SuccessorRequest("asked for")
        for command in commands
        if command.startswith(ROTATE)
    }
    for seat, key in deaf.items():
        current = seats[seat].current if seat in seats else None
        if current is not None and (current.listener, current.epoch) == (key.listener, key.epoch):
            requests[seat] = SuccessorRequest(moves.DEAF, urgent=True)
    for listener, beat in listeners.items():
        for report in beat.channels:
            record = seats.get(report.seat)
            if report.rotate and record is not None and record.current is not None:
                current = record.current
                if (current.listener, current.epoch) == (listener, report.epoch):
                    requests[record.seat] = SuccessorRequest(report.rotate, urgent=True)
    return requests


def done(
    seats: Records,
    commands: Collection[str],
    beating: Collection[str],
    changes: Sequence[SeatChange],
) -> list[str]:
    """Commands that were carried out, or can never be carried out."""
    moving = {change.seat.name for change in changes if change.kind == "moving"}
    found = [REBALANCE] if REBALANCE in commands else []
    for command in commands:
        if command.startswith(ROTATE):
            name = command.removeprefix(ROTATE)
            if name in moving or seat_of(name) not in seats:
                found.append(command)
        elif command.startswith(DRAIN):
            if command.removeprefix(DRAIN) not in beating:
                found.append(command)
        elif command != REBALANCE:
            found.append(command)
    return found
