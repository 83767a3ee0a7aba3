"""Finds replicas that hear nothing while another replica of their shard hears frames. Pure.

Heartbeats still come on a channel whose topics were removed, or that Genesys forgot. All replicas
of a shard get the same frames. So a live replica is doubted if it hears nothing for `DEAF_MS` while
another one hears at least `LEAST_HEARD` frames:

1. It covers nothing until it hears a frame or its topics are set again. Its listener compares them
   at once (`Grant.doubted_ms`).
2. If it still hears nothing `DEAF_MS` later, its topics are right but it is deaf. It gets a
   successor on a fresh channel (make before break). If the successors stay deaf too, the wait
   doubles each time, up to `MOST_PATIENCE_MS`.

Frames that a sibling heard together with this replica's frames, or a moment later, may be the same
frames, so they prove nothing. A burst of frames followed by quiet raises no doubt.

A replica with refused topics is left alone: the frames may belong to those topics. So is a replica
whose sibling hears nothing either: the shard is quiet. Times are Redis milliseconds; nothing is
stored.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from coordinator.plan.clock import UNKNOWN, moved_back
from coordinator.plan.coverage import ChannelKey
from mirror.fleet.words import SERVING, Beat, ChannelReport, Seat

# Two sockets differ by more than 5 s in one of a hundred calls.
DEAF_MS: Final = 30_000
LEAST_HEARD: Final = 5
# Ages in beats are rounded and take a moment. If a channel's coverage begins later than before by
# more than this, its topics were set again.
SLACK_MS: Final = 1_000
MOST_PATIENCE_MS: Final = 3_600_000


class Ear(msgspec.Struct):
    """The state of one channel's hearing."""

    heard: int  # frames on topics, in the last report
    since_ms: int  # when `heard` last changed, or the watch began
    start_ms: int  # the beginning of its coverage
    siblings: int = 0  # most frames that another replica heard well after `since_ms`
    siblings_ms: int = 0  # since when `siblings` counts
    doubted_ms: int = 0  # 0: not doubted
    covers_from_ms: int = 0  # the end of its last doubt


class Deafness:
    """The leader's memory of the hearing of all channels."""

    def __init__(self, deaf_ms: int = DEAF_MS) -> None:
        self._deaf_ms = deaf_ms
        self._ears: dict[ChannelKey, Ear] = {}
        self._successors: dict[Seat, int] = {}  # successors in a row because of deafness

    def step_back(self, by_ms: int, now_ms: int) -> None:
        """Redis' clock went back by `by_ms`, to `now_ms`: so do the times. Doubts stay, and only a
        coverage that begins later says that topics were set again."""
        self._ears = {
            key: msgspec.structs.replace(ear, start_ms=now_ms)
            for key, ear in moved_back(self._ears, by_ms).items()
        }

    def look(
        self,
        listeners: Mapping[str, Beat],
        beats: Mapping[str, int],
        alive: Collection[str],
        now_ms: int,
    ) -> None:
        """Learn from the last beats of live listeners."""
        live = dict(_serving(listeners, beats, alive))
        self._ears = {key: ear for key, ear in self._ears.items() if key in live}
        risen: dict[str, dict[ChannelKey, int]] = {}
        for key, report in live.items():
            ear = self._ears.get(key)
            is_new = beats[key.listener] != UNKNOWN  # otherwise the report is the one from before
            start_ms = beats[key.listener] - (report.covered_ms or 0) if is_new else now_ms
            if ear is None:
                self._ears[key] = Ear(report.heard, now_ms, start_ms)
                continue
            grown = report.heard - ear.heard
            ear.heard = report.heard
            if grown:
                risen.setdefault(report.shard, {})[key] = grown
            if grown or (is_new and start_ms > ear.start_ms + SLACK_MS):
                self._hears(key, ear, now_ms, is_frame=grown > 0)
            if is_new:
                ear.start_ms = start_ms
        for key, report in live.items():
            siblings = [
                n for sibling, n in risen.get(report.shard, {}).items() if sibling.seat != key.seat
            ]
            ear = self._ears[key]
            same_ms = self._deaf_ms // 2  # within it a sibling may report the same frames
            if siblings and now_ms - ear.since_ms > same_ms:
                ear.siblings += max(siblings)
                ear.siblings_ms = ear.siblings_ms or now_ms
            is_late = now_ms - ear.since_ms > self._deaf_ms and now_ms - ear.siblings_ms > same_ms
            is_deaf = is_late and ear.siblings >= LEAST_HEARD
            if is_deaf and not ear.doubted_ms and not report.rejected:
                ear.doubted_ms = now_ms

    def doubted(self) -> dict[ChannelKey, int]:
        """Doubted channel → since when."""
        return {key: ear.doubted_ms for key, ear in self._ears.items() if ear.doubted_ms}

    def restarts(self) -> dict[ChannelKey, int]:
        """Channel that was doubted → the end of the doubt; its earlier coverage does not count."""
        return {key: ear.covers_from_ms for key, ear in self._ears.items() if ear.covers_from_ms}

    def deaf(self, now_ms: int) -> dict[Seat, ChannelKey]:
        """Seats that need a successor: their channel was compared and stays deaf."""
        found: dict[Seat, ChannelKey] = {}
        for key, ear in self._ears.items():
            patience = self._deaf_ms * 2 ** min(self._successors.get(key.seat, 0), 10)
            if ear.doubted_ms and now_ms - ear.doubted_ms > min(patience, MOST_PATIENCE_MS):
                found[key.seat] = key
        return found

    def note_successor(self, seat: Seat) -> None:
        """Note that a deaf seat was granted a successor."""
        self._successors[seat] = self._successors.get(seat, 0) + 1

    def _hears(self, key: ChannelKey, ear: Ear, now_ms: int, *, is_frame: bool) -> None:
        """Restart the watch: a frame came, or the topics were set again."""
        if is_frame:
            self._successors.pop(key.seat, None)
        if ear.doubted_ms:
            ear.covers_from_ms = now_ms
        ear.since_ms = now_ms
        ear.siblings = ear.siblings_ms = ear.doubted_ms = 0


def _serving(
    listeners: Mapping[str, Beat], beats: Mapping[str, int], alive: Collection[str]
) -> Iterator[tuple[ChannelKey, ChannelReport]]:
    """The receiving channels on which all of their shard's topics are confirmed."""
    for name, beat in listeners.items():
        if name not in alive or name not in beats:
            continue
        for report in beat.channels:
            if report.state in SERVING and report.covered_ms is not None and report.shard_epoch:
                yield ChannelKey(name, report.seat, report.epoch), report
