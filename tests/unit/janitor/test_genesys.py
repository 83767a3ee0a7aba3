"""Several OAuth clients that may see different divisions."""

from __future__ import annotations

import threading
from typing import Any, cast

import msgspec
import pytest
import redis

from janitor.genesys import GenesysPool, ask_details
from mirror.base.errors import GenesysError, GenesysRefused
from mirror.genesys.shapes import AnalyticsConversation
from mirror.settings import load

SETTINGS = load({"GENESYS_CLIENTS": "one:s,two:s", "HOME": "/root"})


class Shards:
    """The shards' documents in Redis."""

    def __init__(self, *clients: tuple[str, ...]) -> None:
        self.documents = {
            str(number): msgspec.json.encode({"clients": names, "epoch": 1}).decode()
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
        self._known = known
        self._refused = refused

    def conversation(self, name: str) -> bytes:
        """Its body, 403 or 404."""
        self.asked.append(name)
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


def pool(shards: Shards, *clients: Client) -> GenesysPool:
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


def test_what_one_client_cannot_read_another_is_asked_for() -> None:
    """What none can read is not unknown to analytics: it cannot be asked about it."""
    first = Client("one", {"a"}, set(), frozenset("bc"))
    second = Client("two", {"b"}, set(), frozenset("c"))
    for clients in ((first, second), (second, first)):
        genesys = pool(Shards(("one",), ("two",)), *clients)
        for _ in range(2):  # whoever's turn it is
            found = ask_details(genesys, ["a", "b", "c", "d"], lambda: None)
            assert found.shown.keys() == {"a", "b"}
            assert found.refused == {"c": "analytics' answer cannot be read"}


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


def test_a_gap_is_read_by_clients_that_see_its_shard() -> None:
    """And by all where the shard is gone."""
    first, second = Client("one", {"a"}, set()), Client("two", {"a"}, set())
    genesys = pool(Shards(("one",), ("two",)), first, second)
    for _ in range(3):
        genesys.seeing("1").conversation("a")
    assert (first.asked, second.asked) == ([], ["a"] * 3)
    for _ in range(4):
        genesys.seeing("no more").conversation("a")
    assert first.asked
