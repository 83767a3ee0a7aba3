"""Decides the leader's next changes, from the wanted and the present state. Pure (I3).

Each pass looks at every seat:

- Its holder died: the seat is granted at its wanted place at once, on a fresh channel (I1), or on
  the channel that its last holder gave back. If the OAuth client has no channel left, because seats
  that are wanted elsewhere have not moved yet, the seat waits until one of them has moved.
- Its successor is live: the successor serves, and the old holder's grant ends.
- Its successor died, or is not live after `patience_ms`: the successor is given up.
- Its channel is on an OAuth client that may not see the shard, no client that may see the shard has
  a channel left, and another replica serves: the grant is revoked.
- Its channel is not live for `patience_ms` although its listener beats: the seat is `unhealthy`,
  and gets a successor elsewhere, or a fresh channel in the same place if there is no other place.
- It is wanted elsewhere, or its channel needs a successor: the seat gets a successor, unless
  another replica of its shard is moving or still holds that listener, or the OAuth client has no
  channel to spare, or `MAX_MOVES` moves are under way.

Urgent moves (a draining listener, a socket that Genesys closes, a client that may not see the
shard) come before moves that only improve the placement. The latter also wait until every other
replica of the shard serves, except a replica that itself waits for the listener or channel that the
move would free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec

from coordinator.plan.assignment import Place, Placement
from coordinator.plan.seats import Holding, Records, SeatRecord
from mirror.fleet.words import Released, Seat

MAX_MOVES: Final = 40
UNHEALTHY: Final = "its channel does not become live"
NOT_ALLOWED: Final = "its client may not see the topics"
DEAF: Final = "its channel hears nothing, another replica does"


class SuccessorRequest(msgspec.Struct, frozen=True):
    """A requested successor; an `urgent` one does not wait for the other replicas."""

    reason: str
    urgent: bool = False


class SeatChange(msgspec.Struct, frozen=True):
    """A change of a seat, for the log: `granted`, `moving`, `moved`, `abandoned`, `revoked`."""

    seat: Seat
    kind: str
    listener: str
    epoch: int
    reason: str = ""


class Situation(msgspec.Struct, frozen=True):
    """The input of a pass.

    `limits`: OAuth client → the most channels that it may have. `leaving`: draining listeners.
    `rising_ms`: the time for new epochs, which rises although Redis' clock may go back.
    `allowed`: shard → the clients that may see it, only for shards that some client may not see.
    `unheard`: listeners that count as alive although they have not beaten yet
    (`coordinator.plan.liveness`). They keep their seats and get no others, and nothing is
    rebalanced until their state is known.
    """

    now_ms: int
    rising_ms: int
    alive: frozenset[str]
    unheard: frozenset[str]
    leaving: frozenset[str]
    wanted: Placement
    requests: Mapping[Seat, SuccessorRequest]
    limits: Mapping[str, int]
    released: Mapping[Seat, Released]
    patience_ms: int
    allowed: Mapping[str, frozenset[str]] = {}


def unhealthy(seats: Records, now_ms: int, patience_ms: int) -> dict[Seat, Place]:
    """Seat → its place, for seats whose channel is not live and whose grant is older than
    `patience_ms`.

    While at most half of the seats serve, Genesys or the network may be the cause. Then only one
    seat at a time gets a successor elsewhere.
    """
    found = {
        seat: record.current.place
        for seat, record in seats.items()
        if record.current is not None
        and record.next is None
        and record.not_live_since_ms is not None
        and now_ms - max(record.not_live_since_ms, record.current.since_ms) > patience_ms
    }
    serving = sum(seat.current is not None and seat.current.live for seat in seats.values())
    if 2 * serving > len(seats):
        return found
    trying = any(
        record.next is not None and record.reason == UNHEALTHY for record in seats.values()
    )
    return {} if trying else dict(list(found.items())[:1])


def advance(seats: Records, situation: Situation) -> list[SeatChange]:
    """Bring `seats` one step nearer to the wanted state. Returns the changes."""
    changes: list[SeatChange] = []
    for seat in sorted(seats):
        _settle(seats[seat], situation, changes)
        _revoke_not_allowed(seats, seats[seat], situation, changes)
    wanted = situation.wanted.places
    for seat in [seat for seat in seats if seat not in wanted and _gone(seats[seat], situation)]:
        del seats[seat]
    budget = _Budget(seats, situation.limits)
    for seat in sorted(wanted, key=lambda seat: (seat.replica, seat.shard)):
        record = seats.setdefault(seat, SeatRecord(*seat))
        if record.current is None and record.next is None:
            place = _free_place(seats, record, wanted, budget)
            if place is not None and place.listener not in situation.unheard:
                changes.append(_grant(record, place, situation, budget))
    moving = sum(record.next is not None for record in seats.values())
    for seat, request in _ordered(seats, situation):
        if moving >= MAX_MOVES:
            break
        change = _succeed(seats, seats[seat], request, situation, budget)
        if change is not None:
            changes.append(change)
            moving += 1
    return changes


def _settle(record: SeatRecord, situation: Situation, changes: list[SeatChange]) -> None:
    """Remove dead holders; let successors take over, or abandon them."""
    current, successor = record.current, record.next
    if successor is not None and successor.listener not in situation.alive:
        changes.append(_change(record, successor, "abandoned", "its listener died"))
        record.ended = max(record.ended, successor.epoch)
        successor = None
    if current is not None and current.listener not in situation.alive:
        changes.append(_change(record, current, "revoked", "its listener died"))
        record.ended = max(record.ended, current.epoch)
        current, successor = successor, None
    if current is not None and successor is not None:
        waited = situation.now_ms - successor.since_ms
        if successor.live:
            changes.append(_change(record, successor, "moved", record.reason))
            current, successor = successor, None
        elif waited > situation.patience_ms:
            changes.append(_change(record, successor, "abandoned", "it does not become live"))
            successor = None
    if (
        record.seat not in situation.wanted.places
        and record.seat not in situation.wanted.unassigned
    ):
        current = successor = None  # the shard no longer exists
    if successor is None:
        record.reason = ""
    record.current, record.next = current, successor


def _revoke_not_allowed(
    seats: Records, record: SeatRecord, situation: Situation, changes: list[SeatChange]
) -> None:
    """Revoke the grant of a seat whose client may not see the shard, if another replica serves.
    Genesys refuses the topics to that client, so the channel is useless."""
    current = record.current
    if current is None or record.seat not in situation.wanted.unassigned:
        return
    if _is_allowed(current, record.shard, situation):
        return
    siblings = _siblings(seats, record)
    if any(sibling.current is not None and sibling.current.live for sibling in siblings):
        changes.append(_change(record, current, "revoked", NOT_ALLOWED))
        record.current = record.next = None


def _is_allowed(holding: Holding, shard: str, situation: Situation) -> bool:
    """Whether the channel's client may see the shard."""
    return holding.client in situation.allowed.get(shard, (holding.client,))


def _gone(record: SeatRecord, situation: Situation) -> bool:
    """Whether the record can be deleted. An unassigned seat keeps its record and its epoch."""
    return record.current is None and record.seat not in situation.wanted.unassigned


def _siblings(seats: Records, record: SeatRecord) -> list[SeatRecord]:
    """The other replicas of the shard."""
    return [seat for seat in seats.values() if seat.shard == record.shard and seat is not record]


def _free_place(
    seats: Records, record: SeatRecord, wanted: Mapping[Seat, Place], budget: _Budget
) -> Place | None:
    """The place where a seat without a holder can be granted now, None if there is none.

    That is its wanted place, if no other replica of the shard still holds that listener and the
    client has a channel to spare. Otherwise the wanted place of another replica of the shard: the
    two replicas change places.
    """
    siblings = _siblings(seats, record)
    taken = {holding.listener for sibling in siblings for holding in sibling.holdings()}
    candidates = [
        wanted[record.seat],
        *(wanted[sibling.seat] for sibling in siblings if sibling.seat in wanted),
    ]
    return next(
        (
            place
            for place in candidates
            if place.listener not in taken and budget.has_spare(place.client)
        ),
        None,
    )


def _grant(record: SeatRecord, place: Place, situation: Situation, budget: _Budget) -> SeatChange:
    """Grant a seat without a holder, at once."""
    released = situation.released.get(record.seat)
    handle = released.handle if released and released.client == place.client else None
    record.epoch = _next_epoch(record, situation.rising_ms)
    record.current = Holding(place.listener, place.client, record.epoch, situation.now_ms, handle)
    budget.use(place.client)
    return _change(record, record.current, "granted", "on a released channel" if handle else "")


def _next_epoch(record: SeatRecord, rising_ms: int) -> int:
    """The next epoch: at least the Redis time in seconds. So epochs keep rising even if Redis lost
    all data, or if a new shard has the id of an old one."""
    return max(record.epoch + 1, rising_ms // 1000)


def _ordered(seats: Records, situation: Situation) -> list[tuple[Seat, SuccessorRequest]]:
    """The seats that need a successor, urgent ones first."""
    requests: dict[Seat, SuccessorRequest] = {}
    for seat, place in situation.wanted.places.items():
        current = seats[seat].current
        if current is None:
            continue
        if current.listener in situation.leaving and place.listener != current.listener:
            requests[seat] = SuccessorRequest("its listener drains", urgent=True)
        elif seat in situation.requests:
            requests[seat] = situation.requests[seat]
        elif current.place != place and not situation.unheard:
            if _is_allowed(current, seat.shard, situation):
                requests[seat] = SuccessorRequest("it is better there")
            else:
                requests[seat] = SuccessorRequest(NOT_ALLOWED, urgent=True)
    return sorted(requests.items(), key=lambda item: (not item[1].urgent, item[0]))


def _succeed(
    seats: Records,
    record: SeatRecord,
    request: SuccessorRequest,
    situation: Situation,
    budget: _Budget,
) -> SeatChange | None:
    """Grant a successor for a held seat, if the rules allow it now."""
    place = situation.wanted.places[record.seat]
    current, successor = record.current, record.next
    if current is None or place.listener in situation.unheard:
        return None
    if successor is not None and (
        successor.listener not in situation.leaving or successor.listener == place.listener
    ):
        return None  # it has a successor already
    siblings = _siblings(seats, record)
    if any(sibling.next is not None for sibling in siblings):
        return None
    if any(
        holding.listener == place.listener for sibling in siblings for holding in sibling.holdings()
    ):
        return None  # the other replica must leave that listener first
    wanted = situation.wanted.places
    waiting = [
        sibling for sibling in siblings if sibling.current is None or not sibling.current.live
    ]
    if not request.urgent and any(
        sibling.seat not in wanted or not _waits_for(wanted[sibling.seat], current, budget)
        for sibling in waiting
    ):
        return None
    if not budget.has_spare(place.client):
        return None
    record.epoch = _next_epoch(record, situation.rising_ms)
    record.next = Holding(place.listener, place.client, record.epoch, situation.now_ms)
    record.reason = request.reason
    budget.use(place.client)
    if not current.live and current.listener == place.listener:
        # The old channel does not serve, so there is nothing to keep.
        record.current, record.next = record.next, None
    return _change(record, record.next or record.current or current, "moving", request.reason)


def _waits_for(place: Place, held: Holding, budget: _Budget) -> bool:
    """Whether a seat that is wanted at `place` waits for what `held` occupies: the listener, or a
    channel of a client that has none left. Then the move of `held` must not wait for that seat."""
    if place.listener == held.listener:
        return True
    return place.client == held.client and not budget.has_spare(held.client)


class _Budget:
    """The number of used channels of each OAuth client, successors included."""

    def __init__(self, seats: Records, limits: Mapping[str, int]) -> None:
        self._limits = limits
        self._used: Counter[str] = Counter(
            holding.client for record in seats.values() for holding in record.holdings()
        )

    def use(self, client: str) -> None:
        self._used[client] += 1

    def has_spare(self, client: str) -> bool:
        return self._used[client] < self._limits.get(client, 0)


def _change(record: SeatRecord, holding: Holding, kind: str, reason: str) -> SeatChange:
    return SeatChange(record.seat, kind, holding.listener, holding.epoch, reason)
