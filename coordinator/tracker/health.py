"""Judges from librdkafka's statistics whether the tracker works. Pure.

Some failures raise no error: a consumer group that refuses us, a partition without a leader, a lag
that only grows. The tracker just folds nothing, and the count of active conversations stands still.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from mirror.base.units import counted
from mirror.kafka.broker_states import NONE, UP, states
from mirror.kafka.record import WRITERS

# A problem that lasts this long is reported; the fold counts as old much sooner.
PATIENCE_SECONDS: Final = 60.0
STALE_SECONDS: Final = 10.0
# An error of the consumer that was not repeated for this long is over.
ERROR_SECONDS: Final = 120.0
# librdkafka tells the refusal of a topic only once. After this time the topic is asked again.
ASK_AGAIN_SECONDS: Final = 60.0
# If a greater part of the records is unreadable, that is told.
MOST_UNREADABLE: Final = 0.1
# A smaller lag is normal in a busy moment.
LEAST_LAG: Final = 1_000
STATISTICS_MS: Final = 2_000
_STEPS: Final = {
    "GROUP_AUTHORIZATION_FAILED": (
        "grant Read and Describe on the group (on Heroku: heroku kafka:consumer-groups:create); "
        "`mirror doctor` has the command"
    ),
    "TOPIC_AUTHORIZATION_FAILED": "grant Read and Describe on the topic",
    "UNKNOWN_TOPIC_OR_PART": "run `mirror init`",
    "_UNKNOWN_TOPIC": "run `mirror init`",
}
_OF_TOPICS: Final = frozenset(code for code in _STEPS if not code.startswith("GROUP_"))


class Partition(msgspec.Struct, frozen=True):
    """A partition in librdkafka's statistics; -1 holds records that await metadata."""

    partition: int
    leader: int = -1


class Topic(msgspec.Struct, frozen=True):
    """A topic in librdkafka's statistics."""

    partitions: dict[str, Partition] = {}


class Group(msgspec.Struct, frozen=True):
    """The consumer group in librdkafka's statistics."""

    state: str = ""


class Statistics(msgspec.Struct, frozen=True):
    """The fields of librdkafka's statistics (its STATISTICS.md) that are read."""

    brokers: msgspec.Raw = NONE
    topics: dict[str, Topic] = {}
    cgrp: Group = Group()


decode: Final = msgspec.json.Decoder(Statistics).decode


class TrackerHealth:
    """The state of the tracker's consumer. `now` is always monotonic seconds."""

    def __init__(self, group: str, now: float) -> None:
        self.partitions = 0  # of the topic, 0 if unknown
        self._group = group
        self._joined = False
        self._joined_at = now  # when it last joined or left the group
        self._reached_at = now  # when a broker was connected last
        self._away: tuple[int, ...] = ()  # own partitions without a connected leader
        self._away_since = now
        self._errors: dict[str, tuple[str, float]] = {}  # code → text, time of the last one
        self._asked_at = now
        self._current_at = now  # when the fold was last known to be up to date
        self._lag = 0
        self._unreadable = 0
        self._unreadable_at = -PATIENCE_SECONDS
        self._folded = -1
        self._folded_at = now
        self._least = (-1, -1)  # the least lag of the last window, and of this one
        self._window_at = now
        self._grows = False

    def assigned(self, now: float) -> None:
        """Note an assignment of partitions, perhaps of none."""
        self._joined, self._joined_at = True, now
        self._errors.clear()
        self._folded_at = now

    def lost(self, now: float) -> None:
        """Note that the partitions were revoked."""
        if self._joined:
            self._joined, self._joined_at = False, now

    def failed(self, code: str, text: str, now: float) -> None:
        """Note an error of the consumer."""
        self._errors[code] = (text, now)

    def asks_again(self, now: float) -> bool:
        """Whether a refusal of the topic must be asked for again. True once per interval."""
        refused = [at for code, (_, at) in self._errors.items() if code in _OF_TOPICS]
        if not refused or now - max(self._asked_at, *refused) < ASK_AGAIN_SECONDS:
            return False
        self._asked_at = now
        return True

    def sampled(self, statistics: Statistics, own: Iterable[int], topic: str, now: float) -> None:
        """Take librdkafka's statistics. `own` are this tracker's partitions of `topic`."""
        known_brokers = states(statistics.brokers).values()
        up = {broker.nodeid for broker in known_brokers if broker.state == UP}
        if any(node >= 0 for node in up):
            self._reached_at = now
        known: Mapping[str, Partition] = (
            statistics.topics[topic].partitions if topic in statistics.topics else {}
        )
        self.partitions = sum(found.partition >= 0 for found in known.values())
        away = tuple(
            number
            for number in sorted(own)
            if str(number) in known and known[str(number)].leader not in up
        )
        if away and not self._away:
            self._away_since = now
        self._away = away

    def measured(self, lag: int, folded: int, now: float, unreadable: int = 0) -> None:
        """Note that `lag` records of own partitions wait, and that since the start `folded` were
        folded and `unreadable` ones skipped."""
        skipped = unreadable - self._unreadable
        if skipped > MOST_UNREADABLE * (skipped + folded - max(0, self._folded)):
            self._unreadable_at = now
        self._unreadable = unreadable
        if folded != self._folded:
            self._folded, self._folded_at = folded, now
            self._errors.clear()
        if lag == 0:
            self._folded_at = now
        self._lag = lag
        if self._joined and not self._away and self._is_reached(now) and not self._stuck(now):
            self._current_at = now
        before, least = self._least
        self._least = (before, lag if least < 0 else min(least, lag))
        if now - self._window_at >= PATIENCE_SECONDS:
            self._grows = before >= LEAST_LAG and self._least[1] >= before
            self._least = (self._least[1], -1)
            self._window_at = now

    def _is_reached(self, now: float) -> bool:
        return now - self._reached_at < STALE_SECONDS

    def _stuck(self, now: float) -> bool:
        return self._lag > 0 and now - self._folded_at >= STALE_SECONDS

    def stale_ms(self, now: float) -> int:
        """Milliseconds since the fold was last known to be up to date, 0 for a moment."""
        stale = now - self._current_at
        return round(stale * 1000) if stale >= STALE_SECONDS else 0

    def reasons(self, now: float) -> tuple[str, ...]:
        """Why conversations are not tracked, each with the next step."""
        found = [
            f"the tracker: {code}: {text}{_step(code)}"
            for code, (text, at) in sorted(self._errors.items())
            if now - at < ERROR_SECONDS or (not self._joined and code.startswith("GROUP_"))
        ]
        if now - self._reached_at >= STALE_SECONDS:
            seconds = now - self._reached_at
            found.append(
                f"the tracker: no Kafka broker is connected for {seconds:.0f} s, so the count of "
                "conversations stands still; `mirror doctor` says why"
            )
        elif not self._joined and not found and now - self._joined_at >= PATIENCE_SECONDS:
            found.append(
                f"the tracker has no partitions for {now - self._joined_at:.0f} s: it does not get "
                f"into the group {self._group}; `mirror doctor` shows its rights; if it has them, "
                "restart the broker that coordinates the group (docs/runbook.md)"
            )
        elif self._away and now - self._away_since >= STALE_SECONDS:
            numbers = ", ".join(map(str, self._away[:5]))
            found.append(
                f"the tracker: {counted(len(self._away), 'partition')} ({numbers}) cannot be read "
                f"for {now - self._away_since:.0f} s: see the brokers that lead them"
            )
        elif self._joined and self._lag and now - self._folded_at >= PATIENCE_SECONDS:
            found.append(
                f"the tracker: {self._lag:,} records wait and none was folded for "
                f"{now - self._folded_at:.0f} s; its log says why"
            )
        elif self._grows:
            found.append(
                f"the tracker: {self._lag:,} records wait, and it does not catch up: start another "
                "coordinator, or look at Redis' latency (`mirror doctor`)"
            )
        if now - self._unreadable_at < PATIENCE_SECONDS:
            found.append(
                f"the tracker: {counted(self._unreadable, 'record')} could not be read: {WRITERS}"
            )
        return tuple(found)


def _step(code: str) -> str:
    step = _STEPS.get(code)
    return f"; {step}" if step else ""
