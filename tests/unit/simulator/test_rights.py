"""Roles, divisions and org-wide limits of the simulator: as little as the documents say."""

from __future__ import annotations

import pytest

from simulator.oauth import DOCUMENTED_ROLE, OAuthClient, divisions_from, role_from
from simulator.org import Org
from simulator.ratelimit import OrgLimiter, family_of


def test_roles_are_given_whole_or_as_changes() -> None:
    """A list is the role; words with + and - change the documented one."""
    assert role_from("a:b:c, d:e:f") == {"a:b:c", "d:e:f"}
    assert role_from("") == frozenset()
    changed = role_from("-routing:queue:view,+routing:queue:search")
    assert changed == (DOCUMENTED_ROLE - {"routing:queue:view"}) | {"routing:queue:search"}
    with pytest.raises(ValueError, match="either"):
        role_from("a:b:c,+d:e:f")


def test_a_role_is_granted_in_divisions() -> None:
    """In all, in some, or in none, which is as good as no role."""
    assert divisions_from("*") is None
    assert divisions_from("1,3") == frozenset({1, 3})
    with pytest.raises(ValueError, match="numbers"):
        divisions_from("Home")
    client = OAuthClient("c", "s", divisions=divisions_from("1,3"))
    assert client.sees({2, 3})
    assert not client.sees({2})
    assert client.rights == DOCUMENTED_ROLE
    assert OAuthClient("c", "s", divisions=frozenset()).rights == frozenset()
    assert OAuthClient("c", "s").sees({9})


def test_more_divisions_change_no_id() -> None:
    """Queues and users are in them by turns; a conversation is in those of all it involves."""
    single, three = Org(6, 4, seed=1), Org(6, 4, seed=1, divisions=3)
    assert (single.queues, single.users) == (three.queues, three.users)
    assert [three.division_of_queue(queue) for queue in three.queues] == [1, 2, 3, 1]
    assert three.queue_body(three.queues[1])["division"]["name"] == "Division 2"
    assert three.divisions_of([three.queues[1]], [three.users[2]]) == {2, 3}
    assert three.divisions_of([], []) == {1}


def test_another_clients_use_costs_a_429() -> None:
    """Per family of routes, for the whole org; early is only who was refused itself."""
    limiter = OrgLimiter(limit=2)
    queues = "/api/v2/routing/queues"
    assert limiter.hit(queues, "p", 0.0) is None
    assert limiter.hit(queues, "p", 0.0) is None
    refused = limiter.hit(queues, "q", 1.0)
    assert refused is not None
    assert (refused.allowed, refused.early_retry) == (False, False)
    assert refused.headers()["Retry-After"] == "59"
    early = limiter.hit(queues, "q", 5.0)
    assert early is not None
    assert early.early_retry
    other = limiter.hit(queues, "p", 5.0)
    assert other is not None
    assert not other.early_retry
    assert limiter.hit(queues + "/x/members", "q", 5.0) is None
    assert limiter.hit(queues, "q", 61.0) is None


def test_families_of_routes() -> None:
    """Queues, members and conversations; nothing else."""
    assert family_of("/api/v2/routing/queues/divisionviews/all") == "queues"
    assert family_of("/api/v2/routing/queues/x/members") == "members"
    assert family_of("/api/v2/conversations/x") == "conversations"
    assert family_of("/api/v2/users") is None
    assert family_of("/api/v2/analytics/conversations/details") is None
