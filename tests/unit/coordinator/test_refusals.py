"""Topics that a client lists and is refused go to the others, and come back when asked for."""

from __future__ import annotations

from coordinator.plan.refusals import Refusals
from coordinator.plan.sight import Found
from mirror.fleet.words import Beat, ChannelReport, Shard

SHARDS = {"1": Shard("1", ("a", "b"), 7)}
FOUND = Found(frozenset("ab"), {})


def beat(client: str, *rejected: str, epoch: int = 7) -> Beat:
    """A listener whose channel of shard 1 is this client's."""
    report = ChannelReport(
        shard="1",
        replica="a",
        epoch=1,
        client=client,
        state="live",
        rejected=rejected,
        shard_epoch=epoch,
    )
    return Beat(listener="l", host="h", pid=1, version="0", state="live", channels=(report,))


def test_a_refused_topic_is_for_the_other_client() -> None:
    """Once nothing more was refused for a while."""
    refusals = Refusals("pq", quiet_ms=100)
    assert not refusals.learn([beat("p", "b")], SHARDS, 0)
    assert not refusals.learn([beat("p", "b")], SHARDS, 99)
    assert refusals.learn([beat("p", "b")], SHARDS, 100)
    assert not refusals.learn([beat("p", "b")], SHARDS, 200)
    assert refusals.applied(FOUND).audience == {"b": frozenset("q")}
    assert refusals.of(["a"]) == ()
    assert refusals.of(["a", "b"]) == ("p",)


def test_what_all_are_refused_stays_where_it_is() -> None:
    """Moving it would gain nothing."""
    refusals = Refusals("pq", quiet_ms=100)
    refusals.learn([beat("p", "b"), beat("q", "b")], SHARDS, 0)
    assert refusals.applied(FOUND).audience == {}
    listed = Found(frozenset("ab"), {"b": frozenset("q")})
    assert refusals.applied(listed).audience == {"b": frozenset("q")}


def test_the_next_leader_knows_it_from_the_shards() -> None:
    """So that topics do not go back and forth at each election."""
    kept = {"2": Shard("2", ("b",), 9, clients=("q",), refused=("p",))}
    refusals = Refusals("pq", quiet_ms=100)
    refusals.recall(kept)
    assert refusals.applied(FOUND).audience == {"b": frozenset("q")}


def test_a_rebalance_asks_again() -> None:
    """A report of the old list is no answer to the new question."""
    refusals = Refusals("pq", quiet_ms=0)
    assert refusals.learn([beat("p", "b")], SHARDS, 0)
    refusals.forget()
    assert not refusals.learn([beat("p", "b", epoch=6)], SHARDS, 1)
    assert refusals.applied(FOUND).audience == {}
