"""The list on a channel, as Genesys tells it, against the wanted one."""

from __future__ import annotations

import pytest

from listeners.channels.topic_list import TopicList

COMBINED = "v2.users.U1?presence&routingStatus"
PLAIN = ("v2.users.u1.presence", "v2.users.u1.routingstatus")
TALK = "v2.users.U1.conversations"


def confirmed(rejected: tuple[str, ...] = ()) -> TopicList:
    """A list that was set a second ago."""
    topics = TopicList((TALK, COMBINED), 1)
    topics.begin()
    topics.was_set(rejected, 1.0)
    return topics


@pytest.mark.parametrize("listed", [(COMBINED,), PLAIN])
def test_a_combined_topic_may_be_listed_whole_or_in_parts(listed: tuple[str, ...]) -> None:
    """Genesys does not document it: both are the list that was set."""
    topics = confirmed()
    found = frozenset((TALK, *listed))
    assert topics.missing(found) == ()
    assert topics.is_as_wanted(found, 2.0)
    assert not topics.is_as_wanted(frozenset((*found, "v2.users.u2.conversations")), 2.0)


def test_a_combined_topic_of_which_a_part_is_gone_is_missing() -> None:
    """Its other part does not stand for it."""
    topics = confirmed()
    assert topics.missing(frozenset((TALK, PLAIN[0]))) == (COMBINED,)
    assert not topics.is_as_wanted(frozenset((TALK, PLAIN[0])), 2.0)


@pytest.mark.parametrize("listed", [(COMBINED,), PLAIN[1:]])
def test_a_refused_part_is_not_expected(listed: tuple[str, ...]) -> None:
    """The combined topic is there although Genesys refuses a part of it."""
    topics = confirmed(rejected=PLAIN[:1])
    found = frozenset((TALK, *listed))
    assert topics.missing(found) == ()
    assert topics.is_as_wanted(found, 2.0)


def test_a_topic_that_is_refused_no_more_is_set_again() -> None:
    """The list is another one than what was confirmed."""
    topics = confirmed(rejected=PLAIN)
    assert topics.is_as_wanted(frozenset((TALK,)), 2.0)
    assert not topics.is_as_wanted(frozenset((TALK, *PLAIN)), 2.0)
