"""The comparison of a channel's topics with Genesys' list of them."""

from __future__ import annotations

import pytest

from listeners.channels.topic_list import TopicList

USER = "v2.users.u.conversations"
STATES = "v2.users.u?presence&routingStatus"
PRESENCE, ROUTING = "v2.users.u.presence", "v2.users.u.routingStatus"


def made(*rejected: str) -> TopicList:
    """A list that was set, except for the rejected topics."""
    topics = TopicList((USER, STATES), 1)
    topics.begin()
    topics.was_set(rejected, 0.0)
    return topics


@pytest.mark.parametrize(
    ("rejected", "found", "as_wanted"),
    [
        ((), (USER, STATES), True),
        ((), (USER, PRESENCE, ROUTING), True),
        ((), (USER.upper(), STATES.lower()), True),
        ((), (USER, PRESENCE), False),
        ((), (STATES,), False),
        ((), (USER, STATES, "v2.users.x.conversations"), False),
        ((PRESENCE,), (USER, STATES), True),
        ((PRESENCE,), (USER, ROUTING), True),
        ((PRESENCE,), (USER,), False),
        ((STATES,), (USER,), True),
        ((USER,), (USER, STATES), False),
        ((USER,), (PRESENCE, ROUTING), True),
    ],
)
def test_a_combined_topic_may_be_listed_under_either_name(
    rejected: tuple[str, ...], found: tuple[str, ...], as_wanted: bool
) -> None:
    """As it was asked for, or by the topics that it stands for; one of them may be refused."""
    assert made(*rejected).is_as_wanted(frozenset(found), 1.0) is as_wanted


def test_a_combined_topic_is_missing_without_any_of_its_topics() -> None:
    """Unless Genesys refuses the one that is not listed."""
    assert made().missing(frozenset({USER, PRESENCE, ROUTING})) == ()
    assert made().missing(frozenset({USER, PRESENCE})) == (STATES,)
    assert made().missing(frozenset({STATES})) == (USER,)
    assert made(ROUTING).missing(frozenset({USER, PRESENCE})) == ()


def test_a_topic_that_is_refused_no_more_is_set_again() -> None:
    """The list is another one than what was confirmed."""
    topics = made(PRESENCE, ROUTING)
    assert topics.is_as_wanted(frozenset((USER,)), 2.0)
    assert not topics.is_as_wanted(frozenset((USER, PRESENCE, ROUTING)), 2.0)
