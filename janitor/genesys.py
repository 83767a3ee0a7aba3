"""The OAuth clients as the janitor uses them: in turn, and at its share of their request budget.

Listeners and the coordinator need the budget for channels and discovery, so background work takes
at most `share` of it, over all janitors together (a second meter in Redis), and stands back while
the burst of the common budget is spent.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from typing import Any, Protocol

import redis

from mirror.errors import RedisUnavailable
from mirror.genesys.client import GenesysClient
from mirror.genesys.shapes import AnalyticsConversation, AnalyticsPage
from mirror.redis.keys import Keys
from mirror.redis.rate import BURST, RATE_PER_MINUTE, RateBudget
from mirror.redis.scripts import script
from mirror.settings import Settings


class Genesys(Protocol):
    """What the janitor asks of Genesys: three readings, never a write."""

    def conversation(self, conversation_id: str) -> bytes: ...

    def query_details(self, query: dict[str, Any]) -> AnalyticsPage: ...

    def details(self, conversation_ids: Sequence[str]) -> list[AnalyticsConversation]: ...


class SharedBudget(RateBudget):
    """A client's budget of which all janitors together take at most a share."""

    def __init__(self, client: redis.Redis, keys: Keys, oauth_client: str, share: float) -> None:
        burst = max(1, round(BURST * share))
        super().__init__(client, keys, oauth_client, burst=burst)
        self._share_key = keys.rate(f"{oauth_client}:janitor")
        self._ask_share = script(client, "rate")
        self._share_cost_ms = 60_000 / (RATE_PER_MINUTE * share)
        self._share_burst_ms = burst * self._share_cost_ms
        self._granted = False
        self._share_lock = threading.Lock()

    def ask(self) -> float:
        """0.0 where one call may go now, else after how many seconds to ask again."""
        with self._share_lock:
            if not self._granted:
                try:
                    pause = self._ask_share(
                        [self._share_key], [self._share_cost_ms, self._share_burst_ms]
                    )
                except RedisUnavailable:
                    return super().ask()  # which goes by itself at a small part of the rate
                if pause:
                    return int(pause) / 1000
                self._granted = True  # kept until the common budget agrees
            common = super().ask()
            if not common:
                self._granted = False
            return common


class GenesysPool:
    """All OAuth clients, asked in turn so that each one's budget carries its part."""

    def __init__(
        self, settings: Settings, client: redis.Redis, stop: threading.Event, share: float
    ) -> None:
        keys = Keys(settings.namespace)
        self.clients = [
            GenesysClient(settings, one, SharedBudget(client, keys, one.id, share), stop)
            for one in settings.require_clients()
        ]
        self.calls = 0
        self._turns = itertools.cycle(self.clients)

    def sign_in(self) -> None:
        """Learn whether host and credentials are right. Raises `GenesysError`."""
        for client in self.clients:
            client.sign_in()

    def conversation(self, conversation_id: str) -> bytes:
        """`GET /api/v2/conversations/{id}`."""
        return self._next().conversation(conversation_id)

    def query_details(self, query: dict[str, Any]) -> AnalyticsPage:
        """One page of an analytics details query."""
        return self._next().query_details(query)

    def details(self, conversation_ids: Sequence[str]) -> list[AnalyticsConversation]:
        """Analytics of up to 100 conversations; unknown ones are left out."""
        return self._next().details(conversation_ids)

    def _next(self) -> GenesysClient:
        self.calls += 1
        return next(self._turns)
