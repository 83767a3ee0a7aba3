"""The calls of a live channel to Genesys: its list is set again, or read and compared. Pure.

    idle        no call is under way
    setting     the full list is being set: topics changed, or the channel is renewed
    comparing   the topics on the channel are being read, and compared with the wanted list (I4)

Heartbeats still come on a channel whose subscriptions another tool removed. So the list is compared
about every `COMPARE_SECONDS`, and at once if the leader doubts the channel. Twenty channels of an
OAuth client make twenty calls a minute, of the 300 that Genesys allows; jitter spreads them. A list
is also compared before it is set, unless the last comparison is fresh: the PUT would hide that
topics were missing.

If a list differs again and again, comparisons become rarer: another tool may set its own list each
time, or an answer may be incomplete. The doubt then reaches back to the last good comparison.

A comparison that fails changes nothing. If comparisons fail for `OVERDUE_INTERVALS`, `overdue` says
so: if both replicas of a shard lost their subscriptions now, nothing else would show it. If a new
list cannot be set for `UNSET_SECONDS`, `unset` says so: the channel serves, but without new topics.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from listeners.channels.attempts import Attempts
from listeners.channels.lifetime import Lifetime
from listeners.channels.table import UPKEEP, Upkeep, UpkeepInput, step
from listeners.channels.topic_list import TopicList

COMPARE_SECONDS: Final = 60.0
OVERDUE_INTERVALS: Final = 5
UNSET_SECONDS: Final = 30.0
FRESH_SECONDS: Final = 5.0
_JITTER: Final = (0.75, 1.25)
_MOST_DIFFERENCES: Final = 4

#: The channel's next move: nothing, a PUT, a GET, another phase; or the channel is gone, as a PUT
#: (`gone`) or only a GET (`unknown`) says.
Verdict = Literal["", "set", "compare", "differs", "gone", "unknown"]


class Keeping:
    """The upkeep of one channel, over its topics and its lifetime."""

    def __init__(
        self,
        topics: TopicList,
        lifetime: Lifetime,
        attempts: Attempts,
        rng: Random,
        interval: float,
    ) -> None:
        """`interval`: about how many seconds between comparisons."""
        self.state: Upkeep = "idle"
        self._topics = topics
        self._lifetime = lifetime
        self._attempts = attempts
        self._rng = rng
        self._interval = interval
        self._differences = 0  # in a row
        self._compare_at = 0.0
        self._known_at = 0.0  # when Genesys last said which topics are set
        self._wanted_at = 0.0  # when the wanted list was last known to be set
        self._doubted_ms = 0

    def begin(self, now: float) -> Verdict:
        """The channel is live."""
        self._known_at = self._wanted_at = now
        self._rest(now)
        return "set" if self._topics.is_outdated else ""

    def look(self, now: float) -> Verdict:
        """The next call, if it is due and none is under way."""
        if self._topics.is_set:
            self._wanted_at = now
        if self.state != "idle":
            return ""
        if self._must_set(now):
            return "set" if self._is_fresh(now) else "compare"
        return "compare" if now >= self._compare_at else ""

    def take(self, occurred: UpkeepInput) -> None:
        """Make a step."""
        self.state = step(UPKEEP, self.state, occurred) or self.state

    def hurry(self, doubted_ms: int, now: float) -> None:
        """The leader doubts the channel since `doubted_ms` (Redis time): compare at once."""
        if doubted_ms > self._doubted_ms:
            self._doubted_ms = doubted_ms
            self._compare_at = min(self._compare_at, now)

    def compared(self, found: frozenset[str], now: float) -> Verdict:
        """Genesys said that the topics `found` are set."""
        self._known_at = now
        if self._topics.missing(found):
            self._differences = min(self._differences + 1, _MOST_DIFFERENCES)
            return "differs"
        if self._must_set(now):
            return "set"
        if not self._topics.is_as_wanted(found, now):  # topics were added, or are no longer refused
            self._differences = min(self._differences + 1, _MOST_DIFFERENCES)
            return "set"
        self.take("done")
        self._differences = 0
        self._rest(now)
        return ""

    def was_set(self, expires_in: float | None, now: float) -> Verdict:
        """The full list was set."""
        self.take("done")
        self._known_at = now
        self._rest(now)
        self._lifetime.renewed(now, expires_in)
        return "set" if self._topics.is_outdated else ""

    def failed(self, now: float, *, gone: bool = False, retry_in: float = 0.0) -> Verdict:
        """The call failed, or its answer did not come."""
        if self.state == "idle":
            return ""
        was_setting = self.state == "setting"
        if gone and was_setting:
            return "gone"
        if not gone and not was_setting and self._must_set(now):
            return "set"
        self.take("failed")
        if was_setting:
            self._lifetime.put_off(now + max(retry_in, self._attempts.pause()))
        else:
            self._rest(now)
        return "unknown" if gone else ""

    def overdue(self, now: float) -> float | None:
        """For how many seconds Genesys has not said which topics are set; None if that is usual."""
        since = now - self._known_at
        return since if since > OVERDUE_INTERVALS * self._pause() else None

    def unset(self, now: float) -> float | None:
        """For how many seconds the wanted list has not been set; None if that is usual."""
        since = now - self._wanted_at
        return since if since > UNSET_SECONDS and not self._topics.is_set else None

    def _must_set(self, now: float) -> bool:
        return self._topics.is_outdated or self._lifetime.renewal_due(now)

    def _is_fresh(self, now: float) -> bool:
        """Whether the list on the channel is known, or empty, so that a PUT hides nothing."""
        confirmed = self._topics.confirmed_at
        return confirmed is None or now - confirmed <= FRESH_SECONDS

    def _rest(self, now: float) -> None:
        """The next comparison is an interval away."""
        self._compare_at = now + self._pause() * self._rng.uniform(*_JITTER)

    def _pause(self) -> float:
        """About how many seconds lie between comparisons now."""
        return self._interval * 2.0 ** max(0, self._differences - 1)
