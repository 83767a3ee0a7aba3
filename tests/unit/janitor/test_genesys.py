"""Several OAuth clients that may see different divisions."""

from __future__ import annotations

import threading
from typing import Any, cast

import msgspec
import pytest
import redis

from janitor.details import ask_details
from janitor.genesys import GenesysPool
from janitor.zombies.sweep import Sweep, Zombies
from mirror.base.errors import GenesysError, GenesysRefused, GenesysUnavailable
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.gaps import READINGS
from mirror.fleet.words import Shard
from mirror.genesys.shapes import AnalyticsConversation
from mirror.settings import Settings, load
from tests.unit.janitor import test_failing
from tests.unit.janitor.fakes import Genesys, Odd, unwell
from tests.unit.janitor.test_filler import NOON, Ledger, fill

SETTINGS = load({"GENESYS_CLIENTS": "one:s,two:s", "HOME": "/root"})


def topic(queue: object) -> str:
    """The topic of a queue."""
    return f"v2.routing.queues.{queue}.conversations"


class Shards:
    """The shards' documents in Redis: shard 0 has the topic of queue 0, and so on."""

    def __init__(self, *clients: tuple[str, ...]) -> None:
        self.documents = {
            str(number): msgspec.json.encode(
                Shard(str(number), (topic(number),), 1, clients=names)
            ).decode()
            for number, names in enumerate(clients)
        }

    def register_script(self, _script: str) -> None:
        """No script is called here."""

    def hkeys(self, _key: str) -> list[str]:
        """The ids of all shards."""
        return list(self.documents)

    def mget(self, keys: list[str]) -> list[str | None]:
        """Their documents."""
        return [self.get(key) for key in keys]

    def get(self, key: str) -> str | None:
        """One document."""
        return self.documents.get(key.rpartition(":")[2])


class Client:
    """One OAuth client, which knows some conversations and refuses others."""

    def __init__(
        self, name: str, known: set[str], refused: set[str], unread: frozenset[str] = frozenset()
    ) -> None:
        self.id = name
        self._unread = unread
        self.asked: list[str] = []
        self.token: GenesysError | None = None
        self.token_requests = 0
        self._known = known
        self._refused = refused

    def sign_in(self) -> None:
        """A token, or the reason why there is none."""
        self.token_requests += 1
        if self.token is not None:
            raise self.token

    def conversation(self, name: str) -> bytes:
        """Its body, 403 or 404."""
        self.asked.append(name)
        if self.token is not None:
            raise self.token
        if name in self._refused:
            raise GenesysRefused("refused", status=403)
        if name not in self._known:
            raise GenesysError("not found", status=404)
        return name.encode()

    def details(self, names: list[str]) -> list[AnalyticsConversation]:
        """Those that it knows."""
        self.asked += names
        return [
            AnalyticsConversation(name, is_unread=name in self._unread)
            for name in names
            if name in self._known | self._unread
        ]


class Limited(Client):
    """A client of a Genesys, which sees some of its conversations."""

    def __init__(self, name: str, genesys: Genesys, sees: str) -> None:
        super().__init__(name, set(sees), set())
        self._genesys = genesys

    def conversation(self, name: str) -> bytes:
        """Its body, or 404."""
        super().conversation(name)
        return self._genesys.conversation(name)

    def details(self, names: list[str]) -> list[AnalyticsConversation]:
        """Those that it sees."""
        return self._genesys.details([name for name in names if name in self._known])


class Stand(test_failing.Stand):
    """A sweep through a pool of clients."""

    pool: GenesysPool

    def sweep(self, settings: Settings) -> Sweep:
        leases: Any = self.leases
        producer: Any = self.producer
        return Zombies(settings, leases, self.pool, producer, Normaliser).sweep()


def pool(shards: Shards, *clients: object) -> GenesysPool:
    """A pool of these clients."""
    made = GenesysPool(SETTINGS, cast(redis.Redis, shards), threading.Event(), 1.0)
    made.clients = cast(Any, list(clients))
    return made


def test_what_one_client_does_not_see_another_is_asked_for() -> None:
    """Where clients see different divisions, neither 403 nor 404 of one is the last word."""
    first, second = Client("one", {"a"}, {"b"}), Client("two", {"b", "c"}, set())
    genesys = pool(Shards(("one",), ("two",)), first, second)
    for name in ("a", "b", "c"):
        for _ in range(2):  # whoever's turn it is
            assert genesys.conversation(name) == name.encode()
    assert {found.conversation_id for found in genesys.details(["a", "b", "c", "d"])} == {*"abc"}


def test_before_there_are_shards_all_clients_are_asked() -> None:
    """After a loss of Redis it is not known yet which client sees which topic."""
    genesys = pool(Shards(), Client("one", set(), set()), Client("two", {"a"}, set()))
    for _ in range(2):
        assert genesys.conversation("a") == b"a"
        assert len(genesys.details(["a", "b"])) == 1


def no_token(status: int = 400) -> GenesysRefused:
    """As the login host refuses a wrong secret."""
    return GenesysRefused("refuses OAuth client one", status=status, code="invalid_client")


@pytest.mark.parametrize("error", [no_token(), no_token(403), GenesysUnavailable("away")])
def test_a_client_without_a_token_stops_no_other(error: GenesysError) -> None:
    """Its secret was changed, say. A refused one is not asked for a token at each call."""
    locked, other = Client("one", {"a"}, set()), Client("two", {"a"}, set())
    locked.token = error
    genesys = pool(Shards(()), locked, other)
    for _ in range(6):
        assert genesys.conversation("a") == b"a"
    assert len(genesys.details(["a"])) == 1
    assert locked.asked == []
    assert locked.token_requests == (1 if isinstance(error, GenesysRefused) else 3)
    other.token = error
    with pytest.raises(type(error)):
        genesys.conversation("a")


def test_what_only_a_client_without_a_token_may_see_is_not_absent() -> None:
    """The others do not know it, which proves nothing. Their answers stand; but a gap waits."""
    locked, other = Client("one", {"a"}, set()), Client("two", {"b"}, set())
    locked.token = no_token()
    genesys = pool(Shards(("one",), ("two",)), locked, other)
    for _ in range(2):
        assert genesys.conversation("b") == b"b"
        with pytest.raises(GenesysUnavailable, match="OAuth client one"):
            genesys.conversation("a")
        found = ask_details(genesys, ["a", "b"], lambda: None)
        assert (set(found.shown), set(found.refused)) == ({"b"}, {"a"})
        for names in ([topic(0)], [topic(0), topic(1)], [topic("deleted")]):
            with pytest.raises(GenesysRefused, match="OAuth client one"):
                genesys.seeing(names).genesys.conversation("a")
        with pytest.raises(GenesysRefused, match="OAuth client one"):
            genesys.seeing([topic(0), topic(1)]).genesys.details(["a", "b"])


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_client_without_a_token_delays_no_conversation_of_others(status: int) -> None:
    """Those that only it sees are due first, and are due again later each time."""
    stand = Stand()
    for name in (*"abcde", *"vwxyz"):
        stand.add(name)
    locked, other = Limited("one", stand.genesys, "abcde"), Limited("two", stand.genesys, "vwxyz")
    locked.token = no_token(status) if status < 500 else GenesysUnavailable("500", status=500)
    stand.pool = pool(Shards(("one",), ("two",)), locked, other)
    for _ in range(2):  # whoever's turn it is
        sweep = stand.sweep(SETTINGS)
        assert set(stand.finalized()) == set("vwxyz")
        assert sweep.failed == 5
        assert set(stand.leases.since) == set("abcde")
        stand.leases.now += 500.0


def test_an_odd_id_of_a_later_client_is_found_by_halves() -> None:
    """The answer has the other conversations that only this client sees."""
    names = [str(number) for number in range(8)]
    genesys = Odd("5", error=unwell())
    for name in names:
        genesys.add(name, NOON)
    clients = Limited("one", genesys, "01"), Limited("two", genesys, "234567")
    made = pool(Shards(("one",), ("two",)), *clients)
    for _ in range(2):  # whoever's turn it is
        found = ask_details(made, names, lambda: None)
        assert set(found.refused) == {"5"}
        assert len(found.shown) == 7


def test_what_one_client_cannot_read_another_is_asked_for() -> None:
    """What none can read is not unknown to analytics: it cannot be asked about it."""
    first = Client("one", {"a"}, set(), frozenset("bc"))
    second = Client("two", {"b"}, set(), frozenset("c"))
    for clients in ((first, second), (second, first)):
        genesys = pool(Shards(("one",), ("two",)), *clients)
        for _ in range(2):  # whoever's turn it is
            found = ask_details(genesys, ["a", "b", "c", "d"], lambda: None)
            assert found.shown.keys() == {"a", "b"}
            assert set(found.refused) == {"c"}


def test_a_refusal_says_more_than_an_absence() -> None:
    """It exists where one client is refused it, whatever the others say, in any order."""
    genesys = pool(Shards(("one",), ()), Client("one", set(), {"x"}), Client("two", set(), set()))
    for _ in range(2):
        with pytest.raises(GenesysRefused):
            genesys.conversation("x")


def test_clients_that_see_the_same_are_asked_once() -> None:
    """No request is spent on a second opinion that is the same."""
    first, second = Client("one", set(), set()), Client("two", set(), set())
    genesys = pool(Shards((), ()), first, second)
    with pytest.raises(GenesysError):
        genesys.conversation("gone")
    genesys.details(["gone"])
    assert len(first.asked) + len(second.asked) == genesys.calls == 2


def test_a_gap_is_read_by_clients_that_see_its_topics() -> None:
    """Whatever shard has them now; by each client where no shard has them."""
    first, second = Client("one", {"a"}, set()), Client("two", {"a"}, set())
    genesys = pool(Shards(("one",), ("two",)), first, second)
    for _ in range(3):
        genesys.seeing([topic(1)]).genesys.conversation("a")
    assert (first.asked, second.asked) == ([], ["a"] * 3)
    for _ in range(4):
        genesys.seeing([topic("deleted")]).genesys.conversation("a")
    assert first.asked


def test_topics_that_different_clients_see_are_listed_by_one_of_each() -> None:
    """A topic that all see takes one client, a topic of no shard each of them."""
    genesys = pool(
        Shards(("one",), ("two",), ()), Client("one", set(), set()), Client("two", set(), set())
    )
    names = [topic(number) for number in (0, 1, 2, "deleted")]
    assert [part.topics for part in genesys.seeing(names).parts] == [
        (name,) for name in (*names, topic("deleted"))
    ]


class Seer(Genesys):
    """A client that sees some conversations, and lists no others."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.id = name

    def sign_in(self) -> None:
        """It has a token."""


@pytest.mark.parametrize("shards", [(("one",), ("two",)), ((), ()), ()])
def test_a_gap_of_no_shard_is_filled_with_what_any_client_lists(
    shards: tuple[tuple[str, ...], ...],
) -> None:
    """`mirror backfill --queue`: a client that does not see the queue answers with no hits."""
    clients = Seer("one"), Seer("two")
    for client in clients:
        client.add(f"of {client.id}", NOON, NOON + 60_000)
    ledger = Ledger(shard="-")
    for _ in range(READINGS):
        gap = fill(ledger, pool(Shards(*shards), *clients), NOON + 120_000)
    assert (gap.state, gap.errors, gap.found) == ("filled", (), 2)


def test_a_gap_whose_topics_moved_is_read_by_those_that_see_them_now() -> None:
    """The gap's shard has other topics since, which another client sees."""
    blind, seeing = Seer("one"), Seer("two")
    seeing.add("c", NOON, NOON + 60_000)
    made = pool(Shards(("one",), ("two",)), blind, seeing)
    gap = fill(Ledger(shard="0", topics=(topic(1),)), made, NOON + 120_000)
    assert (gap.found, gap.errors) == (1, ())
    assert blind.queries == 0


def test_all_pages_of_a_question_are_read_with_one_client() -> None:
    """Two clients may list the same conversations in another order."""
    clients = Seer("one"), Seer("two")
    for client, numbers in zip(clients, (range(250), reversed(range(250))), strict=True):
        for number in numbers:
            client.add(f"c{number}", NOON, NOON + 60_000)
    gap = fill(Ledger(topics=(topic(0),)), pool(Shards(()), *clients), NOON + 120_000)
    assert (gap.found, gap.errors) == (250, ())
