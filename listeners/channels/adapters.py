"""Adapts Redis and Genesys Cloud to the protocols of `Executor`.

`RedisAdapter` reserves channels through `listeners.fleet_link.FleetLink`; `GenesysAdapter` creates
channels and sets topics through `mirror.genesys.client.GenesysClient`, one for each OAuth client.
"""

from __future__ import annotations

import redis

from listeners.fleet_link import FleetLink
from mirror.base.errors import GenesysError
from mirror.base.log import logger
from mirror.fleet.words import Grant
from mirror.genesys.client import GenesysClient
from mirror.genesys.handles import Handle
from mirror.genesys.shapes import NewChannel
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import Settings


class RedisAdapter:
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


class GenesysAdapter:
    """Channels of one OAuth client. Every method raises `GenesysError`."""

    def __init__(self, client: GenesysClient) -> None:
        self.client = client
        self._log = logger("listener.genesys")

    def check(self) -> None:
        """Whether Genesys answers and knows us."""
        self.client.sign_in()

    def check_uri(self, uri: str) -> None:
        """Raise if a channel's socket must not be opened at `uri`, whoever made the channel."""
        self.client.check_uri(uri)

    def create(self) -> NewChannel:
        """A new channel; reserve it first."""
        return self.client.create_channel()

    def subscribe(
        self, channel_id: str, topics: tuple[str, ...], *, read_expiry: bool
    ) -> tuple[dict[str, str], float | None]:
        """Set the full list. Returns refused topics with reasons, and seconds until it expires.

        The PUT renews the channel, but its answer has no new end. The listing of channels has it,
        but only for the token that made the channel. None if it is not found.
        """
        subscriptions = self.client.put_subscriptions(channel_id, topics)
        expires_in = None
        if read_expiry:
            try:
                expires_in = self.client.channels().get(channel_id)
            except GenesysError as error:
                self._log.warning("expiry_read_failed", error=error)
        return subscriptions.rejected, expires_in

    def topics(self, channel_id: str) -> frozenset[str]:
        """The topics that are set."""
        return self.client.get_subscriptions(channel_id)


def genesys_adapters(settings: Settings, client: redis.Redis) -> dict[str, GenesysAdapter]:
    """OAuth client id → its adapter. Raises `SettingsError` if no client is configured."""
    return {
        oauth.id: GenesysAdapter(
            GenesysClient(settings, oauth, RateBudget(client, Keys(settings.namespace), oauth.id))
        )
        for oauth in settings.require_clients()
    }
