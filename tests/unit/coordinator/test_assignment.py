"""Seats to listeners: the four rules hold after every step of random histories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from coordinator.plan.assignment import Place, Placement, place, seats
from mirror.fleet.words import Seat, usable_channels

STEPS = st.lists(
    st.tuples(
        st.dictionaries(
            st.sampled_from([f"l{n}" for n in range(7)]), st.sampled_from("xyz"), max_size=7
        ),
        st.integers(0, 9),
        st.integers(1, 3),
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1),
    ),
    min_size=1,
    max_size=8,
)


def check(
    wanted: list[Seat], hosts: Mapping[str, str], room: Mapping[str, int], result: Placement
) -> None:
    """Rules 1 to 3 of the module, and that a seat is placed or open with a reason."""
    places = result.places
    assert set(places) | set(result.unassigned) == set(wanted)
    assert not set(places) & set(result.unassigned)
    assert all(chosen.listener in hosts for chosen in places.values())
    used = Counter(chosen.client for chosen in places.values())
    assert all(used[client] <= room[client] for client in used)
    by_shard: dict[str, list[Place]] = {}
    for (shard, _), chosen in places.items():
        by_shard.setdefault(shard, []).append(chosen)
    for replicas in by_shard.values():
        listeners = [replica.listener for replica in replicas]
        assert len(set(listeners)) == len(listeners)
        if len(set(hosts.values())) >= 2 and len(replicas) >= 2:
            assert len({hosts[listener] for listener in listeners}) >= 2
    load = Counter(dict.fromkeys(hosts, 0))
    load.update(chosen.listener for chosen in places.values())
    for full in hosts:
        for empty in hosts:
            if hosts[full] == hosts[empty] and not result.unassigned:
                assert load[full] - load[empty] <= 1, "one host's listeners are even"
    if len(hosts) > 0 and sum(room.values()) >= len(wanted):
        assert set(by_shard) == {shard for shard, _ in wanted}, "every shard has a channel"


@given(STEPS)
def test_rules_hold_after_every_step(
    history: list[tuple[dict[str, str], int, int, dict[str, int]]],
) -> None:
    """Joins, deaths, growth and changes of budget: placed by the rules, again and again."""
    current: dict[Seat, Place] = {}
    for hosts, shards, replicas, room in history:
        wanted = seats([str(n) for n in range(shards)], replicas)
        result = place(wanted, hosts, room, current)
        check(wanted, hosts, room, result)
        again = place(wanted, hosts, room, result.places)
        assert again.places == result.places, "a placement is a fixed point"
        current = result.places


def test_replicas_use_different_clients_while_there_are_two() -> None:
    """With two clients no shard depends on one of them."""
    wanted = seats([str(n) for n in range(9)], 2)
    result = place(wanted, {"l1": "x", "l2": "y"}, {"p": 9, "q": 9}, {})
    for shard in map(str, range(9)):
        assert result.places[Seat(shard, "a")].client != result.places[Seat(shard, "b")].client


def test_a_death_moves_only_the_dead_ones_seats() -> None:
    """Sticky: who lives keeps every seat when a third listener dies."""
    hosts = {"l1": "x", "l2": "x", "l3": "x"}
    wanted = seats([str(n) for n in range(30)], 2)
    before = place(wanted, hosts, {"c": 100}, {}).places
    after = place(wanted, {"l1": "x", "l2": "x"}, {"c": 100}, before).places
    assert all(after[seat] == held for seat, held in before.items() if held.listener != "l3")


def test_a_newcomer_takes_no_more_than_its_share() -> None:
    """A third listener gets a third; nobody else's seats change hands."""
    wanted = seats([str(n) for n in range(30)], 2)
    before = place(wanted, {"l1": "x", "l2": "x"}, {"c": 100}, {}).places
    after = place(wanted, {"l1": "x", "l2": "x", "l3": "x"}, {"c": 100}, before).places
    moved = [seat for seat in wanted if after[seat].listener != before[seat].listener]
    assert len(moved) == 20
    assert all(after[seat].listener == "l3" for seat in moved)


def test_a_shortage_of_channels_leaves_second_replicas_open() -> None:
    """Coverage before redundancy, and the reason is told."""
    wanted = seats(["1", "2", "3"], 2)
    result = place(wanted, {"l1": "x", "l2": "y"}, {"c": 4}, {})
    assert all(Seat(shard, "a") in result.places for shard in "123")
    assert set(result.unassigned.values()) == {"no channel"}


def test_a_waiting_channel_decides_the_client() -> None:
    """A seat whose channel was given back goes to that channel's client."""
    result = place([Seat("1", "a")], {"l": "x"}, {"p": 9, "q": 9}, {}, {Seat("1", "a"): "q"})
    assert result.places[Seat("1", "a")].client == "q"


def test_a_seat_leaves_the_place_that_did_not_do() -> None:
    """It goes to another listener and client; and back only where there is no other."""
    place_ = Place("l1", "p")
    hosts, room = {"l1": "x", "l2": "x"}, {"p": 9, "q": 9}
    avoid = {Seat("1", "a"): place_}
    moved = place([Seat("1", "a")], hosts, room, {}, avoid=avoid)
    assert moved.places == {Seat("1", "a"): Place("l2", "q")}
    alone = place([Seat("1", "a")], {"l1": "x"}, {"p": 9}, {}, avoid=avoid)
    assert alone.places == {Seat("1", "a"): place_}


def test_the_last_listener_is_for_the_replica_that_still_has_a_channel_on_it() -> None:
    """The other one would wait for it to leave, and it has nowhere to go."""
    unhealthy = {Seat("1", "b"): Place("l1", "p")}
    wanted = [Seat("1", "a"), Seat("1", "b")]
    result = place(wanted, {"l1": "x"}, {"p": 9}, {}, avoid=unhealthy)
    assert result.places == unhealthy
    assert result.unassigned == {Seat("1", "a"): "no listener"}


def test_spare_channels() -> None:
    """Of twenty channels eighteen are seats; of one, one."""
    assert [usable_channels(limit) for limit in (20, 10, 9, 2, 1)] == [18, 8, 8, 1, 1]


def test_seats_are_on_clients_that_may_see_them() -> None:
    """Both replicas on the one that does, where only one does; on two, where two do."""
    wanted = seats(["1", "2", "3"], 2)
    allowed = {"1": frozenset("p"), "2": frozenset("q")}
    places = place(wanted, {"l1": "x", "l2": "y"}, {"p": 9, "q": 9}, {}, allowed=allowed).places
    clients = {
        shard: {places[Seat(shard, replica)].client for replica in "ab"}
        for shard in ("1", "2", "3")
    }
    assert clients == {"1": {"p"}, "2": {"q"}, "3": {"p", "q"}}


def test_a_seat_leaves_a_client_that_may_see_it_no_more() -> None:
    """And no other seat moves."""
    wanted = seats([str(n) for n in range(6)], 2)
    hosts, room = {"l1": "x", "l2": "y"}, {"p": 9, "q": 9}
    before = place(wanted, hosts, room, {}).places
    allowed = {"3": frozenset("p")}
    after = place(wanted, hosts, room, before, allowed=allowed).places
    assert {after[Seat("3", replica)].client for replica in "ab"} == {"p"}
    assert all(after[seat] == before[seat] for seat in wanted if seat.shard != "3")
    assert place(wanted, hosts, room, after, allowed=allowed).places == after


def test_who_has_a_choice_leaves_the_channel_to_who_has_none() -> None:
    """One channel each: the shard that both may see takes the other client's."""
    hosts, room = {"l1": "x"}, {"p": 1, "q": 1}
    allowed = {"2": frozenset("p")}
    places = place([Seat("1", "a"), Seat("2", "a")], hosts, room, {}, allowed=allowed).places
    assert places == {Seat("1", "a"): Place("l1", "q"), Seat("2", "a"): Place("l1", "p")}
    held = {Seat("1", "a"): Place("l1", "p")}
    again = place([Seat("1", "a"), Seat("2", "a")], hosts, room, held, allowed=allowed)
    assert again.places == places
    assert again.unassigned == {}


def test_a_client_that_is_full_is_told() -> None:
    """Channels of a client that may not see the shard do not help it."""
    allowed = dict.fromkeys("12", frozenset("p"))
    result = place(
        seats(["1", "2"], 2), {"l1": "x", "l2": "y"}, {"p": 2, "q": 9}, {}, allowed=allowed
    )
    assert set(result.places) == {Seat("1", "a"), Seat("2", "a")}
    assert set(result.unassigned.values()) == {"no channel"}
