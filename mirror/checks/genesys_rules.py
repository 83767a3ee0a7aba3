"""Judges what Genesys Cloud shows to our OAuth clients. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final

from mirror.checks.finding import Finding, bad, doubtful, good
from mirror.genesys.filters import matching, unmatched
from mirror.genesys.rights import role_text
from mirror.genesys.shapes import AvailableTopic, Entity
from mirror.genesys.topics import QUEUE_TOPIC, USER_TOPIC, is_by_socket
from mirror.redis.rate import BURST, RATE_PER_MINUTE
from mirror.settings import Settings

AGENT_TOPICS: Final = ("v2.users.{id}.presence", "v2.users.{id}.routingStatus")
# Longer lists of queues or users are not read to the end: that would use up the request budget.
MOST_LISTED: Final = 5_000
_UNREAD: Final = (
    f"doctor compares no list of more than {MOST_LISTED:,}, none with entries that cannot be read, "
    "and none of a failing client"
)
ROLE_CURE: Final = f"give its role {role_text()}, in every division to be mirrored"

# Family → OAuth client → its list; None if unknown.
Lists = dict[str, dict[str, list[Entity] | None]]


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
            "another program uses this OAuth client: give it a client of its own",
        )
    if reserved is not None and held > reserved:
        return doubtful(
            "genesys.channels",
            told,
            f"{detail}, {held - reserved} of them not opened by this mirror",
            "channels of a killed process end within a day; if another program uses this OAuth "
            "client, give that program a client of its own",
        )
    if held == limit:
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
        if template.lower() not in known or not is_by_socket(known[template.lower()])
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


def rejected(refused: Mapping[str, str], called: Mapping[str, str]) -> Iterator[Finding]:
    """`refused` is the leader's note: topic → why Genesys refuses it; `called` has their names."""
    if not refused:
        return
    topic, reason = min(refused.items())
    yield bad(
        "genesys.topics",
        "topics refused",
        f"{len(refused)}, first {called.get(topic, topic)}: {reason}",
        f"{ROLE_CURE}; mirror rebalance asks again",
    )


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


def patterns_of(settings: Settings, family: str) -> tuple[str, ...]:
    """The filter of a family."""
    return settings.queues if family == "queues" else settings.users


def filters(settings: Settings, lists: Lists) -> Iterator[Finding]:
    """Entries of `MIRROR_QUEUES` and `MIRROR_USERS` that match nothing in any client's list."""
    for family, by_client in lists.items():
        patterns = patterns_of(settings, family)
        known = [found for found in by_client.values() if found is not None]
        if patterns == ("*",):
            continue
        name = f"MIRROR_{family.upper()}"
        entities = [entity for found in known for entity in found]
        useless = ", ".join(map(repr, sorted(unmatched(entities, patterns))))
        count, of = len(set(matching(entities, patterns))), _distinct(entities)
        is_whole = len(known) == len(by_client)
        if useless and not is_whole:
            yield doubtful(
                "genesys.filter",
                name,
                f"whether {useless} matches any of the {family} was not checked: {_UNREAD}",
                "start the mirror: `mirror status` names entries that match nothing",
            )
        elif useless:
            yield bad(
                "genesys.filter",
                name,
                f"{useless} matches none of {of} {family} (the whole filter selects {count})",
                f"correct it (an id, or a name; * stands for any text), or grant the role in the "
                f"division of these {family}",
            )
        elif is_whole:
            yield good("genesys.filter", family, f"{count} of {of} selected by {name}")
        else:
            yield good("genesys.filter", family, f"every entry of {name} matches")


def _distinct(entities: list[Entity]) -> int:
    """The number of different entities; several clients may list the same one."""
    return len({entity.id for entity in entities})


def alone(lists: Lists) -> Iterator[Finding]:
    """Entities that only one of several OAuth clients sees: losing that client loses them."""
    for family, by_client in lists.items():
        known = {client: found for client, found in by_client.items() if found is not None}
        if len(by_client) < 2:
            continue
        if len(known) < len(by_client):
            yield doubtful(
                "genesys.visible",
                f"Genesys {family}",
                f"which of them only one OAuth client sees was not checked: {_UNREAD}",
                "start the mirror: `mirror status` notes how many one client sees alone",
            )
            continue
        if not any(known.values()):
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
