"""What Redis and the simulator show of a deployment at one moment."""

from __future__ import annotations

from typing import Any

import msgspec

from harness.deployment import Deployment
from mirror.fleet.words import Beat, Seat
from mirror.redis.clock import redis_now_ms


class Sight:
    """Looks again at each call. `lease` in seconds."""

    def __init__(self, mirror: Deployment, lease: float) -> None:
        self._mirror = mirror
        self._lease = lease

    def beats(self) -> list[Beat]:
        """The listeners that beat within the lease."""
        client, keys = self._mirror.redis, self._mirror.keys
        since = redis_now_ms(client) - self._lease * 1000
        names: Any = client.zrangebyscore(keys.beats, since, "+inf")
        texts: Any = client.mget([keys.listener(name) for name in names]) if names else []
        return [msgspec.json.decode(text, type=Beat) for text in texts if text]

    def live(self) -> dict[Seat, str]:
        """Seat → the listener that has it live."""
        return {
            channel.seat: beat.listener
            for beat in self.beats()
            for channel in beat.channels
            if channel.state == "live"
        }

    def live_epochs(self) -> dict[Seat, int]:
        """Seat → the epoch of its live channel."""
        return {
            channel.seat: channel.epoch
            for beat in self.beats()
            for channel in beat.channels
            if channel.state == "live"
        }

    def loads(self) -> dict[str, int]:
        """Listener → its live channels."""
        return {
            beat.listener: sum(channel.state == "live" for channel in beat.channels)
            for beat in self.beats()
        }

    def leader(self) -> object:
        """The name of the leader, None without one."""
        return self._mirror.redis.get(self._mirror.keys.leader)

    def channels(self) -> list[dict[str, Any]]:
        """The channels that exist, as the simulator tells them."""
        found: list[dict[str, Any]] = self._mirror.org.get("/_sim/channels")["channels"]
        return found

    def topics_by_channel(self) -> dict[str, int]:
        """Channel with a socket → its topics."""
        return {
            channel["id"]: channel["topics"] for channel in self.channels() if channel["connected"]
        }

    def connected_topics(self) -> int:
        """Subscriptions of channels with a socket."""
        return sum(self.topics_by_channel().values())

    def sockets(self) -> dict[str, int]:
        """Channel with a socket → the number of that socket."""
        return {
            channel["id"]: channel["socket"] for channel in self.channels() if channel["connected"]
        }

    def puts(self) -> int:
        """How often subscriptions were set."""
        requests: dict[str, int] = self._mirror.stats()["requests"]
        return sum(
            count
            for route, count in requests.items()
            if route.startswith("PUT") and "subscriptions" in route
        )
