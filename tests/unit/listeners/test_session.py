"""The session: channels in step with grants, make before break."""

from __future__ import annotations

from random import Random

import pytest

from listeners.channels.actions import Connect, Create, Release, Reserve, Subscribe
from listeners.channels.session import EXPIRY_PATIENCE_SECONDS, PATIENCE_SECONDS, Session, Step
from mirror.fleet.words import Assignment, Grant, Shard
from mirror.genesys.handles import Handle

SHARDS = {"1": Shard("1", ("v2.users.u1.conversations",), 1), "2": Shard("2", ("x",), 1)}


def grant(epoch: int, shard: str = "1", shard_epoch: int = 1) -> Grant:
    """A grant of replica `a`."""
    return Grant(shard, "a", epoch, "client", shard_epoch)


class World:
    """Answers every action at once, as a Genesys that is well."""

    def __init__(self) -> None:
        self.session = Session("me", silence=35.0, rng=Random(1))
        self.now = 0.0
        self.version = 0
        self.released: list[Release] = []
        self.made = 0
        self.connects = True

    def assign(self, *grants: Grant, shards: dict[str, Shard] | None = None) -> None:
        self.version += 1
        assignment = Assignment(self.version, grants)
        self.do(self.session.assign(assignment, shards or SHARDS, self.now))

    def wait(self, seconds: float) -> None:
        self.now += seconds
        for channel in self.session.channels():
            if channel.phase == "live":
                channel.last_frame = self.now  # heartbeats come
        self.do(self.session.tick(self.now))

    def do(self, steps: list[Step]) -> None:
        for channel, action in steps:
            follow = []
            match action:
                case Reserve(number):
                    follow = channel.reserved(number, self.now, granted=True, retry_in=0)
                case Create(number):
                    self.made += 1
                    handle = Handle(f"streaming-1-{self.made:026}", f"wss://x/{self.made}")
                    follow = channel.created(
                        number, self.now, handle, expires_in=86_400.0, token_expires_in=None
                    )
                case Connect(number) if self.connects:
                    follow = channel.connected(number, self.now)
                case Subscribe(number):
                    channel.subscribed(number, self.now, rejected=(), expires_in=None)
                    follow = channel.traffic(self.now)
                case Release():
                    self.released.append(action)
            self.do([(channel, next_action) for next_action in follow])
        if steps:
            self.do(self.session.settle(self.now))

    def states(self) -> list[tuple[int, str]]:
        reports = self.session.reports(self.now, self.now)
        return sorted((report.epoch, report.state) for report in reports)


def test_a_grant_opens_a_channel() -> None:
    """One grant, one live channel, reported under its epoch."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    assert world.states() == [(1, "live")]


def test_a_new_epoch_opens_before_it_closes() -> None:
    """The old channel receives until the new one is live, and a while longer (I3)."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    world.connects = False
    world.assign(grant(2))
    world.wait(1.0)
    assert world.states() == [(1, "live"), (2, "opening")]
    world.connects = True
    for _ in range(150):
        world.wait(1.0)
    assert world.states() == [(2, "live")]
    assert world.released == [Release(None)]


def test_a_new_epoch_replaces_a_channel_that_receives_nothing() -> None:
    """There is nothing to keep of a channel that never opened."""
    world = World()
    world.connects = False
    world.assign(grant(1))
    world.wait(0.1)
    world.assign(grant(2))
    assert world.states() == [(2, "opening")]
    assert world.released == [Release(None)]


def test_a_grant_that_ends_drains_and_releases() -> None:
    """The seat has moved: receive a little longer, close, give the reservation back."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    world.assign()
    assert world.states() == [(1, "closing")]
    world.wait(11.0)
    assert world.states() == []
    assert world.released == [Release(None)]


def test_other_topics_under_the_same_grant_change_the_list() -> None:
    """No new channel for a new topic."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    changed = {"1": Shard("1", ("v2.users.u1.conversations", "v2.users.u9.conversations"), 2)}
    world.assign(grant(1, shard_epoch=2), shards=changed)
    (channel,) = world.session.channels()
    assert channel.topics == changed["1"].topics
    assert world.made == 1
    assert channel.report(world.now, world.now).shard_epoch == 2


@pytest.mark.parametrize(
    ("reason", "patience"),
    [("socket_closing", PATIENCE_SECONDS), ("token_expiring", EXPIRY_PATIENCE_SECONDS)],
)
def test_without_an_answer_a_channel_rotates_by_itself(reason: str, patience: float) -> None:
    """No leader answers: make before break all the same (I8), within the minute that a closing
    socket leaves; what expires leaves the leader more time to go one replica after the other."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    (old,) = world.session.channels()
    old.request_rotation(reason, world.now)
    assert world.states() == [(1, "rotating")]
    waited = 0.0
    while waited < patience - 1:
        waited += 1
        world.wait(1)
        old.traffic(world.now)
    assert world.session.channels() == [old]
    world.wait(1.1)
    world.wait(0.1)
    assert world.states() == [(1, "live")]
    assert old.phase == "closing"
    assert world.made == 2


def test_a_successor_that_the_leader_gives_up_is_dropped() -> None:
    """Back at the epoch that serves: its channel goes on, and no other is opened."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    (old,) = world.session.channels()
    world.session.assign(Assignment(2, (grant(2),)), SHARDS, world.now)
    assert len(world.session.channels()) == 2
    world.do(world.session.assign(Assignment(3, (grant(1),)), SHARDS, world.now))
    world.wait(0.1)
    assert world.session.channels() == [old]
    assert (old.phase, world.made) == ("live", 1)


def test_closing_gives_channels_back() -> None:
    """The listener ends without a successor for its seats: the channels can be taken over."""
    world = World()
    world.assign(grant(1), grant(1, shard="2"))
    world.wait(0.1)
    world.do(world.session.close(world.now))
    world.wait(1.0)
    assert [release.handle is not None for release in world.released] == [True, True]
    assert world.session.channels() == []


def test_an_unknown_shard_waits() -> None:
    """A grant whose topics are not known yet opens nothing."""
    world = World()
    world.assign(grant(1, shard="9"))
    assert world.session.channels() == []


def lose(world: World) -> None:
    """The socket of the only channel breaks."""
    (channel,) = world.session.channels()
    world.do([(channel, action) for action in channel.socket_lost(world.now)])


def test_a_lost_socket_interrupts_when_it_breaks_and_when_frames_come_again() -> None:
    """In between, other sockets may settle doubts too early: so both ends count."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    assert world.session.interruptions == 0, "what was never received cannot be missed"
    lose(world)
    assert world.session.interruptions == 1
    world.wait(1.0)
    assert world.states() == [(1, "live")]
    assert world.session.interruptions == 2


def test_a_channel_in_place_of_a_lost_one_interrupts() -> None:
    """The leader grants the seat anew while it receives nothing."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    world.connects = False
    lose(world)
    world.assign(grant(2))
    world.wait(0.1)
    assert world.session.interruptions == 1
    world.connects = True
    world.wait(100.0)
    world.wait(0.1)
    world.wait(40.0)
    assert (2, "live") in world.states()
    assert world.session.interruptions == 2


def test_make_before_break_interrupts_nothing() -> None:
    """The old channel received until the new one did."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    world.assign(grant(2))
    for _ in range(20):
        world.wait(1.0)
    assert world.states() == [(2, "live")]
    assert world.session.interruptions == 0


def test_a_seat_that_comes_back_interrupts() -> None:
    """Another listener received in the meantime what this one did not."""
    world = World()
    world.assign(grant(1))
    world.wait(0.1)
    world.assign()
    world.wait(11.0)
    world.assign(grant(3))
    world.wait(0.1)
    assert world.states() == [(3, "live")]
    assert world.session.interruptions == 1
