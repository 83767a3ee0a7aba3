"""A replica that hears nothing while another one hears frames is doubted, then replaced."""

from __future__ import annotations

from coordinator.plan.clock import UNKNOWN
from coordinator.plan.coverage import ChannelKey, Interval, intervals
from coordinator.plan.deafness import DEAF_MS, LEAST_HEARD, SLACK_MS, Deafness
from mirror.fleet.words import Beat, ChannelReport, Seat

STEP_MS = 2_000
NORTH = ChannelKey("north", Seat("1", "a"), 1)
SOUTH = ChannelKey("south", Seat("1", "b"), 2)


class Pair:
    """Two replicas of a shard on two listeners, which beat."""

    def __init__(self) -> None:
        self.deafness = Deafness()
        self.now = 1_000_000
        self.heard = {"north": 0, "south": 0}
        self.covered_since = {"north": self.now, "south": self.now}
        self.rejected: tuple[str, ...] = ()
        self.beats: dict[str, int] = {}
        self.listeners: dict[str, Beat] = {}

    def step(self, north: int, south: int) -> None:
        """A beat later, so many frames came on each."""
        self.now += STEP_MS
        self.heard["north"] += north
        self.heard["south"] += south
        for name, (_, replica), epoch in (NORTH, SOUTH):
            report = ChannelReport(
                shard="1",
                replica=replica,
                epoch=epoch,
                client="c",
                state="live",
                covered_ms=self.now - self.covered_since[name],
                last_frame_ms=0,
                heard=self.heard[name],
                rejected=self.rejected if name == "south" else (),
                shard_epoch=1,
            )
            self.listeners[name] = Beat(
                listener=name, host=name, pid=1, version="0", state="live", channels=(report,)
            )
            self.beats[name] = self.now
        self.deafness.look(self.listeners, self.beats, {"north", "south"}, self.now)

    def run(self, ms: int, north: int, south: int) -> None:
        """For so long."""
        end = self.now + ms
        while self.now < end:
            self.step(north, south)

    def covered(self) -> list[Interval]:
        """What counts as received."""
        found = intervals(
            self.listeners,
            self.beats,
            {"north", "south"},
            self.deafness.doubted(),
            self.deafness.restarts(),
        )
        return sorted(found.get("1", []))


def test_one_that_hears_nothing_is_doubted_and_covers_nothing() -> None:
    """Within half a minute of the other's frames, and not sooner."""
    pair = Pair()
    pair.run(DEAF_MS - STEP_MS, 1, 0)
    assert pair.deafness.doubted() == {}
    pair.run(3 * STEP_MS, 1, 0)
    assert set(pair.deafness.doubted()) == {SOUTH}
    assert len(pair.covered()) == 1
    assert pair.deafness.deaf(pair.now) == {}


def test_a_quiet_shard_is_no_deafness() -> None:
    """Neither hears anything, or the other one only a few frames, or both hear now and then."""
    pair = Pair()
    pair.run(3 * DEAF_MS, 0, 0)
    for _ in range(LEAST_HEARD - 1):
        pair.step(1, 0)
    pair.run(3 * DEAF_MS, 0, 0)
    assert pair.deafness.doubted() == {}
    pair.step(1, 1)
    for _ in range(20):
        pair.run(DEAF_MS - STEP_MS, 1, 0)
        pair.step(0, 1)
    assert pair.deafness.doubted() == {}


def test_a_burst_that_both_hear_and_then_quiet_is_no_deafness() -> None:
    """A call of an evening, and silence until the next one: nobody is doubted, nothing is filed."""
    pair = Pair()
    for _ in range(3):
        pair.step(6, 6)
        pair.run(4 * DEAF_MS, 0, 0)
        assert pair.deafness.doubted() == {}


def test_a_burst_that_one_tells_of_a_beat_later_is_no_deafness() -> None:
    """The two listeners beat at different moments, so one passes on what the other will, too."""
    pair = Pair()
    for first, second in (((6, 0), (0, 6)), ((0, 6), (6, 0))):
        pair.step(*first)
        pair.step(*second)
        pair.run(4 * DEAF_MS, 0, 0)
        assert pair.deafness.doubted() == {}


def test_one_that_hears_again_covers_from_then_on() -> None:
    """What it claims for the time before is not believed."""
    pair = Pair()
    pair.run(2 * DEAF_MS, 1, 0)
    assert pair.deafness.doubted()
    pair.step(1, 1)
    assert pair.deafness.doubted() == {}
    assert [interval.start_ms for interval in pair.covered()] == [1_000_000, pair.now]


def test_one_whose_topics_were_set_again_is_given_time() -> None:
    """Its coverage began again after the comparison: whether it hears now is another question."""
    pair = Pair()
    pair.run(2 * DEAF_MS, 1, 0)
    pair.covered_since["south"] = pair.now + SLACK_MS
    pair.step(1, 0)
    assert pair.deafness.doubted() == {}
    pair.run(2 * DEAF_MS, 1, 0)
    assert set(pair.deafness.doubted()) == {SOUTH}


def test_one_that_stays_deaf_wants_a_successor_ever_more_rarely() -> None:
    """Half a minute after the doubt; twice as long for a successor that stays deaf as well."""
    pair = Pair()
    pair.run(2 * DEAF_MS + 4 * STEP_MS, 1, 0)
    assert pair.deafness.deaf(pair.now) == {Seat("1", "b"): SOUTH}
    pair.deafness.note_successor(Seat("1", "b"))
    assert pair.deafness.deaf(pair.now) == {}
    pair.run(DEAF_MS, 1, 0)
    assert pair.deafness.deaf(pair.now) == {Seat("1", "b"): SOUTH}


def test_one_that_is_refused_topics_is_left_alone() -> None:
    """What the other one hears may be of those."""
    pair = Pair()
    pair.rejected = ("v2.users.u1.conversations",)
    pair.run(4 * DEAF_MS, 1, 0)
    assert pair.deafness.doubted() == {}


def test_one_that_is_lost_is_forgotten() -> None:
    """Its next channel is watched from its beginning."""
    pair = Pair()
    pair.run(2 * DEAF_MS, 1, 0)
    pair.deafness.look(pair.listeners, pair.beats, {"north"}, pair.now)
    assert pair.deafness.doubted() == {}


def set_back(pair: Pair, by_ms: int) -> None:
    """Redis' clock goes back; until their next beat the listeners' last beats are unknown."""
    pair.now -= by_ms
    pair.covered_since = {name: since - by_ms for name, since in pair.covered_since.items()}
    pair.beats = dict.fromkeys(pair.beats, UNKNOWN)
    pair.deafness.step_back(by_ms, pair.now)
    pair.deafness.look(pair.listeners, pair.beats, {"north", "south"}, pair.now)


def test_a_deaf_replica_is_doubted_in_time_though_redis_clock_goes_back() -> None:
    """By ten minutes, in the midst of its half minute of silence."""
    pair = Pair()
    pair.run(DEAF_MS // 2, 1, 0)
    set_back(pair, 600_000)
    pair.run(DEAF_MS // 2 + 3 * STEP_MS, 1, 0)
    assert set(pair.deafness.doubted()) == {SOUTH}


def test_a_doubt_stays_though_redis_clock_goes_back() -> None:
    """It covers nothing before and after, and gets its successor in time."""
    pair = Pair()
    pair.run(DEAF_MS + 2 * STEP_MS, 1, 0)
    assert set(pair.deafness.doubted()) == {SOUTH}
    set_back(pair, 600_000)
    assert set(pair.deafness.doubted()) == {SOUTH}
    assert pair.covered() == []
    pair.run(DEAF_MS + STEP_MS, 1, 0)
    assert set(pair.deafness.doubted()) == {SOUTH}
    assert len(pair.covered()) == 1
    assert pair.deafness.deaf(pair.now) == {Seat("1", "b"): SOUTH}
