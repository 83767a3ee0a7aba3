"""The settings of a simulator. Plain data: the command line fills it, tests build it."""

from __future__ import annotations

import msgspec

from simulator.ledger import DEFAULT_CAPACITY
from simulator.oauth import OAuthClient
from simulator.quirks import Quirks
from simulator.ratelimit import DEFAULT_LIMIT, DEFAULT_ORG_LIMIT


class Settings(msgspec.Struct, kw_only=True):
    """Settings of a simulated org. Durations are in seconds of wall time, unless noted."""

    users: int = 50
    queues: int = 5
    #: Divisions of the org. Queues and users are spread over them in turn.
    divisions: int = 1
    seed: int = 1
    #: Conversations started in a wall second.
    rate: float = 1.0
    #: How much faster conversations live. Pauses of scripts are divided by it.
    speed: float = 1.0
    #: How many Genesys seconds pass in a wall second (1440: a day in a minute).
    time_scale: float = 1.0
    #: How far the Genesys clock is ahead of ours (behind when negative).
    clock_offset: float = 0.0
    media: dict[str, float] | None = None
    clients: list[OAuthClient] = msgspec.field(
        default_factory=lambda: [OAuthClient("sandbox", "sandbox")]
    )
    autostart: bool = True
    #: Stop after this many conversations were started. None: never stop.
    conversations: int | None = None
    rate_limit: int = DEFAULT_LIMIT
    #: Requests/min of the whole org on queue, member and conversation routes, each; 0 is no limit.
    org_rate_limit: int = DEFAULT_ORG_LIMIT
    heartbeat: float = 30.0
    ledger_capacity: int = DEFAULT_CAPACITY
    #: How many ended conversations REST keeps.
    retained: int = 20_000
    #: How many bytes may wait for a socket before it counts as too slow and is closed.
    socket_buffer: int = 8 * 1024 * 1024
    #: Genesys seconds until analytics shows what happened.
    analytics_lag: float = 0.0
    #: Wall seconds between the frames of a replay.
    replay_interval: float = 0.05
    quirks: Quirks = msgspec.field(default_factory=Quirks)
    #: Pre-built frames a second, 0: as fast as sockets take them, None: no load mode.
    load: float | None = None
    #: Conversations at once in load mode.
    lanes: int = 1000
