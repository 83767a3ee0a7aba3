"""The janitors' share of an OAuth client's request budget.

Listeners and the coordinator need the budget for channels and discovery. So all janitors together
take at most `share` of it (a second meter in Redis), and wait while the burst of the common budget
is used up.
"""

from __future__ import annotations

import threading

import redis

from mirror.base.errors import RedisUnavailable
from mirror.redis.keys import Keys
from mirror.redis.rate import BURST, RATE_PER_MINUTE, RateBudget
from mirror.redis.scripts import script


class SharedBudget(RateBudget):
    """A client's request budget, of which all janitors together take at most a share."""

    def __init__(self, client: redis.Redis, keys: Keys, oauth_client: str, share: float) -> None:
        burst = max(1, round(BURST * share))
        super().__init__(client, keys, oauth_client, burst=burst)
        self._share_key = keys.janitor_rate(oauth_client)
        self._ask_share = script(client, "rate")
        self._share_cost_ms = 60_000 / (RATE_PER_MINUTE * share)
        self._share_burst_ms = burst * self._share_cost_ms
        self._granted = False
        self._share_lock = threading.Lock()

    def ask(self) -> float:
        """0.0 if one call is allowed now, else the seconds until the next question."""
        with self._share_lock:
            if not self._granted:
                try:
                    pause = self._ask_share(
                        [self._share_key], [self._share_cost_ms, self._share_burst_ms]
                    )
                except RedisUnavailable:
                    return super().ask()  # without Redis it allows a small part of the rate
                if pause:
                    return int(pause) / 1000
                self._granted = True  # kept until the common budget agrees
            common = super().ask()
            if not common:
                self._granted = False
            return common
