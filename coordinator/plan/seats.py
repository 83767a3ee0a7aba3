"""The leader's record of the seats, updated from beats. Pure.

A seat has at most two holdings: `current`, which serves, and `next`, which serves as soon as its
listener reports it live (I3). Epochs of a seat only rise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from coordinator.plan.assignment import Place
from coordinator.plan.coverage import ChannelKey
from mirror.fleet.words import SERVING, Beat, ChannelReport, Grant, Seat, Shard
from mirror.genesys.handles import Handle


class Holding(msgspec.Struct, frozen=True):
    """A listener's hold on a seat under one epoch, since when (Redis ms)."""

    listener: str
    client: str
    epoch: int
    since_ms: int
    handle: Handle | None = None
    live: bool = False

    @property
    def place(self) -> Place:
        """The listener and OAuth client of the holding."""
        return Place(self.listener, self.client)


class SeatRecord(msgspec.Struct):
    """One seat. `reason` is the reason of `next`. `not_live_since_ms`: since when (Redis ms) its
    current channel is not live, None while it is live. `ended` is the highest epoch that died with
    its listener."""

    shard: str
    replica: str
    epoch: int = 0
    current: Holding | None = None
    next: Holding | None = None
    reason: str = ""
    not_live_since_ms: int | None = None
    ended: int = 0

    @property
    def seat(self) -> Seat:
        """The key of the seat."""
        return Seat(self.shard, self.replica)

    def holdings(self) -> Iterator[Holding]:
        """The holdings of the seat, the serving one first."""
        if self.current is not None:
            yield self.current
        if self.next is not None:
            yield self.next


class StoredSeats(msgspec.Struct):
    """All seats, as stored in Redis."""

    seats: list[SeatRecord] = []


Records = dict[Seat, SeatRecord]


def records(stored: StoredSeats) -> Records:
    """The stored seats, by seat."""
    return {record.seat: record for record in stored.seats}


def stored_seats(seats: Records) -> StoredSeats:
    """The seats in a stable order, ready to be stored."""
    return StoredSeats([seats[seat] for seat in sorted(seats)])


def note_reports(
    seats: Records, beats: Mapping[str, Beat], alive: Iterable[str], now_ms: int
) -> None:
    """Note which holdings serve, and adopt unknown holdings of live listeners.

    By adoption a leader goes on after Redis lost everything. If several listeners report the same
    unknown seat, the highest epoch stays. A newer holding also replaces the known one: another
    leader has granted it since.
    """
    living = set(alive)
    reports: dict[Seat, list[tuple[str, ChannelReport]]] = {}
    for listener in sorted(living & beats.keys()):
        for report in beats[listener].channels:
            reports.setdefault(report.seat, []).append((listener, report))
    for seat, said in reports.items():
        record = seats.get(seat)
        if record is None:
            record = seats[seat] = SeatRecord(*seat)
        known = record.epoch
        record.epoch = max(known, *(report.epoch for _, report in said))
        serving = {
            (listener_id, report.epoch) for listener_id, report in said if report.state in SERVING
        }
        record.current = _noted(record.current, serving, living)
        record.next = _noted(record.next, serving, living)
        newest = max(
            (
                (report.epoch, listener_id, report.client)
                for listener_id, report in said
                if report.state in SERVING
            ),
            default=None,
        )
        # If a listener counted as dead and wakes up, it closes the channels that it still reports.
        if newest is not None and newest[0] > record.ended:
            epoch, listener_id, client = newest
            if epoch > known or (record.current is None and record.next is None):
                record.current, record.next = (
                    Holding(listener_id, client, epoch, 0, live=True),
                    None,
                )
    for record in seats.values():
        if record.seat not in reports:
            record.current = _noted(record.current, set(), living)
            record.next = _noted(record.next, set(), living)
        is_live = record.current is not None and record.current.live
        record.not_live_since_ms = None if is_live else record.not_live_since_ms or now_ms


def _noted(
    holding: Holding | None, serving: set[tuple[str, int]], living: set[str]
) -> Holding | None:
    if holding is None or holding.listener not in living:
        return holding
    live = (holding.listener, holding.epoch) in serving
    return holding if live == holding.live else msgspec.structs.replace(holding, live=live)


def grants(
    seats: Records, shards: Mapping[str, Shard], doubted: Mapping[ChannelKey, int]
) -> dict[str, tuple[Grant, ...]]:
    """Listener → its grants. Of two holdings of one listener only the newer is granted: the
    listener itself keeps the older channel until the newer one is live. Grants of `doubted`
    channels carry the start of the doubt."""
    result: dict[str, dict[Seat, Grant]] = {}
    for seat in sorted(seats):
        shard = shards.get(seat.shard)
        if shard is None:
            continue
        for holding in seats[seat].holdings():
            result.setdefault(holding.listener, {})[seat] = Grant(
                shard=seat.shard,
                replica=seat.replica,
                epoch=holding.epoch,
                client=holding.client,
                shard_epoch=shard.epoch,
                handle=holding.handle,
                doubted_ms=doubted.get(ChannelKey(holding.listener, seat, holding.epoch), 0),
            )
    return {listener: tuple(mine.values()) for listener, mine in result.items()}
