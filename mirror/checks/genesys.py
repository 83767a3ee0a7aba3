"""Checks of Genesys Cloud: each OAuth client's credentials, channels, permissions and rate, and the
queues and users that the clients see together. `mirror.checks.genesys_rules` judges the answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import redis

from mirror.base.errors import (
    EXIT_DEPENDENCY,
    GenesysError,
    RedisUnavailable,
    SettingsError,
)
from mirror.checks import genesys_rules as rules
from mirror.checks.finding import Finding, bad, good
from mirror.fleet.names import Names
from mirror.genesys.client import GenesysClient
from mirror.genesys.listing import read_listing
from mirror.genesys.topics import families_of
from mirror.redis.connect import connect, explained
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget, used_ahead
from mirror.settings import OAuthClient, Settings

_ONE: Final = 1  # the smallest page: the check needs only its total
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_WAIT: Final = "see whether Genesys Cloud is well, and any proxy or gateway before it; try again"


def check_genesys(settings: Settings) -> Iterator[Finding]:
    """Findings on every OAuth client; only the first if none is set or a client is refused."""
    try:
        clients = settings.require_clients()
    except SettingsError as error:
        cure = "make an OAuth client in Genesys Cloud: docs/getting-started.md"
        yield bad("genesys.client", "Genesys", str(error), cure, error.exit_code)
        return
    store, keys = connect(settings), Keys(settings.namespace)
    lists: rules.Lists = {}
    for oauth_client in clients:
        budget = RateBudget(store, keys, oauth_client.id)
        client = GenesysClient(settings, oauth_client, budget)
        yield from _client(settings, oauth_client, client, store, lists)
    yield from rules.filters(settings, lists)
    yield from rules.alone(lists)
    try:
        with explained():
            refused: Any = store.hgetall(keys.rejected)
        yield from rules.rejected(refused, Names(store, keys).describe(sorted(refused)[:1]))
    except RedisUnavailable:
        pass  # `check_redis` reports it
    finally:
        store.close()


def _client(
    settings: Settings,
    oauth_client: OAuthClient,
    client: GenesysClient,
    store: redis.Redis,
    lists: rules.Lists,
) -> Iterator[Finding]:
    subject = f"Genesys client {oauth_client.id}"
    keys = Keys(settings.namespace)
    for family in families_of(settings):
        lists.setdefault(family, {})[client.id] = None
    # Check before our own calls: they wait for the budget, so it would be full again after them.
    ahead = _ahead(store, keys, client.id)
    budget = None if ahead is None else rules.rate(subject, ahead)
    if budget is not None and budget.level != "good":
        yield budget
        return
    try:
        client.sign_in()
    except GenesysError as error:
        yield bad("genesys.token", subject, error.problem, error.cure or _WAIT, EXIT_DEPENDENCY)
        return
    expires = client.token_expires_in() or 0
    yield good("genesys.token", subject, f"token of {settings.login_url}, {expires / 3600:.1f} h")
    try:
        held = len(client.channels(all_tokens=True))
        yield rules.channels(subject, held, _reserved(store, keys, client.id), settings)
        yield rules.topics(subject, settings, client.available_topics())
    except GenesysError as error:
        yield bad("genesys.permissions", subject, error.problem, cure_of(error), EXIT_DEPENDENCY)
        return
    yield from _permissions(subject, settings, client, lists)
    if budget is not None:
        yield budget


def _reserved(store: redis.Redis, keys: Keys, client_id: str) -> int | None:
    try:
        with explained():
            count: Any = store.zcard(keys.channels(client_id))
            own: Any = store.get(keys.probe(client_id))  # that of `mirror doctor`
    except RedisUnavailable:
        return None
    return int(count) + bool(own)


def _permissions(
    subject: str, settings: Settings, client: GenesysClient, lists: rules.Lists
) -> Iterator[Finding]:
    """Make each kind of call that processes make, once; fills `lists` if they matter."""
    now = datetime.now(UTC)
    interval = f"{(now - timedelta(minutes=1)).isoformat()}/{now.isoformat()}"
    query = {"interval": interval, "paging": {"pageSize": _ONE, "pageNumber": 1}}
    attempts: dict[str, Callable[[], int | None]] = {}
    for family in families_of(settings):
        attempts[family] = partial(_list, settings, client, family, lists)
    attempts["analytics"] = lambda: _nothing(client.query_details(query))
    attempts["conversations"] = lambda: _conversation(client)
    allowed = []
    for call, attempt in attempts.items():
        try:
            total = attempt()
        except GenesysError as error:
            yield bad(
                "genesys.permissions",
                f"{subject} {call}",
                error.problem,
                cure_of(error),
                EXIT_DEPENDENCY,
            )
            continue
        allowed.append(call)
        if total is not None:
            yield rules.visible(subject, call, total, several=len(settings.clients) > 1)
    if len(allowed) == len(attempts):
        yield good("genesys.permissions", f"{subject} permissions", f"{', '.join(allowed)}")


def _list(settings: Settings, client: GenesysClient, family: str, lists: rules.Lists) -> int:
    """The number of entities. If they are few and it matters, they go into `lists`."""
    page_of = client.queues if family == "queues" else client.users
    total = page_of(1, _ONE).total
    matters = len(settings.clients) > 1 or rules.patterns_of(settings, family) != ("*",)
    if matters and total <= rules.MOST_LISTED:
        listed = read_listing(page_of, family)
        if not listed.left_out:
            lists[family][client.id] = listed.entities
    return total


def _nothing(_answer: object) -> None:
    """Take any answer: its content does not matter."""


def _conversation(client: GenesysClient) -> None:
    """Read a conversation that cannot exist: a 404 shows that reading is allowed."""
    try:
        client.conversation(str(uuid.uuid4()))
    except GenesysError as error:
        if error.status != _NOT_FOUND:
            raise


def cure_of(error: GenesysError) -> str:
    """The fix of a failed call: a missing permission is fixed in the role."""
    if error.status == _FORBIDDEN:
        return f"{rules.ROLE_CURE} (docs/permissions.md)"
    return error.cure or _WAIT


def _ahead(store: redis.Redis, keys: Keys, client_id: str) -> float | None:
    """Seconds of budget that were used in advance; None if Redis is away."""
    try:
        return used_ahead(store, keys, client_id) / 1000
    except RedisUnavailable:
        return None
