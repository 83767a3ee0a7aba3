"""Decides when a channel is renewed, and when it needs a successor. Pure.

A channel lives 24 hours from its latest subscription, and no longer than the token that made it
(docs/protocol.md, "Channels"). So it is renewed well before a day is over. It needs a successor
before its token ends, or if it could not be renewed. All times are monotonic seconds.

The channels of a mirror are spread over time: a seat has its own moment within each window. Each
replica has its own part of the window, so the replicas of a shard never fall together; within the
part a hash spreads the shards. A seat has the same moment in every process, so the renewals of a
day are predictable.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

RENEW_AT: Final = (0.6, 0.75)  # of a channel's life
ROTATE_TOKEN_AT: Final = (0.75, 0.85)  # of the life left in the creating token
UNRENEWED: Final = 0.9  # of a channel's life: rotate if it could not be renewed by then
# If another listener gave a channel back, the age of its token is unknown.
ADOPTED_LIFE_SECONDS: Final = 3_600.0
RENEW_AGAIN_SECONDS: Final = 1_800.0

# The beginning of each replica's part of a window; each part is a quarter long.
_PARTS: Final = {"a": 0.0, "b": 0.5, "c": 0.25, "d": 0.75}
_SPREAD: Final = 2**16


def moment(shard: str, replica: str, window: tuple[float, float]) -> float:
    """The seat's point within `window`."""
    digest = blake2b(shard.encode(), digest_size=2).digest()
    share = _PARTS.get(replica, 0.0) + int.from_bytes(digest, "big") / _SPREAD / 4
    return window[0] + (window[1] - window[0]) * share


class Lifetime:
    """The deadlines of one channel, and its request for a successor."""

    def __init__(self, shard: str, replica: str, now: float, *, adopted: bool) -> None:
        self.rotate = ""  # why the channel needs a successor
        self.rotate_since: float | None = None
        self.expires_at: float | None = None
        self._renew_at: float | None = None
        self._unrenewed_at: float | None = None
        self._token_at = now + ADOPTED_LIFE_SECONDS if adopted else None
        self._renew_share = moment(shard, replica, RENEW_AT)
        self._token_share = moment(shard, replica, ROTATE_TOKEN_AT)

    def made(self, now: float, token_expires_in: float | None) -> None:
        """The channel was created with a token that lives `token_expires_in` seconds more."""
        if token_expires_in is not None:
            self._token_at = now + token_expires_in * self._token_share

    def expires(self, now: float, expires_in: float | None) -> None:
        """Genesys said how many seconds the channel lives; None if it did not."""
        if expires_in is not None:
            self.expires_at = now + expires_in
            self._renew_at = now + expires_in * self._renew_share
            self._unrenewed_at = now + expires_in * UNRENEWED

    def renewed(self, now: float, expires_in: float | None) -> None:
        """Topics were set again. If the new end is unknown, the next renewal comes soon."""
        if expires_in is None and self._renew_at is not None:
            self._renew_at = max(self._renew_at, now + RENEW_AGAIN_SECONDS)

    def put_off(self, until: float) -> None:
        """A renewal failed: try not again before `until`."""
        self._renew_at = until

    def renewal_due(self, now: float) -> bool:
        """Whether it is time to renew the channel."""
        return self._renew_at is not None and now >= self._renew_at

    def watch(self, now: float) -> None:
        """Request a successor if a deadline has passed."""
        if self._token_at is not None and now >= self._token_at:
            self.request_successor("token_expiring", now)
        if self._unrenewed_at is not None and now >= self._unrenewed_at:
            self.request_successor("channel_expiring", now)

    def request_successor(self, reason: str, now: float) -> None:
        """Request a successor; the first reason stays."""
        if not self.rotate:
            self.rotate, self.rotate_since = reason, now

    def forget(self) -> None:
        """Forget the channel's deadlines: those of the next channel are unknown yet."""
        self.expires_at = self._renew_at = self._unrenewed_at = self._token_at = None
        self.rotate, self.rotate_since = "", None
