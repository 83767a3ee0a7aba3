"""The names of what is mirrored: whose are kept, what changes in Redis, what MIRROR_PII hides."""

from __future__ import annotations

import time
from collections.abc import Iterable

import pytest

from coordinator.election import Write
from coordinator.naming import Called, Naming, name_changes
from mirror.conversation.normaliser.personal import Personal
from mirror.fleet.names import FAMILIES, SLICES, Family, entity_of, slice_of
from mirror.genesys.shapes import Entity
from mirror.redis.keys import Keys
from mirror.settings import load

KEYS = Keys("test")
QUEUE = "v2.routing.queues.{}.conversations"
USER = "v2.users.{}.conversations"
KEPT = {"MIRROR_PII": "keep"}
HASHED = {"MIRROR_PII": "hash", "MIRROR_PII_KEY": "k"}

Stored = dict[str, dict[str, str]]


def naming(queues: dict[str, str], users: dict[str, str], **env: str) -> Naming:
    """What heard one listing of each family."""
    found = Naming(load(env))
    found.hear("queues", [Entity(*item) for item in queues.items()])
    found.hear("users", [Entity(*item) for item in users.items()])
    return found


def topics(queues: Iterable[str] = (), users: Iterable[str] = ()) -> frozenset[str]:
    """The topics of these ids."""
    return frozenset([*map(QUEUE.format, queues), *map(USER.format, users)])


def applied(called: Called, stored: Stored) -> tuple[Stored, list[Write]]:
    """The hashes after the writes, which are done as Redis does them."""
    after = {key: dict(fields) for key, fields in stored.items()}
    writes = [
        write
        for family in FAMILIES
        for write in name_changes(KEYS, family, called, names_in(after, family))
    ]
    for write in writes:
        words = [str(word) for word in write.arguments]
        fields = after.setdefault(write.key, {})
        if write.command == "HSET":
            fields.update(zip(words[::2], words[1::2], strict=True))
        else:
            for word in words:
                del fields[word]
    return after, writes


def names_in(stored: Stored, family: Family) -> dict[str, str]:
    """All names of a family."""
    slices = {KEYS.names_of(family, part) for part in range(SLICES)}
    found = (fields for key, fields in stored.items() if key in slices)
    return {field: name for fields in found for field, name in fields.items()}


@pytest.mark.parametrize(
    ("topic", "entity"),
    [
        (QUEUE.format("q1"), ("queues", "q1")),
        (USER.format("u1"), ("users", "u1")),
        ("v2.users.u1?presence&routingStatus", ("users", "u1")),
    ],
)
def test_a_topic_says_whose_it_is(topic: str, entity: tuple[str, str]) -> None:
    """Those of queues, of users, and of users' states."""
    assert entity_of(topic) == entity


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({}, "u1"),
        (KEPT, "Ann (u1)"),
        (HASHED, f"{Personal('k').hidden('Ann')} (u1)"),
    ],
)
def test_topics_are_told_by_name_as_the_mode_allows(env: dict[str, str], told: str) -> None:
    """By the name and the id, also if they are no longer mirrored; without a name by the id."""
    found = naming({"q1": "Support"}, {"u1": "Ann"}, **env)
    found.called(topics())
    assert found.described(QUEUE.format("q1")) == "queue Support (q1)"
    assert found.described(QUEUE.format("q2")) == "queue q2"
    assert found.described(USER.format("u1")) == f"user {told}"
    assert found.described("v2.users.u1?presence&routingStatus") == f"states of user {told}"


def test_names_of_what_is_mirrored_are_stored_once() -> None:
    """And nothing is written where nothing is new."""
    called = naming({"q": "Support", "other": "Sales"}, {}).called(topics(["q"]))
    stored, writes = applied(called, {})
    assert stored == {KEYS.names_of("queues", slice_of("q")): {"q": "Support"}}
    assert len(writes) == 1
    assert applied(called, stored) == (stored, [])


def test_a_queue_that_is_renamed_has_its_new_name() -> None:
    """One write, and another digest: readers look again."""
    heard = naming({"q": "Support"}, {})
    first = heard.called(topics(["q"]))
    stored, _ = applied(first, {})
    heard.hear("queues", [Entity("q", "Help")])
    second = heard.called(topics(["q"]))
    assert second.digest != first.digest
    assert names_in(applied(second, stored)[0], "queues") == {"q": "Help"}


def test_a_name_goes_with_its_topics_and_not_before() -> None:
    """A listing that lacks a queue which is still mirrored takes no name away."""
    stored, _ = applied(naming({"q": "Support"}, {}).called(topics(["q"])), {})
    doubted = naming({}, {}).called(topics(["q"]))
    assert names_in(applied(doubted, stored)[0], "queues") == {"q": "Support"}
    gone = naming({}, {}).called(topics())
    assert names_in(applied(gone, stored)[0], "queues") == {}


def test_people_have_no_name_unless_it_is_wanted() -> None:
    """`drop` keeps none, `hash` what events have too, `keep` the name; queues keep theirs."""
    mirrored = topics(["q"], ["u"])

    def names(**env: str) -> dict[str, str]:
        called = naming({"q": "Support"}, {"u": "Ada"}, **env).called(mirrored)
        assert called.names["queues"] == {"q": "Support"}
        return dict(called.names["users"])

    assert names() == {}
    assert names(**KEPT) == {"u": "Ada"}
    (hashed,) = names(**HASHED).values()
    assert len(hashed) == 32
    assert "Ada" not in hashed


@pytest.mark.parametrize("env", [{}, HASHED])
def test_a_name_that_may_not_be_kept_any_more_goes(env: dict[str, str]) -> None:
    """Also that of somebody who is not listed now: the setting counts, not the listing."""
    kept = naming({}, {"u": "Ada", "v": "Grace"}, **KEPT).called(topics([], "uv"))
    stored, _ = applied(kept, {})
    called = naming({}, {"u": "Ada"}, **env).called(topics([], "uv"))
    left = names_in(applied(called, stored)[0], "users")
    assert not {"Ada", "Grace"} & set(left.values())
    assert left.keys() == ({"u"} if env else set())


def test_a_name_has_the_hash_that_events_have() -> None:
    """So that a consumer can join both."""
    called = naming({"q": "Support"}, {"u": " Ada "}, **HASHED).called(topics("q", "u"))
    assert called.names == {"queues": {"q": "Support"}, "users": {"u": Personal("k").hidden("Ada")}}


def test_sixty_thousand_names_are_written_in_few_writes() -> None:
    """Each small enough for a script; the work of it is done in a moment."""
    users = {f"{number:08x}-0000": f"Person {number}" for number in range(60_000)}
    began = time.process_time()
    called = naming({}, users, **KEPT).called(topics([], users))
    stored, writes = applied(called, {})
    assert time.process_time() - began < 5
    assert names_in(stored, "users") == users
    assert len(writes) < 1_000
    assert all(len(write.arguments) <= 200 for write in writes)
