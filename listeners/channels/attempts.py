"""Decides how often a channel is tried, and how long the pauses are. Pure.

- A failed call or handshake is tried again after a pause that doubles, with jitter.
- A lost socket is opened again once, on the same channel. If it is lost again, or right after it
  opened, the channel is abandoned: another process may hold it.
- A channel is abandoned after `CONNECT_TRIES` failed handshakes.
- If channels end right after they were made, the pauses before new ones grow.

All times are monotonic seconds.
"""

from __future__ import annotations

from random import Random
from typing import Final

# A socket lost sooner than this was never usable: somebody else may hold the channel.
STABLE_AFTER_SECONDS: Final = 5.0
# A channel that ends sooner than this has not served. If that happens again and again (a token that
# lives for a second ends its channels with it), the pause before the next channel doubles.
# Otherwise a seat would create hundreds of channels.
SHORT_LIFE_SECONDS: Final = 10.0
CONNECT_TRIES: Final = 3
BACKOFF_FIRST_SECONDS: Final = 0.5
BACKOFF_MOST_SECONDS: Final = 30.0
_MOST_DOUBLINGS: Final = 16


class Attempts:
    """The tries of one grant."""

    def __init__(self, rng: Random, now: float) -> None:
        self._rng = rng
        self._failures = 0  # in a row
        self._tries = 0  # losses and failed handshakes of this channel since it was last live
        self._short_lives = 0  # channels in a row that have not served
        self._made_at: float | None = None
        self._opened_at = now

    @property
    def opened_at(self) -> float:
        """The time of the last opening of the socket."""
        return self._opened_at

    def pause(self) -> float:
        """The pause after a failure: full jitter over a doubling span, in seconds."""
        span = _doubled(self._failures)
        self._failures += 1
        return span * (0.5 + 0.5 * self._rng.random())

    def made(self, now: float) -> None:
        """Note that a channel was made."""
        self._made_at = now
        self._tries = 0

    def opened(self, now: float) -> None:
        """Note that its socket is open."""
        self._opened_at = now

    def served(self) -> None:
        """Note that the channel is live."""
        self._failures = self._tries = 0

    def handshake_failed(self) -> bool:
        """Note a failed handshake. Returns whether there were too many."""
        self._tries += 1
        return self._tries > CONNECT_TRIES

    def socket_lost(self, now: float) -> bool:
        """Note a lost socket. Returns whether to abandon the channel with it."""
        self._tries += 1
        return self._tries > 1 or now - self._opened_at < STABLE_AFTER_SECONDS

    def ended(self, now: float) -> float:
        """Note the channel's end. Returns the least pause before the next channel, in seconds: 0 if
        this channel has served or is the first."""
        self._tries = 0
        if self._made_at is None:
            return 0.0
        self._short_lives = self._short_lives + 1 if now - self._made_at < SHORT_LIFE_SECONDS else 0
        self._made_at = None
        return 0.0 if self._short_lives < 2 else _doubled(self._short_lives)


def _doubled(count: int) -> float:
    return min(BACKOFF_MOST_SECONDS, BACKOFF_FIRST_SECONDS * 2.0 ** min(count, _MOST_DOUBLINGS))
