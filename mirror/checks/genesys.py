"""Checks of Genesys Cloud: each OAuth client's credentials, channels, permissions and rate, and the
queues and users that the clients see together."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import redis

from mirror.base.errors import (
    EXIT_DEPENDENCY,
    GenesysError,
    GenesysRefused,
    RedisUnavailable,
    SettingsError,
)
from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.genesys.client import GenesysClient
from mirror.genesys.filters import matching, unmatched
from mirror.genesys.listing import read_listing
from mirror.genesys.rights import role_text
from mirror.genesys.shapes import AvailableTopic, Entity
from mirror.genesys.topics import QUEUE_TOPIC, USER_TOPIC
from mirror.redis.connect import connect, explained
from mirror.redis.keys import Keys
from mirror.redis.rate import BURST, RATE_PER_MINUTE, RateBudget
from mirror.settings import OAuthClient, Settings

AGENT_TOPICS: Final = ("v2.users.{id}.presence", "v2.users.{id}.routingStatus")
# A rotation opens a channel before it closes the old one.
SPARE_CHANNELS: Final = 1
_ONE: Final = 1  # the smallest page: the check needs only its total
_NOT_FOUND: Final = 404
_ROLE: Final = f"give its role {role_text()}, in every division to be mirrored"
# Longer lists of queues or users are not read to the end: that would use up the request budget.
MOST_LISTED: Final = 5_000

# Family → OAuth client → its list; None if unknown.
Lists = dict[str, dict[str, list[Entity] | None]]


def check_genesys(settings: Settings) -> Iterator[Finding]:
    """Findings on every OAuth client; only the first if none is set or a client is refused."""
    try:
        clients = settings.require_clients()
    except SettingsError as error:
        cure = "make an OAuth client and set it"
        yield bad("genesys.client", "Genesys", str(error), cure, error.exit_code)
        return
    store, keys = connect(settings), Keys(settings.namespace)
    lists: Lists = {}
    for oauth_client in clients:
        budget = RateBudget(store, keys, oauth_client.id)
        client = GenesysClient(settings, oauth_client, budget)
        yield from _client(settings, oauth_client, client, store, lists)
    yield from filters(settings, lists)
    yield from alone(lists)
    try:
        with explained():
            refused: Any = store.hgetall(keys.rejected)
        yield from rejected(refused)
    except RedisUnavailable:
        pass  # `check_redis` reports it
    finally:
        store.close()


def _client(
    settings: Settings,
    oauth_client: OAuthClient,
    client: GenesysClient,
    store: redis.Redis,
    lists: Lists,
) -> Iterator[Finding]:
    subject = f"Genesys client {oauth_client.id}"
    keys = Keys(settings.namespace)
    for family in _families(settings):
        lists.setdefault(family, {})[client.id] = None
    # Check before our own calls: they wait for the budget, so it would be full again after them.
    ahead = _ahead(store, keys, client.id)
    budget = None if ahead is None else rate(subject, ahead)
    if budget is not None and budget.level != "good":
        yield budget
        return
    try:
        client.sign_in()
    except GenesysError as error:
        several = bool(settings.environment.get("GENESYS_CLIENTS"))
        variable = "GENESYS_CLIENTS" if several else "GENESYS_CLIENT_ID and GENESYS_CLIENT_SECRET"
        cure = (
            f"correct {variable}, enable the client, or add this host's address to the IP "
            "allow-list of the org or the client"
            if isinstance(error, GenesysRefused)
            else "check GENESYS_REGION, the network and any proxy"
        )
        yield bad("genesys.token", subject, str(error), cure, EXIT_DEPENDENCY)
        return
    expires = client.token_expires_in() or 0
    yield good("genesys.token", subject, f"token of {settings.login_url}, {expires / 3600:.1f} h")
    try:
        held = len(client.channels(all_tokens=True))
        yield channels(subject, held, _reserved(store, keys, client.id), settings)
        yield topics(subject, settings, client.available_topics())
    except GenesysError as error:
        yield bad("genesys.permissions", subject, str(error), _cure(error), EXIT_DEPENDENCY)
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


def channels(subject: str, held: int, reserved: int | None, settings: Settings) -> Finding:
    """`held` channels exist at Genesys, `reserved` are this mirror's; None if Redis is away."""
    limit = settings.channels_per_client
    told = f"{subject} channels"
    detail = f"{held} of {limit} exist"
    if held > limit:
        return bad(
            "genesys.channels",
            told,
            f"{detail}: Genesys silently closes the oldest beyond 20",
            "give the other program that uses this OAuth client its own client",
        )
    if reserved is not None and held > reserved:
        return doubtful(
            "genesys.channels",
            told,
            f"{detail}, {held - reserved} of them not this mirror's",
            "left by a process that was killed they lapse within a day; if another application "
            "uses this OAuth client, give it its own",
        )
    if held > limit - SPARE_CHANNELS:
        return bad(
            "genesys.channels",
            told,
            f"{detail}: none is left for rotation",
            "add an OAuth client to GENESYS_CLIENTS",
        )
    return good("genesys.channels", told, detail)


def topics(subject: str, settings: Settings, available: list[AvailableTopic]) -> Finding:
    """Whether Genesys offers the topics over WebSocket, and which permissions they need."""
    wanted = [
        template
        for family, template in (("queues", QUEUE_TOPIC), ("users", USER_TOPIC))
        if family in settings.families
    ]
    if settings.agents:
        wanted += AGENT_TOPICS
    known = {topic.id.lower(): topic for topic in available}
    missing = [
        template
        for template in wanted
        if template.lower() not in known or not _by_socket(known[template.lower()])
    ]
    told = f"{subject} topics"
    if missing:
        return bad(
            "genesys.topics",
            told,
            f"not offered by WebSocket: {', '.join(missing)}",
            "check GENESYS_REGION; leave the family out of MIRROR_SUBSCRIBE",
        )
    needed = sorted({p for t in wanted for p in known[t.lower()].requires_permissions or ()})
    return good("genesys.topics", told, f"offered; need {', '.join(needed) or 'no permission'}")


def _by_socket(topic: AvailableTopic) -> bool:
    """Whether the topic is available over WebSocket. A topic without transports has all of them."""
    named = {name.lower() for name in topic.transports or ("all",)}
    return bool(named & {"all", "websocket", "websockets"})


def rejected(refused: dict[str, str]) -> Iterator[Finding]:
    """`refused` is the leader's note: topic → why Genesys refuses it."""
    if not refused:
        return
    topic, reason = min(refused.items())
    yield bad(
        "genesys.topics",
        "topics refused",
        f"{len(refused)}, first {topic}: {reason}",
        f"{_ROLE}; mirror rebalance asks again",
    )


def _families(settings: Settings) -> list[str]:
    """The families that discovery lists."""
    users = "users" in settings.families or settings.agents
    return [*(["queues"] if "queues" in settings.families else []), *(["users"] if users else [])]


def _permissions(
    subject: str, settings: Settings, client: GenesysClient, lists: Lists
) -> Iterator[Finding]:
    """Make each kind of call that processes make, once; fills `lists` if they matter."""
    now = datetime.now(UTC)
    interval = f"{(now - timedelta(minutes=1)).isoformat()}/{now.isoformat()}"
    query = {"interval": interval, "paging": {"pageSize": _ONE, "pageNumber": 1}}
    attempts: dict[str, Callable[[], int | None]] = {}
    for family in _families(settings):
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
                str(error),
                _cure(error),
                EXIT_DEPENDENCY,
            )
            continue
        allowed.append(call)
        if total is not None:
            yield visible(subject, call, total, several=len(settings.clients) > 1)
    if len(allowed) == len(attempts):
        yield good("genesys.permissions", f"{subject} permissions", f"{', '.join(allowed)}")


def _list(settings: Settings, client: GenesysClient, family: str, lists: Lists) -> int:
    """The number of entities. If they are few and it matters, their ids go into `lists`."""
    page_of = client.queues if family == "queues" else client.users
    total = page_of(1, _ONE).total
    matters = len(settings.clients) > 1 or _patterns(settings, family) != ("*",)
    if matters and total <= MOST_LISTED:
        lists[family][client.id] = read_listing(page_of, family)
    return total


def _patterns(settings: Settings, family: str) -> tuple[str, ...]:
    return settings.queues if family == "queues" else settings.users


def filters(settings: Settings, lists: Lists) -> Iterator[Finding]:
    """Entries of `MIRROR_QUEUES` and `MIRROR_USERS` that match nothing in any client's list."""
    for family, by_client in lists.items():
        patterns = _patterns(settings, family)
        known = [found for found in by_client.values() if found is not None]
        if patterns == ("*",) or len(known) < len(by_client):
            continue
        name = f"MIRROR_{family.upper()}"
        entities = [entity for found in known for entity in found]
        useless = sorted(unmatched(entities, patterns))
        count, of = len(set(matching(entities, patterns))), _distinct(entities)
        if useless:
            yield bad(
                "genesys.filter",
                name,
                f"{', '.join(map(repr, useless))} matches nothing among {of} {family}, of which "
                f"the filter selects {count}",
                "correct the entry (an id, or a name with * as a glob), or grant the role in the "
                "division of what it means",
            )
        else:
            yield good("genesys.filter", family, f"{count} of {of} selected by {name}")


def _distinct(entities: list[Entity]) -> int:
    """The number of different entities; several clients may list the same one."""
    return len({entity.id for entity in entities})


def alone(lists: Lists) -> Iterator[Finding]:
    """Entities that only one of several OAuth clients sees: losing that client loses them."""
    for family, by_client in lists.items():
        known = {client: found for client, found in by_client.items() if found is not None}
        if len(known) < 2:
            continue
        if len(known) == len(by_client) and not any(known.values()):
            yield bad(
                "genesys.visible",
                f"Genesys {family}",
                "no OAuth client sees any",
                f"grant the role in the divisions that have them, or leave {family} out of "
                "MIRROR_SUBSCRIBE",
            )
        seen = Counter(entity.id for found in known.values() for entity in found)
        for client, found in known.items():
            own = sum(seen[entity.id] == 1 for entity in found)
            if own:
                yield doubtful(
                    "genesys.visible",
                    f"Genesys client {client} {family}",
                    f"{own} of {len(seen)} are seen by this client alone",
                    "both replicas of these are on channels of this client; grant the other "
                    "clients' role in their divisions, so that losing a client loses nothing",
                )


def _nothing(_answer: object) -> None:
    """Take any answer: its content does not matter."""


def _conversation(client: GenesysClient) -> None:
    """Read a conversation that cannot exist: a 404 shows that reading is allowed."""
    try:
        client.conversation(str(uuid.uuid4()))
    except GenesysError as error:
        if error.status != _NOT_FOUND:
            raise


def _cure(error: GenesysError) -> str:
    """The fix of a failed call: only a refusal is fixed in the role."""
    if isinstance(error, GenesysRefused):
        return f"{_ROLE} (docs/permissions.md)"
    return "see whether Genesys Cloud is well, and any proxy or gateway before it; then try again"


def visible(subject: str, kind: str, total: int, *, several: bool = False) -> Finding:
    """A finding on an empty list: with a role without divisions no call fails, and nothing is
    listed. With `several` clients one client may see less."""
    if total == 0 and several:
        return doubtful(
            "genesys.visible",
            f"{subject} {kind}",
            "none is visible",
            "grant its role in their divisions, if it should carry them too",
        )
    if total == 0:
        return bad(
            "genesys.visible",
            f"{subject} {kind}",
            "none is visible",
            f"grant the role in the divisions that have them, or leave {kind} out of "
            "MIRROR_SUBSCRIBE",
        )
    return good("genesys.visible", f"{subject} {kind}", f"{total} visible")


def _ahead(store: redis.Redis, keys: Keys, client_id: str) -> float | None:
    """Seconds of budget that were used in advance; None if Redis is away."""
    try:
        with explained():
            whole_at: Any = store.get(keys.rate(client_id))
            seconds, micros = store.time()
    except RedisUnavailable:
        return None
    now = int(seconds) + int(micros) / 1e6
    return max(0.0, float(whole_at or 0) / 1000 - now)


def rate(subject: str, ahead_s: float) -> Finding:
    """`ahead_s` seconds of budget are used in advance; beyond the burst every call waits."""
    per_call = 60 / RATE_PER_MINUTE
    wait = ahead_s - BURST * per_call
    told = f"{subject} rate"
    if wait > 0:
        return doubtful(
            "genesys.rate",
            told,
            f"spent: calls wait {wait:.0f} s, so nothing else was asked of this client",
            "after a 429 this is Genesys' Retry-After; else lower MIRROR_JANITOR_SHARE, or add an "
            "OAuth client",
        )
    left = BURST - round(ahead_s / per_call)
    return good("genesys.rate", told, f"{left} of {BURST} calls at once, {RATE_PER_MINUTE}/min")
