"""Records every broken rule of clients. Pure.

A correct mirror breaks none of them: limits, early retries, leaked channels, calls that a mirror
must never make.
"""

from __future__ import annotations

from collections import deque

import msgspec

CAPACITY = 10_000
#: The watched rules, each with what breaks it.
RULES = {
    "rate_limit_exceeded": "a request beyond the budget of its token (answered 429)",
    "early_retry": "a request before the Retry-After of a 429 was over",
    "channel_evicted": "a 21st channel was created and silently removed another",
    "live_channel_evicted": "the removed channel had an open socket",
    "socket_replaced": "a second socket on one channel put the first one out",
    "too_many_topics": "more than 1,000 topics on a channel were asked for",
    "invalid_topic": "a topic that does not exist was asked for",
    "unknown_channel": "a channel was used that does not exist (any more)",
    "channel_leaked": "a channel went unused, without a socket, until it expired",
    "foreign_channel": "a channel of another OAuth client was used",
    "expired_token": "a request with a token that was already over",
    "unknown_token": "a request with a token that never was",
    "conversation_disconnect": "the force-disconnect of a conversation was called",
    "bad_client_frame": "a frame from the client that is no JSON object",
}


class Violation(msgspec.Struct, frozen=True):
    """A breach. `at_ms` is wall time, `subject` a client id or a shortened channel id."""

    seq: int
    rule: str
    at_ms: int
    subject: str | None
    detail: str


class Rules:
    """Counts breaches and keeps the latest ones."""

    def __init__(self) -> None:
        self._kept: deque[Violation] = deque(maxlen=CAPACITY)
        self._seq = 0
        self.counts: dict[str, int] = {}

    def broken(self, rule: str, at_ms: int, subject: str | None = None, detail: str = "") -> None:
        """Record a breach. Raises `KeyError` for a rule that is not in `RULES`."""
        if rule not in RULES:
            raise KeyError(rule)
        self._seq += 1
        self.counts[rule] = self.counts.get(rule, 0) + 1
        self._kept.append(Violation(self._seq, rule, at_ms, subject, detail))

    def read(self, since_seq: int = 0) -> list[Violation]:
        """The breaches after `since_seq`."""
        return [v for v in self._kept if v.seq > since_seq]

    def clear(self) -> None:
        """Forget all breaches."""
        self._kept.clear()
        self.counts.clear()


def shortened(channel_id: str) -> str:
    """A channel id that may be shown: the id itself is a secret (docs/protocol.md, "Sockets")."""
    return f"{channel_id[:15]}…"
