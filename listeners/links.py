"""The other ends that a listener talks to, in the shape that `Actions` asks for.

`RedisLink` reserves channels through `mirror.redis.fleet.FleetLink`; `GenesysLink` creates channels
and sets topics through `mirror.genesys.client.GenesysClient`, one for each OAuth client.
"""

from __future__ import annotations

import redis

from mirror.fleet import Grant, Handle
from mirror.redis.fleet import FleetLink
from mirror.settings import Settings


class RedisLink:
    """Reservations of channels. Every method raises `RedisUnavailable`."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.fleet = FleetLink(client, settings)
        self._limit = settings.channels_per_client

    def reserve(self, client: str, holder: str) -> bool:
        """Whether `holder` now has one of the client's channels (I5)."""
        return self.fleet.reserve_channel(client, holder, self._limit)

    def release(self, client: str, holder: str) -> None:
        """Give the reservation back."""
        self.fleet.release_channel(client, holder)

    def give_back(self, grant: Grant, holder: str, handle: Handle) -> None:
        """Hand the channel on to the seat's next holder."""
        self.fleet.give_back(grant, handle, holder)
