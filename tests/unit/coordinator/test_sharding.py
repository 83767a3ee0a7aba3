"""Topics into shards: every topic once, within the limit, and with as little change as possible."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coordinator.plan.sharding import Cut, cut
from mirror.fleet.words import Shard

TOPICS = st.frozensets(st.integers(0, 60).map(lambda n: f"v2.users.{n}.conversations"))


def check(before: dict[str, Shard], after: Cut, topics: frozenset[str], limit: int) -> None:
    """The promises of the module, after any step."""
    held = [topic for shard in after.shards.values() for topic in shard.topics]
    assert sorted(held) == sorted(topics)
    assert all(0 < len(shard.topics) <= limit for shard in after.shards.values())
    old_home = {topic: shard.id for shard in before.values() for topic in shard.topics}
    for shard in after.shards.values():
        old = before.get(shard.id)
        if old is not None and set(old.topics) == set(shard.topics):
            assert shard == old
        else:
            assert old is None or shard.epoch > old.epoch
            assert shard.id in after.changed
        if all(len(known.topics) <= limit for known in before.values()):
            assert all(old_home.get(topic, shard.id) == shard.id for topic in shard.topics)
    assert after.removed == before.keys() - after.shards.keys()


@given(st.lists(st.tuples(TOPICS, st.integers(1, 20)), max_size=12))
def test_every_history_keeps_the_promises(history: list[tuple[frozenset[str], int]]) -> None:
    """Whatever comes and goes, and however the limit changes, each topic is in one shard."""
    shards: dict[str, Shard] = {}
    for now, (topics, limit) in enumerate(history, 1):
        result = cut(shards, topics, limit, now)
        check(shards, result, topics, limit)
        shards = result.shards


def test_a_hundred_new_users_touch_one_shard() -> None:
    """Growth by a hundred of 50,500 topics changes one shard where it has room."""
    topics = {f"t{n}" for n in range(50_500)}
    first = cut({}, topics, 1000, 1)
    assert len(first.shards) == 51
    second = cut(first.shards, topics | {f"new{n}" for n in range(100)}, 1000, 2)
    assert len(second.changed) == 1
    assert sum(len(news) for news in second.fresh.values()) == 100


def test_a_shard_of_another_name_ends_nothing() -> None:
    """What Redis holds may be somebody else's, and `\u00b2` is a digit but no number."""
    shards = {name: Shard(name, (f"t{name}",), 1) for name in ("\u00b2", "x", "7")}
    made = cut(shards, {f"t{name}" for name in shards} | {"new"}, 1, 2)
    assert set(made.shards) == {"\u00b2", "x", "7", "8"}


def test_removed_topics_touch_only_their_own_shards() -> None:
    """A user who leaves changes the shard that had the topic and no other."""
    topics = {f"t{n}" for n in range(3_000)}
    first = cut({}, topics, 1000, 1)
    second = cut(first.shards, topics - {"t7"}, 1000, 2)
    assert len(second.changed) == 1
    assert second.fresh == {}


def test_an_epoch_is_above_any_that_a_flushed_redis_had() -> None:
    """Epochs start at Redis time, so that shards cut anew are newer than forgotten ones."""
    assert cut({}, {"a"}, 10, 1_700_000_000_000).shards["1"].epoch == 1_700_000_000_000


def test_busy_queues_are_spread() -> None:
    """Of 50 queues among 950 users in ten shards no shard gets more than a fair handful."""
    topics = {f"v2.routing.queues.{n}" for n in range(50)} | {f"u{n}" for n in range(950)}
    shards = cut({}, topics, 100, 1).shards
    most = max(sum(t.startswith("v2.routing") for t in shard.topics) for shard in shards.values())
    assert most <= 15


P, Q = frozenset("p"), frozenset("q")


def test_a_shard_is_for_one_audience() -> None:
    """Topics that some clients may not see have shards of their own, which say whose they are."""
    topics = [f"t{n}" for n in range(6)]
    audience = {"t1": P, "t2": P, "t3": Q}
    shards = cut({}, topics, 10, 1, audience).shards
    assert {shard.clients: set(shard.topics) for shard in shards.values()} == {
        (): {"t0", "t4", "t5"},
        ("p",): {"t1", "t2"},
        ("q",): {"t3"},
    }


def test_the_larger_part_keeps_its_shard_when_audiences_change() -> None:
    """The rest moves, and is told as moved; nothing happens when the same is found again."""
    topics = [f"t{n}" for n in range(10)]
    before = cut({}, topics, 20, 1).shards
    few = dict.fromkeys(topics[:3], P)
    after = cut(before, topics, 20, 2, few)
    assert after.shards["1"].clients == ()
    assert {topic for moved in after.moved.values() for topic in moved} == set(topics[:3])
    assert after.fresh == {}
    assert cut(after.shards, topics, 20, 3, few).shards == after.shards
    many = dict.fromkeys(topics[:8], P)
    most = cut(before, topics, 20, 2, many)
    assert most.shards["1"].clients == ("p",)
    assert {topic for moved in most.moved.values() for topic in moved} == set(topics[8:])


def test_pieces_that_a_change_of_rights_leaves_are_merged() -> None:
    """Back and forth: no more shards than the topics need."""
    topics = [f"t{n}" for n in range(30)]
    shards = cut({}, topics, 10, 1).shards
    now = 1
    for share in (10, 20, 5, 25, 0):
        now += 1
        shards = cut(shards, topics, 10, now, dict.fromkeys(topics[:share], P)).shards
        assert len(shards) <= 4
        assert all(len(shard.topics) <= 10 for shard in shards.values())
    assert len(shards) == 3


def test_everyday_churn_merges_nothing() -> None:
    """Topics that move are received by nobody for a moment."""
    topics = [f"t{n}" for n in range(30)]
    shards = cut({}, topics, 10, 1).shards
    kept = [topic for shard in shards.values() for topic in shard.topics[:2]]
    after = cut(shards, kept, 10, 2)
    assert len(after.shards) == 3
    assert after.moved == {}
