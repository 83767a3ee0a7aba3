"""What to believe of what clients list: more at once, less only when it is said again."""

from __future__ import annotations

import pytest

from coordinator.plan.seats import Holding, SeatRecord
from coordinator.plan.sight import DOUBT_SECONDS, Recalled, Sight, recalled
from mirror.fleet.words import Seat, Shard


def queue(name: str) -> str:
    """A topic of a queue."""
    return f"v2.routing.queues.{name}.conversations"


def queues(*names: str) -> frozenset[str]:
    """Topics of queues."""
    return frozenset(map(queue, names))


def test_the_union_is_found_with_its_audience() -> None:
    """Disjoint and common queues of two clients."""
    sight = Sight(["p", "q"], ["queues"])
    sight.hear("p", "queues", queues("a", "b"), 0.0)
    assert sight.settled() == frozenset()
    assert sight.found().topics == frozenset()  # its audience would change with the next answer
    sight.hear("q", "queues", queues("b", "c"), 0.0)
    found = sight.found()
    assert found.topics == queues("a", "b", "c")
    assert found.audience == {queue("a"): frozenset("p"), queue("c"): frozenset("q")}
    assert sight.alone() == {("p", "queues"): 1, ("q", "queues"): 1}


def test_one_client_has_nothing_to_tell_apart() -> None:
    """All that it sees is for every client there is."""
    sight = Sight(["p"], ["queues"])
    sight.hear("p", "queues", queues("a"), 0.0)
    assert sight.found().audience == {}
    assert sight.alone() == {}


def test_what_is_missing_once_is_kept() -> None:
    """A second answer without it is believed; one that has it again ends the doubt."""
    sight = Sight(["p"], ["queues"])
    sight.hear("p", "queues", queues("a", "b", "c"), 0.0)
    sight.hear("p", "queues", queues("a", "b"), 10.0)
    assert sight.found().topics == queues("a", "b", "c")
    assert [doubt.missing for doubt in sight.doubts()] == [1]
    sight.hear("p", "queues", queues("a", "c"), 20.0)
    assert sight.found().topics == queues("a", "b", "c")
    sight.hear("p", "queues", queues("a", "c"), 30.0)
    assert sight.found().topics == queues("a", "c")
    assert sight.doubts() == []


def test_a_listing_that_shrinks_by_more_than_half_is_kept_for_longer() -> None:
    """However often an empty answer is repeated, for a minute."""
    sight = Sight(["p"], ["queues"])
    sight.hear("p", "queues", queues("a", "b", "c"), 0.0)
    for seconds in range(10, 10 + int(DOUBT_SECONDS), 10):
        sight.hear("p", "queues", frozenset(), float(seconds))
        assert sight.found().topics == queues("a", "b", "c")
        assert all(doubt.much for doubt in sight.doubts())
    sight.hear("p", "queues", frozenset(), 10.0 + DOUBT_SECONDS)
    assert sight.found().topics == frozenset()


@pytest.mark.parametrize("missing", [5, 6, 45, 50])
def test_a_list_without_several_topics_is_kept_for_longer(missing: int) -> None:
    """A share of 5 % is no everyday change: two short answers in a row are not believed."""
    sight = Sight(["p"], ["queues"])
    names = [str(number) for number in range(100)]
    whole, short = queues(*names), queues(*names[missing:])
    sight.hear("p", "queues", whole, 0.0)
    for seconds in range(10, 10 + int(DOUBT_SECONDS), 10):
        sight.hear("p", "queues", short, float(seconds))
        assert sight.found().topics == whole
        assert all(doubt.much for doubt in sight.doubts())
    sight.hear("p", "queues", short, 10.0 + DOUBT_SECONDS)
    assert sight.found().topics == short


@pytest.mark.parametrize(("missing", "known"), [(1, 3), (2, 10), (1, 100), (4, 100), (49, 1000)])
def test_a_few_deleted_queues_go_at_the_second_answer(missing: int, known: int) -> None:
    """One or two of a short list, less than 5 % of a long list."""
    sight = Sight(["p"], ["queues"])
    names = [str(number) for number in range(known)]
    left = queues(*names[missing:])
    sight.hear("p", "queues", queues(*names), 0.0)
    sight.hear("p", "queues", left, 10.0)
    assert not any(doubt.much for doubt in sight.doubts())
    sight.hear("p", "queues", left, 20.0)
    assert sight.found().topics == left


def test_a_fresh_leader_doubts_what_a_running_one_would() -> None:
    """Empty lists in the seconds after the election: all stays, on every client that had it."""
    shard = Shard("1", tuple(sorted(queues("a", "b"))), 1)
    seats = {
        Seat("1", replica): SeatRecord("1", replica, current=Holding("l", client, 1, 0))
        for replica, client in (("a", "p"), ("b", "q"))
    }
    sight = Sight(["p", "q", "r"], ["queues"])
    sight.recall(recalled({"1": shard}, seats))
    for client in "pqr":
        sight.hear(client, "queues", frozenset(), 0.0)
    found = sight.found()
    assert found.topics == queues("a", "b")
    # Nothing says that r ever saw them: it holds no channel of the shard.
    assert set(found.audience.values()) == {frozenset("pq")}


def test_a_client_that_cannot_be_heard_is_believed_to_see_what_it_saw() -> None:
    """One client's lists fail from the election on: no audience changes."""
    shard = Shard("1", tuple(sorted(queues("a"))), 1)
    mine = Shard("2", tuple(sorted(queues("m"))), 1, clients=("q",))
    sight = Sight(["p", "q"], ["queues"])
    sight.recall(recalled({"1": shard, "2": mine}, {}))
    sight.hear("p", "queues", queues("a"), 0.0)
    sight.fail("q", "queues")
    assert sight.settled() == {"queues"}
    assert sight.found().topics == queues("a", "m")
    assert sight.found().audience == {queue("m"): frozenset("q")}


def test_topics_of_a_client_that_is_no_more_are_looked_for_elsewhere() -> None:
    """Its credentials were taken out of the settings: the others are asked first."""
    gone = Recalled((queue("a"),), frozenset({"gone"}), open=False)
    sight = Sight(["p"], ["queues", "users"])
    sight.recall([gone])
    assert sight.found().topics == queues("a")
    sight.hear("p", "queues", queues("b"), 0.0)
    assert sight.found().topics == queues("a", "b")


def test_families_that_are_not_wanted_are_not_recalled() -> None:
    """`users` was taken out of `MIRROR_SUBSCRIBE`."""
    sight = Sight(["p"], ["queues"])
    sight.recall([Recalled(("v2.users.u.conversations", queue("a")), frozenset("p"), open=True)])
    assert sight.found().topics == queues("a")
