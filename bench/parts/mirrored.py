"""The mirror of the janitor's benchmark: its settings, and what to look at in it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from harness.deployment import Deployment
from mirror.fleet.gaps import list_gaps

SHORT: Final = {
    "MIRROR_ZOMBIE_AFTER": "60s",
    "MIRROR_JANITOR_INTERVAL": "10s",
    "MIRROR_ANALYTICS_LAG": "15s",
    "MIRROR_PARTITIONS": "12",
}
ANALYTICS_LAG: Final = "5"  # of the simulator; the janitor waits longer before it reads again
GET: Final = "GET /api/v2/conversations/{conversation_id}"
QUERY: Final = "POST /api/v2/analytics/conversations/details/query"
DETAILS: Final = "GET /api/v2/analytics/conversations/details"


def requests(mirror: Deployment) -> Counter[str]:
    """What the simulator was asked about conversations, by route."""
    counted = mirror.stats()["requests"]
    return Counter({route: counted.get(route, 0) for route in (GET, QUERY, DETAILS)})


def active(mirror: Deployment) -> set[str]:
    """The active set in Redis."""
    found: Any = mirror.redis.zrange(mirror.keys.active, 0, -1)
    return set(found)


def live(mirror: Deployment) -> set[str]:
    """What has a live leg and a topic at the simulator, and so was shown to a socket."""
    body = mirror.org.get("/_sim/conversations")
    return {
        conversation["id"]
        for conversation in body["conversations"]
        if conversation["live"] and (conversation["queues"] or conversation["users"])
    }


def filled(mirror: Deployment) -> bool:
    """Whether there are gaps, and all of them are filled."""
    gaps = list_gaps(mirror.redis, mirror.keys)
    return bool(gaps) and all(gap.state == "filled" for gap in gaps)


def violations(mirror: Deployment) -> object:
    """The rules of Genesys that were broken, with how often."""
    return mirror.org.get("/_sim/violations")["counts"] or "none"
