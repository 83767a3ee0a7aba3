"""The wanted place of every seat, from pass to pass. Pure.

A seat is wanted where it is, except while a rebalance asks for another place. That place is
remembered until the seat is there, or cannot get there.
"""

from __future__ import annotations

from collections.abc import Mapping

from coordinator.plan import assignment
from coordinator.plan.assignment import Place, Placement
from coordinator.plan.seats import Records
from mirror.fleet.words import Seat, Shard, usable_channels


class Target:
    """Places seats. `clients`: OAuth client → most channels."""

    def __init__(self, replicas: int, clients: Mapping[str, int]) -> None:
        self._replicas = replicas
        self._room = {client: usable_channels(limit) for client, limit in clients.items()}
        self._goal: dict[Seat, Place] = {}

    def forget(self) -> None:
        """Drop an older rebalance; another leader may have placed seats since."""
        self._goal = {}

    def wanted(
        self,
        seats: Records,
        shards: Mapping[str, Shard],
        hosts: Mapping[str, str],
        preferred: Mapping[Seat, str],
        unhealthy: Mapping[Seat, Place],
        *,
        rebalance: bool,
    ) -> Placement:
        """The wanted placement.

        `hosts`: listener → host, for listeners that may hold seats. `preferred`: seat → client of a
        channel that waits for it. `unhealthy`: seat → the place where it failed. `rebalance`: place
        all seats anew.
        """
        current = {
            seat: holding.place
            for seat, record in seats.items()
            if (holding := record.next or record.current) is not None
        }
        if rebalance:
            fresh = {seat: Place(place.listener, "") for seat, place in current.items()}
            self._goal = self._place(shards, hosts, fresh).places
        self._goal = {
            seat: place
            for seat, place in self._goal.items()
            if place.listener in hosts and current.get(seat) != place and seat not in unhealthy
        }
        kept = {
            seat: place for seat, place in (current | self._goal).items() if seat not in unhealthy
        }
        return self._place(shards, hosts, kept, preferred, unhealthy)

    def _place(
        self,
        shards: Mapping[str, Shard],
        hosts: Mapping[str, str],
        current: Mapping[Seat, Place],
        preferred: Mapping[Seat, str] | None = None,
        avoid: Mapping[Seat, Place] | None = None,
    ) -> Placement:
        seats = assignment.seats(shards, self._replicas)
        return assignment.place(
            seats, hosts, self._room, current, preferred, avoid, allowed(shards)
        )


def allowed(shards: Mapping[str, Shard]) -> dict[str, frozenset[str]]:
    """Shard → the clients that may see it, for shards that not all may see."""
    return {shard.id: frozenset(shard.clients) for shard in shards.values() if shard.clients}
