"""Assigns each seat a listener, and an OAuth client for its channel. Pure.

Rules, the strongest first:

1. No listener holds two replicas of a shard; no client has more seats than `room`.
2. Replicas of a shard are on different hosts, and on different clients, while there are two. A
   shard's clients are those that may see its topics, and no others.
3. Listeners of one host differ by at most one seat. So do all listeners, as far as rule 2 leaves a
   choice: no single move would balance them better.
4. A listener keeps its seats unless a rule above requires a move.

First replicas are placed before second ones, so a shortage costs redundancy before coverage. A seat
with a choice of clients leaves the client to a seat without a choice. A seat that cannot be placed
is `unassigned`, with the reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from mirror.fleet.words import REPLICAS, Seat

CLIENT_ROUNDS: Final = 4
Why = Literal["no listener", "no channel"]


class Place(NamedTuple):
    """The place of a seat: a listener, and the OAuth client of its channel."""

    listener: str
    client: str


class Placement(msgspec.Struct, frozen=True):
    """The wanted place of every seat, and the seats without one."""

    places: dict[Seat, Place]
    unassigned: dict[Seat, Why]


def seats(shards: Iterable[str], replicas: int) -> list[Seat]:
    """All seats, first replicas first; shards in a stable order."""
    ordered = sorted(shards, key=lambda id_: (len(id_), id_))
    return [Seat(shard, replica) for replica in REPLICAS[:replicas] for shard in ordered]


def place(
    wanted: Sequence[Seat],
    hosts: Mapping[str, str],
    room: Mapping[str, int],
    current: Mapping[Seat, Place],
    preferred: Mapping[Seat, str] | None = None,
    avoid: Mapping[Seat, Place] | None = None,
    allowed: Mapping[str, frozenset[str]] | None = None,
) -> Placement:
    """Place every seat of `wanted`.

    `hosts`: listener → host, for listeners that may hold seats. `room`: OAuth client → most seats.
    `current`: seat → present place. `preferred`: seat → client of a channel that waits for it.
    `avoid`: seat → the place where it failed, used only as a last resort.
    `allowed`: shard → the clients that may see its topics; all clients for other shards.
    """
    avoid = avoid or {}
    work = _Work(hosts, room, {seat: place.listener for seat, place in avoid.items()})
    for seat in wanted:
        held = current.get(seat)
        if held is not None and held.listener in hosts and work.fits(seat, held.listener):
            work.assign(seat, held.listener)
    work.spread()
    unassigned = [seat for seat in wanted if seat not in work.listener]
    for seat in _assignment_order(unassigned, avoid):
        listener = work.best_listener(seat)
        if listener is not None:
            work.assign(seat, listener)
    work.rebalance()
    allowed = allowed or {}
    found = _with_clients(wanted, work, room, current, preferred or {}, avoid, allowed)
    for _ in range(CLIENT_ROUNDS):
        # A seat that changed its client may have freed one that spreads another shard.
        better = _with_clients(wanted, work, room, found.places, {}, avoid, allowed)
        if better.places == found.places:
            break
        found = better
    return found


def _assignment_order(unassigned: Sequence[Seat], avoid: Mapping[Seat, Place]) -> list[Seat]:
    """The order in which seats are placed: as given, but within a shard seats with a place to avoid
    come first.

    Such a seat still has its channel. If another replica took the only free listener, it would wait
    for this seat to leave, which would have no place to go.
    """
    of_shard: dict[str, list[Seat]] = {}
    for seat in sorted(unassigned, key=lambda seat: seat not in avoid):
        of_shard.setdefault(seat.shard, []).append(seat)
    return [of_shard[shard].pop(0) for shard, _ in unassigned]


class _Work:
    """Seats on listeners while they are being placed."""

    def __init__(
        self, hosts: Mapping[str, str], room: Mapping[str, int], avoid: Mapping[Seat, str]
    ) -> None:
        self.hosts = hosts
        self.avoid = avoid
        self.several_hosts = len(set(hosts.values())) > 1
        self.left = sum(room.values())
        self.listener: dict[Seat, str] = {}
        self.load: dict[str, int] = dict.fromkeys(sorted(hosts), 0)
        self.of: dict[str, set[Seat]] = {listener: set() for listener in self.load}
        self.replicas: dict[str, dict[str, str]] = {}  # shard → replica → listener

    def fits(self, seat: Seat, listener: str) -> bool:
        """Rule 1, for listeners and for the total of channels."""
        siblings = self.replicas.get(seat.shard, {})
        return len(self.listener) < self.left and listener not in siblings.values()

    def assign(self, seat: Seat, listener: str) -> None:
        self.listener[seat] = listener
        self.load[listener] += 1
        self.of[listener].add(seat)
        self.replicas.setdefault(seat.shard, {})[seat.replica] = listener

    def unassign(self, seat: Seat) -> None:
        listener = self.listener.pop(seat)
        self.load[listener] -= 1
        self.of[listener].discard(seat)
        del self.replicas[seat.shard][seat.replica]

    def colocated(self, seat: Seat, listener: str) -> int:
        """The number of other replicas of the seat's shard on the listener's host."""
        if not self.several_hosts:
            return 0
        host = self.hosts[listener]
        siblings = self.replicas.get(seat.shard, {})
        return sum(
            self.hosts[sibling] == host
            for replica, sibling in siblings.items()
            if replica != seat.replica
        )

    def best_listener(self, seat: Seat) -> str | None:
        """The listener for a seat: first by a host of its own, then by the least load."""
        candidates = [listener for listener in self.load if self.fits(seat, listener)]
        if not candidates:
            return None
        avoid = self.avoid.get(seat)
        return min(
            candidates,
            key=lambda candidate: (
                self.colocated(seat, candidate),
                candidate == avoid,
                self.load[candidate],
                candidate,
            ),
        )

    def spread(self) -> None:
        """Rule 2: move replicas off a shared host if another host can take them."""
        for seat in sorted(
            self.listener, key=lambda seat: (seat.replica, seat.shard), reverse=True
        ):
            colocated = self.colocated(seat, self.listener[seat])
            if not colocated:
                continue
            old = self.listener[seat]
            self.unassign(seat)
            best = self.best_listener(seat)
            better = best is not None and self.colocated(seat, best) < colocated
            self.assign(seat, best if best is not None and better else old)

    def rebalance(self) -> None:
        """Rule 3: move single seats from the fullest to the emptiest while that helps."""
        while True:
            step = self._rebalance_step()
            if step is None:
                return
            seat, listener = step
            self.unassign(seat)
            self.assign(seat, listener)

    def _rebalance_step(self) -> tuple[Seat, str] | None:
        order = sorted(self.load, key=lambda listener: (self.load[listener], listener))
        for full in reversed(order):
            for empty in order:
                if self.load[full] - self.load[empty] < 2:
                    break
                for seat in sorted(self.of[full], reverse=True):
                    if empty in self.replicas[seat.shard].values() or empty == self.avoid.get(seat):
                        continue
                    if self.colocated(seat, empty) <= self.colocated(seat, full):
                        return seat, empty
        return None


class _Clients:
    """The assignment of OAuth clients to seats, in progress. `allowed` as in `place`."""

    def __init__(self, room: Mapping[str, int], allowed: Mapping[str, frozenset[str]]) -> None:
        self._room = room
        self._allowed = allowed
        self._used: Counter[str] = Counter()
        self.of: dict[Seat, str] = {}
        self._siblings: dict[str, dict[str, str]] = {}

    def choice(self, seat: Seat) -> int:
        """The number of clients that a seat may have."""
        return len(self._allowed.get(seat.shard, self._room))

    def may(self, seat: Seat, client: str) -> bool:
        """Whether a seat may have this client now."""
        allowed = self._allowed.get(seat.shard, self._room)
        return client in allowed and self._used[client] < self._room.get(client, 0)

    def free(self, seat: Seat) -> list[str]:
        """The clients that a seat may have now."""
        return [client for client in sorted(self._room) if self.may(seat, client)]

    def taken(self, seat: Seat) -> Collection[str]:
        """The clients of the other replicas."""
        return self._siblings.get(seat.shard, {}).values()

    def fill(self, client: str) -> int:
        """How full a client is: lower is emptier."""
        return self._used[client] - self._room[client]

    def give(self, seat: Seat, client: str) -> None:
        if seat in self.of:
            self._used[self.of[seat]] -= 1
        self.of[seat] = client
        self._used[client] += 1
        self._siblings.setdefault(seat.shard, {})[seat.replica] = client

    def make_room(self, seat: Seat) -> list[str]:
        """Move another seat to another client, second replicas first. Returns the freed client."""
        wanted = self._allowed.get(seat.shard, self._room.keys())
        for holder in sorted(self.of, key=lambda held: (held.replica, held.shard), reverse=True):
            old = self.of[holder]
            elsewhere = self.free(holder) if old in wanted else []
            if elsewhere:
                siblings = [
                    client
                    for name, client in self._siblings[holder.shard].items()
                    if name != holder.replica
                ]
                self.give(
                    holder,
                    min(elsewhere, key=lambda client: (client in siblings, self.fill(client))),
                )
                return [old]
        return []


def _with_clients(
    wanted: Sequence[Seat],
    work: _Work,
    room: Mapping[str, int],
    current: Mapping[Seat, Place],
    preferred: Mapping[Seat, str],
    avoid: Mapping[Seat, Place],
    allowed: Mapping[str, frozenset[str]],
) -> Placement:
    """Give every placed seat a client: keep, then spread (rules 1, 2 and 4)."""
    seated = [seat for seat in wanted if seat in work.listener]
    clients = _Clients(room, allowed)
    for seat in seated:
        held = current.get(seat)
        keep = held.client if held is not None else preferred.get(seat, "")
        if clients.may(seat, keep) and keep not in clients.taken(seat):
            clients.give(seat, keep)
    # Within one rank of replicas, seats with the smallest choice first.
    for seat in sorted(
        seated, key=lambda candidate: (candidate.replica, clients.choice(candidate))
    ):
        free = [] if seat in clients.of else clients.free(seat) or clients.make_room(seat)
        if not free:
            continue
        taken = clients.taken(seat)
        held = current.get(seat)
        bad = avoid[seat].client if seat in avoid else None
        clients.give(
            seat,
            min(
                free,
                key=lambda client: (
                    client in taken,
                    client == bad,
                    held is None or client != held.client,
                    clients.fill(client),
                ),
            ),
        )
    places = {
        seat: Place(work.listener[seat], clients.of[seat]) for seat in seated if seat in clients.of
    }
    lacking: dict[Seat, Why] = {}
    for seat in wanted:
        if seat not in places:
            full = len(work.listener) >= work.left or seat in work.listener
            lacking[seat] = "no channel" if full and work.load else "no listener"
    return Placement(places, lacking)
