"""Discovery of queues and users with several OAuth clients, by listings of the test's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from coordinator.discovery import FIRST_SECONDS, RETRY_SECONDS, Discovery
from coordinator.plan.sight import Recalled
from mirror.base.errors import GenesysError, GenesysRefused
from mirror.base.log import capture_logs
from mirror.genesys.shapes import AvailableTopic, Entity, EntityPage
from mirror.settings import load

TOPICS = [
    AvailableTopic("v2.routing.queues.{id}.conversations", ["routing:queue:view"], ["All"]),
    AvailableTopic("v2.users.{id}.conversations", [], ["All"]),
]


class Client:
    """A client of Genesys that lists what it is told to, or raises it."""

    def __init__(self, name: str, queues: str = "", users: str = "") -> None:
        self.id = name
        self.lists: dict[str, Any] = {"queues": queues, "users": users}
        self.calls = {"queues": 0, "users": 0}
        self.on_page: Callable[[], object] = lambda: None
        self.available = TOPICS

    def available_topics(self) -> list[AvailableTopic]:
        return self.available

    def queues(self, page: int, size: int) -> EntityPage:
        return self._page("queues", page, size)

    def users(self, page: int, size: int) -> EntityPage:
        return self._page("users", page, size)

    def _page(self, family: str, page: int, _size: int) -> EntityPage:
        self.calls[family] += 1
        self.on_page()
        found = self.lists[family]
        if isinstance(found, GenesysError):
            raise found
        if found == "endless":
            return EntityPage(entities=[Entity(id=f"u{page}")], next_uri="next")
        odd = found.count("?")
        found = found.replace("?", "")
        return EntityPage(entities=[Entity(id=id_, name=id_ * 2) for id_ in found], left_out=odd)


class World:
    """A discovery with a clock of its own."""

    def __init__(self, *clients: Client, **settings: str) -> None:
        env = {"GENESYS_CLIENTS": ",".join(f"{client.id}:s" for client in clients), **settings}
        self.now = 0.0
        listed: Any = clients
        self.discovery = Discovery(load(env), listed, clock=lambda: self.now)

    def look(self, seconds: float = 0.0) -> set[str]:
        """Some time later; the ids that are found."""
        self.now += seconds
        self.discovery.look()
        found = self.discovery.found
        return set() if found is None else {topic.split(".")[-2] for topic in found.topics}


@pytest.mark.parametrize(
    ("available", "seconds"), [([], RETRY_SECONDS), (TOPICS[:1], 300.0)], ids=["none", "one"]
)
def test_a_topic_that_genesys_does_not_offer_is_asked_for_again(
    available: list[AvailableTopic], seconds: float
) -> None:
    """Once the first answer was empty, and the coordinator believed it until its next start."""
    client = Client("a", queues="q", users="u")
    client.available = available
    world = World(client, MIRROR_DISCOVERY_INTERVAL="300s")
    with capture_logs() as lines:
        world.look()
        assert "Genesys does not offer v2.users.{id}" in str(world.discovery.reasons)
        world.look(seconds)
        client.available = TOPICS
        world.look(seconds)
    assert world.discovery.reasons == ()
    told = [line["topic"] for line in lines if line["event"] == "topic_unavailable"]
    assert len(told) == len(set(told)) == 2 - len(available)


def refused(permission: str) -> GenesysRefused:
    """As Genesys refuses."""
    return GenesysRefused(f"missing the following permission(s): {permission}", status=403)


def test_a_family_that_cannot_be_listed_leaves_the_other_alone() -> None:
    """Users are found without queues; the reason has Genesys' text; queues come when they can."""
    client = Client("p", users="xy")
    client.lists["queues"] = refused("routing:queue:view")
    world = World(client)
    assert world.look() == {"x", "y"}
    (reason,) = world.discovery.reasons
    assert "queues cannot be listed by OAuth client p" in reason
    assert "routing:queue:view" in reason
    client.lists["queues"] = "a"
    assert world.look(10.0) == {"a", "x", "y"}
    assert world.discovery.reasons == ()


def test_an_entity_that_cannot_be_read_is_told_and_drops_none() -> None:
    """It may be any that is missing, which is mirrored on. The others are found."""
    client = Client("p", queues="ab", users="x")
    world = World(client)
    assert world.look() == {"a", "b", "x"}
    client.lists["queues"] = "bc?"
    for _ in range(20):
        found = world.look(300.0)
    assert found == {"a", "b", "c", "x"}
    assert any("1 of queues cannot be read" in reason for reason in world.discovery.reasons)
    calls = client.calls["queues"]
    for _ in range(60):
        world.look(1.0)
    assert client.calls["queues"] <= calls + 1, "it is listed no more often than others"
    client.lists["queues"] = "bc"
    for _ in range(20):
        found = world.look(300.0)
    assert found == {"b", "c", "x"}
    assert not any("cannot be read" in reason for reason in world.discovery.reasons)


def test_a_filter_may_select_what_cannot_be_read() -> None:
    """Nobody says that it matches nothing, or that nothing is visible."""
    world = World(Client("p", queues="?", users="x?"), MIRROR_USERS="n", MIRROR_QUEUES="n")
    world.look()
    assert [reason for reason in world.discovery.reasons if "cannot be read" not in reason] == []


def test_what_fails_is_tried_less_and_less() -> None:
    """And nothing else is asked for it: the request budget is for channels."""
    client = Client("p", users="xy")
    client.lists["queues"] = refused("routing:queue:view")
    world = World(client)
    for _ in range(600):
        world.look(0.5)
    assert client.calls["queues"] <= 6
    assert client.calls["users"] <= 2


def test_clients_that_fail_alike_are_told_in_one_line() -> None:
    """Genesys is away: one reason for each family."""
    clients = [Client("p"), Client("q")]
    for client in clients:
        client.lists = dict.fromkeys(client.lists, GenesysError("does not answer"))
    world = World(*clients)
    assert world.look() == set()
    assert world.discovery.found is None
    assert len(world.discovery.reasons) == 2
    assert all("p, q" in reason for reason in world.discovery.reasons)


def test_a_listing_that_never_ends_holds_up_nobody_for_long() -> None:
    """Queues are found while users are still being listed, and the reason is told."""
    client = Client("p", queues="ab", users="endless")
    world = World(client)
    found_at: list[float] = []
    while_listed: list[tuple[str, ...]] = []

    def tick() -> None:
        world.now += 1.0
        if world.discovery.found is not None and not found_at:
            found_at.append(world.now)
            while_listed.append(world.discovery.reasons)

    client.on_page = tick
    assert world.look() == {"a", "b"}
    assert found_at[0] <= FIRST_SECONDS + 3
    assert while_listed[0] == (
        "discovery: users are still being listed, and none of them is mirrored yet",
    )
    assert "the listing of users does not end" in world.discovery.reasons[0]


def test_clients_list_side_by_side() -> None:
    """Each has a request budget of its own, so six of them take no longer than the slowest."""
    clients = [Client(name, "a", "x") for name in "pqrstu"]
    meeting = threading.Barrier(len(clients), timeout=30.0)
    for client in clients:
        client.on_page = meeting.wait
    assert World(*clients).look() == {"a", "x"}


def test_a_new_topic_belongs_to_nobody_alone_while_the_others_list() -> None:
    """Clients that take different times still list again at the same time."""
    quick, slow = Client("p", "a"), Client("q", "a")
    world = World(quick, slow, MIRROR_SUBSCRIBE="queues", MIRROR_DISCOVERY_INTERVAL="300s")

    def spend() -> None:
        world.now += 20.0

    slow.on_page = spend
    world.look()
    slow.lists["queues"] = quick.lists["queues"] = "ab"
    found: list[set[str]] = []
    while not found or found[-1] != {"a", "b"}:
        found.append(world.look(5.0))
        assert world.discovery.found is not None
        assert world.discovery.found.audience == {}
        assert world.now < 400.0


def test_an_entry_of_a_filter_that_matches_nothing_is_told() -> None:
    """By any client's list; names are compared without case."""
    world = World(Client("p", queues="a"), Client("q", queues="b"), MIRROR_QUEUES="AA,b,Suport*")
    assert world.look() == {"a", "b"}
    assert "MIRROR_QUEUES: 'Suport*' matches no queue" in world.discovery.reasons


def test_nothing_visible_is_told() -> None:
    """A role that is granted nowhere lists nothing, and no call fails."""
    world = World(Client("p", users="x"))
    assert world.look() == {"x"}
    assert world.discovery.reasons == (
        "no queue is visible: grant the role in the divisions that have them",
    )


def test_without_any_topic_it_is_barren_once_every_list_was_asked_for() -> None:
    """Whether a filter selects nothing or a list fails; a leader that starts over lists first."""
    client = Client("p", queues="a", users="x")
    world = World(client, MIRROR_QUEUES="Suport*", MIRROR_USERS="n")
    before: list[bool] = []  # at each page
    client.on_page = lambda: before.append(world.discovery.barren)

    def barren(seconds: float = 0.0) -> bool:
        return world.look(seconds) == set() and world.discovery.barren

    assert barren()
    assert world.discovery.reasons == (
        "MIRROR_QUEUES: 'Suport*' matches no queue",
        "MIRROR_USERS: 'n' matches no user",
    )
    world.discovery.recall([])
    client.lists["users"] = GenesysError("does not answer")
    assert barren()
    assert "users cannot be listed" in world.discovery.reasons[0]
    client.lists["users"] = "n"
    assert not barren(10.0)
    assert before == [False, False, False, False, True]


def test_the_union_is_found_and_what_one_sees_alone_is_a_note() -> None:
    """Nothing flaps from one discovery to the next."""
    world = World(Client("p", "abc", "x"), Client("q", "bcd", "x"))
    assert world.look() == set("abcdx")
    first = world.discovery.found
    for _ in range(5):
        world.look(300.0)
    assert world.discovery.found is first
    assert world.discovery.reasons == ()
    assert world.discovery.notes == (
        "1 queue is seen by OAuth client p alone",
        "1 queue is seen by OAuth client q alone",
    )


@pytest.mark.parametrize("listed", ["", "a"])
def test_a_just_elected_leader_does_not_believe_one_short_answer(listed: str) -> None:
    """Redis says what was mirrored: it stays, and the doubt is told, until Genesys is well."""
    client = Client("p", queues=listed)
    world = World(client, MIRROR_SUBSCRIBE="queues")
    topics = tuple(f"v2.routing.queues.{letter}.conversations" for letter in "abcdef")
    world.discovery.recall([Recalled(topics, frozenset("p"), open=True)])
    assert world.look() == set("abcdef")
    reason = world.discovery.reasons[0]
    assert f"{6 - len(listed)} of 6 topics of queues are missing" in reason
    assert world.look(10.0) == set("abcdef")
    client.lists["queues"] = "abcdefg"
    assert world.look(10.0) == set("abcdefg")
    assert world.discovery.reasons == ()


@pytest.mark.parametrize("call", range(1, 6))
def test_a_recall_at_any_moment_of_a_round_is_followed_by_another_round(call: int) -> None:
    """Else a leader that was just elected would have no topics until the next interval."""
    world = World(Client("p", queues="a", users="x"))
    world.look()
    world.discovery.recall([])
    asked = 0

    def clock() -> float:
        nonlocal asked
        asked += 1
        if asked == call:
            elected = threading.Thread(target=world.discovery.recall, args=([],))
            elected.start()
            elected.join(0.2)  # or it waits for the lock
        return world.now

    world.discovery._clock = clock
    world.look()
    world.look()
    assert world.look() == {"a", "x"}


def test_what_was_mirrored_and_is_no_more_is_told_for_an_hour() -> None:
    """In the log, as a reason and a figure; over when it is back, or after an hour."""
    client = Client("p", queues="abc", users="xy")
    world = World(client)
    world.look()
    client.lists["queues"] = "ab"
    with capture_logs() as told:
        world.look(300.0)  # one answer that misses it is not believed
        assert world.discovery.gone == 0
        assert world.look(300.0) == {"a", "b", "x", "y"}
    (warning,) = [line for line in told if line["event"] == "topics_gone"]
    assert (warning["log_level"], warning["count"]) == ("warning", 1)
    assert world.discovery.gone == 1
    (reason,) = world.discovery.reasons
    assert "(queue cc (c))" in reason
    assert warning["topics"] == ["queue cc (c)"]
    assert "MIRROR_QUEUES" in reason
    client.lists["queues"] = "abc"
    world.look(300.0)
    assert (world.discovery.gone, world.discovery.reasons) == (0, ())
    client.lists["queues"] = "ab"
    for _ in range(3):
        world.look(300.0)
    assert world.discovery.gone == 1
    world.look(3600.0)
    assert (world.discovery.gone, world.discovery.reasons) == (0, ())
