"""What a live channel asks of Genesys while it receives: its list set again, or read. Pure.

    idle        nothing is asked
    setting     the full list is being set: topics changed, or the channel is renewed
    comparing   the topics that are set are being read, and compared with those that are wanted (I4)

Heartbeats come on a channel whose subscriptions another tool took away. So the list is compared
about every `COMPARE_SECONDS`, and at once where the leader doubts the channel. Twenty channels of
an OAuth client ask twenty times a minute, of the 300 that Genesys allows; jitter keeps them apart.
A list is also compared before it is set, where the last comparison is not fresh: the PUT would hide
that topics were missing.

A list that differs again and again is compared ever more rarely: another tool may set its own each
time, or an answer may not say all. What is doubted then reaches back to the last good comparison.
"""

from __future__ import annotations

from random import Random
from typing import Final, Literal

from listeners.channels.attempts import Attempts
from listeners.channels.lifetime import Lifetime
from listeners.channels.table import UPKEEP, Upkeep, UpkeepInput, step
from listeners.channels.topic_list import TopicList

COMPARE_SECONDS: Final = 60.0
FRESH_SECONDS: Final = 5.0
_JITTER: Final = (0.75, 1.25)
_MOST_DIFFERENCES: Final = 4

#: What the channel does about it: nothing, a PUT, a GET, another phase; or it is gone, by the word
#: of a PUT (`gone`) or of a GET alone (`unknown`).
Verdict = Literal["", "set", "compare", "differs", "gone", "unknown"]


class Keeping:
    """The upkeep of one channel, over its topics and its lifetime."""

    def __init__(
        self, topics: TopicList, lifetime: Lifetime, attempts: Attempts, rng: Random, every: float
    ) -> None:
        """`every`: seconds between comparisons, about."""
        self.state: Upkeep = "idle"
        self._topics = topics
        self._lifetime = lifetime
        self._attempts = attempts
        self._rng = rng
        self._every = every
        self._differences = 0  # in a row
        self._compare_at = 0.0
        self._doubted_ms = 0

    def begin(self, now: float) -> Verdict:
        """The channel is live."""
        self._rest(now)
        return "set" if self._topics.is_outdated else ""

    def look(self, now: float) -> Verdict:
        """What is due, where nothing is asked yet."""
        if self.state != "idle":
            return ""
        if self._must_set(now):
            return "set" if self._is_fresh(now) else "compare"
        return "compare" if now >= self._compare_at else ""

    def take(self, what: UpkeepInput) -> None:
        """Make a step."""
        self.state = step(UPKEEP, self.state, what) or self.state

    def hurry(self, doubted_ms: int, now: float) -> None:
        """The leader doubts the channel since `doubted_ms` (Redis time): compare at once."""
        if doubted_ms > self._doubted_ms:
            self._doubted_ms = doubted_ms
            self._compare_at = min(self._compare_at, now)

    def compared(self, found: frozenset[str], now: float) -> Verdict:
        """These topics are set."""
        if self._topics.missing(found):
            self._differences = min(self._differences + 1, _MOST_DIFFERENCES)
            return "differs"
        if self._must_set(now):
            return "set"
        if not self._topics.is_as_wanted(found, now):  # others were added, or are refused no more
            self._differences = min(self._differences + 1, _MOST_DIFFERENCES)
            return "set"
        self.take("done")
        self._differences = 0
        self._rest(now)
        return ""

    def was_set(self, expires_in: float | None, now: float) -> Verdict:
        """The full list was set."""
        self.take("done")
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

    def _must_set(self, now: float) -> bool:
        return self._topics.is_outdated or self._lifetime.renewal_due(now)

    def _is_fresh(self, now: float) -> bool:
        """Whether it is known what is set; or nothing is, so that a PUT hides nothing."""
        confirmed = self._topics.confirmed_at
        return confirmed is None or now - confirmed <= FRESH_SECONDS

    def _rest(self, now: float) -> None:
        """The next comparison is an interval away."""
        rarer = 2.0 ** max(0, self._differences - 1)
        self._compare_at = now + self._every * rarer * self._rng.uniform(*_JITTER)
