"""The request budgets (docs/protocol.md, "Limits"): a limit for each minute, in fixed windows.
Pure.

Each token has a budget, and all tokens of a client together have one ten times as large. The org
also has a budget for each family of routes (`family_of`), so the requests of another client can
cause a 429.

Windows use wall time, because a client sleeps for `Retry-After` wall seconds.
"""

from __future__ import annotations

import math

import msgspec

WINDOW_SECONDS = 60.0
DEFAULT_LIMIT = 300
#: The limit of a client is that of so many tokens (`org.app.user.rate.per.minute`: 3,000).
CLIENT_TOKENS = 10
#: Genesys names no figure for the routes. This is its limit for a user of an org.
DEFAULT_ORG_LIMIT = 3000
#: Requests that were on their way at the first 429 do not count as early retries.
GRACE_SECONDS = 1.0


class Verdict(msgspec.Struct, frozen=True):
    """The limiter's decision on a request: its headers, and whether it may pass."""

    allowed: bool
    count: int
    limit: int
    reset_seconds: int
    early_retry: bool = False

    def headers(self) -> dict[str, str]:
        """The `inin-ratelimit-*` headers, and `Retry-After` on a refusal."""
        fields = {
            "inin-ratelimit-count": str(self.count),
            "inin-ratelimit-allowed": str(self.limit),
            "inin-ratelimit-reset": str(self.reset_seconds),
        }
        if not self.allowed:
            fields["Retry-After"] = str(self.reset_seconds)
        return fields


class _Window(msgspec.Struct):
    started: float
    count: int = 0
    refused_at: float | None = None


class RateLimiter:
    """Counts requests per key; `limit` 0 means no limit."""

    def __init__(self, limit: int = DEFAULT_LIMIT, window: float = WINDOW_SECONDS) -> None:
        self.limit = limit
        self.window = window
        self._windows: dict[str, _Window] = {}

    def hit(self, key: str, now: float) -> Verdict:
        """Count one request of `key` at `now` (seconds of any steady clock)."""
        window = self._windows.get(key)
        if window is None or now - window.started >= self.window:
            window = self._windows[key] = _Window(now)
        early = window.refused_at is not None and now > window.refused_at + GRACE_SECONDS
        window.count += 1
        left = max(1, math.ceil(window.started + self.window - now))
        if self.limit and window.count > self.limit:
            if window.refused_at is None:
                window.refused_at = now
            return Verdict(False, window.count, self.limit, left, early)
        return Verdict(True, window.count, self.limit, left)

    def forget_idle(self, now: float) -> None:
        """Drop windows that are over."""
        for key in [k for k, w in self._windows.items() if now - w.started >= self.window]:
            del self._windows[key]


def family_of(path: str) -> str | None:
    """The family of routes with an org-wide limit to which a path belongs, or None."""
    if path.startswith("/api/v2/routing/queues"):
        return "members" if path.endswith("/members") else "queues"
    if path.startswith("/api/v2/conversations/"):
        return "conversations"
    return None


class OrgLimiter:
    """The org-wide budgets. Only a retry by a refused client can be early."""

    def __init__(self, limit: int = DEFAULT_ORG_LIMIT, window: float = WINDOW_SECONDS) -> None:
        self._families = RateLimiter(limit, window)
        self._refused: dict[tuple[str, str], tuple[float, float]] = {}

    @property
    def limit(self) -> int:
        return self._families.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._families.limit = limit

    def hit(self, path: str, client: str, now: float) -> Verdict | None:
        """Count a request to `path`. None if no limit applies, or the request is within its
        limit."""
        family = family_of(path)
        if family is None:
            return None
        verdict = self._families.hit(family, now)
        if verdict.allowed:
            return None
        told_at, until = self._refused.get((family, client), (now, now))
        early = told_at + GRACE_SECONDS < now < until
        if now >= until:
            told_at = now
        self._refused[family, client] = (told_at, now + verdict.reset_seconds)
        return msgspec.structs.replace(verdict, early_retry=early)

    def forget_idle(self, now: float) -> None:
        """Drop windows that are over."""
        self._families.forget_idle(now)
        self._refused = {key: at for key, at in self._refused.items() if now < at[1]}


class Bars:
    """The OAuth clients that got an injected 429, and the ends of their pauses."""

    def __init__(self) -> None:
        self._bars: dict[str, tuple[float, float]] = {}  # client → told first at, until

    def tell(self, client: str, seconds: float, now: float) -> None:
        """A 429 was answered with this `Retry-After`."""
        told_at, until = self._bars.get(client, (now, now))
        self._bars[client] = (told_at if now < until else now, max(until, now + seconds))

    def is_early(self, client: str, now: float) -> bool:
        """Whether a request comes before the pause is over, from a client that knows of it."""
        told_at, until = self._bars.get(client, (now, now))
        return told_at + GRACE_SECONDS < now < until
