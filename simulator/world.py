"""A simulated org with all its parts."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from aiohttp import web

from simulator import replay
from simulator.channels import ChannelBook
from simulator.clock import Clock
from simulator.engine import Engine
from simulator.faults import FaultBook
from simulator.hub import Hub
from simulator.ledger import Ledger
from simulator.load import LoadGun
from simulator.oauth import TokenBook
from simulator.org import Org
from simulator.quirks import changed
from simulator.ratelimit import CLIENT_TOKENS, Bars, OrgLimiter, RateLimiter
from simulator.rules import Rules, shortened
from simulator.scenarios import DEFAULT_WEIGHTS
from simulator.settings import Settings

EXPIRY_CHECK_SECONDS = 0.25


class World:
    """All that request handlers need."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        seed = settings.seed
        self.clock = Clock(int(settings.clock_offset * 1000), settings.time_scale)
        self.org = Org(settings.users, settings.queues, seed, settings.divisions)
        self.tokens = TokenBook(settings.clients, random.Random(f"tokens-{seed}-{time.time_ns()}"))
        self.channels = ChannelBook(random.Random(f"channels-{seed}-{time.time_ns()}"))
        self.ledger = Ledger(settings.ledger_capacity)
        self.rules = Rules()
        self.limiter = RateLimiter(settings.rate_limit)
        self.client_limiter = RateLimiter(settings.rate_limit * CLIENT_TOKENS)
        self.org_limiter = OrgLimiter(settings.org_rate_limit)
        self.bars = Bars()
        self.faults = FaultBook(random.Random(f"faults-{seed}"))
        self.hub = Hub(
            self.channels,
            self.clock,
            self.faults,
            random.Random(f"hub-{seed}"),
            settings.socket_buffer,
        )
        self.engine = Engine(settings, self.clock, self.org, self.hub, self.ledger, self.faults)
        self.load = LoadGun(self.hub, settings.media or DEFAULT_WEIGHTS, seed)
        self.quirks = settings.quirks
        self.change_quirks({})
        self.analytics_lag = settings.analytics_lag
        self.requests: dict[str, int] = {}
        self.started = time.time()
        self.recorded: list[dict[str, Any]] = []
        self.replayed = 0

    def change_quirks(self, changes: dict[str, object]) -> None:
        """Change answers to open questions. Raises `ValueError` for an invalid answer."""
        self.quirks = quirks = changed(self.quirks, changes)
        self.channels.renewing = frozenset(quirks.renewing)
        self.channels.token_ends_channels = quirks.token_ends_channels
        self.hub.dead_socket_code = quirks.dead_socket_code
        self.engine.quirks = quirks

    def take_recording(self, frames: list[dict[str, Any]]) -> None:
        """Add recorded frames, to be sent once a socket is subscribed."""
        replay.enrol(frames, self.org)
        self.recorded.extend(frames)

    async def replay_recorded(self) -> None:
        """Send the recorded frames, each when its topic has a socket."""
        interval = self.settings.replay_interval
        async for number in replay.play(self.recorded, self.hub, interval):
            self.replayed = number

    async def watch_expiry(self) -> None:
        """Close expired channels and forget old conversations, until cancelled."""
        while True:
            now_ms = self.clock.now_ms()
            for channel in self.channels.expired(now_ms):
                if channel.socket is None and channel.topics and channel.expires_ms <= now_ms:
                    subject = f"{channel.client_id} {shortened(channel.id)}"
                    self.rules.broken("channel_leaked", int(time.time() * 1000), subject)
                self.hub.close_channel(channel, "channel or token expired")
            self.tokens.forget_expired(now_ms)
            self.limiter.forget_idle(time.monotonic())
            self.client_limiter.forget_idle(time.monotonic())
            self.org_limiter.forget_idle(time.monotonic())
            await asyncio.sleep(EXPIRY_CHECK_SECONDS)


WORLD = web.AppKey("world", World)


def world_of(request: web.Request) -> World:
    """The org of this request."""
    return request.app[WORLD]
