"""Finds the topics to mirror: queues and users over REST, filtered by ids and name globs.

A thread of its own, so that a slow Genesys holds up nothing. It offers its latest finding in
`topics`; a listing that fails leaves the last one in force. A finding that would drop more than
half of the topics is believed only when the next listing says the same: losing a division or a
permission looks just like an empty contact centre, and would close every channel.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import cycle
from typing import Final

from mirror.errors import GenesysError
from mirror.genesys.client import LARGE_PAGE, MAX_PAGES, SAFE_PAGE, GenesysClient
from mirror.genesys.shapes import AvailableTopic, Entity, EntityPage
from mirror.log import logger
from mirror.settings import Settings
from mirror.turns import Turned, unwatched

QUEUE_TOPIC: Final = "v2.routing.queues.{id}.conversations"
USER_TOPIC: Final = "v2.users.{id}.conversations"
# Two suffixes of one id in one topic count as one (genesys/README section 2.2).
AGENT_TOPIC: Final = "v2.users.{id}?presence&routingStatus"
RETRY_SECONDS: Final = 10.0
_BAD_REQUEST: Final = 400
_WEBSOCKET: Final = frozenset({"all", "websocket", "websockets"})  # AvailableTopic.transports

Topics = frozenset[str]


def matching(entities: Iterable[Entity], patterns: Sequence[str]) -> list[str]:
    """Ids of the entities whose id, or name by glob (case ignored), is among `patterns`."""
    if "*" in patterns:
        return [entity.id for entity in entities]
    exact = {pattern.lower() for pattern in patterns}
    globs = sorted(exact)
    return [
        entity.id
        for entity in entities
        if entity.id.lower() in exact
        or any(fnmatchcase(entity.name.lower(), pattern) for pattern in globs)
    ]


def topics_of(settings: Settings, queues: Iterable[Entity], users: Iterable[Entity]) -> Topics:
    """The topics of the wanted families."""
    topics: list[str] = []
    if "queues" in settings.families:
        topics += [QUEUE_TOPIC.format(id=one) for one in matching(queues, settings.queues)]
    wanted = matching(users, settings.users)
    if "users" in settings.families:
        topics += [USER_TOPIC.format(id=one) for one in wanted]
    if settings.agents:
        topics += [AGENT_TOPIC.format(id=one) for one in wanted]
    return frozenset(topics)


def believable(last: Topics | None, found: Topics, doubted: Topics | None) -> bool:
    """Whether to act on `found`: it keeps half of the `last`, or repeats what was `doubted`."""
    return not last or 2 * len(last & found) >= len(last) or found == doubted


def unavailable(settings: Settings, available: Iterable[AvailableTopic]) -> dict[str, str]:
    """Wanted topic templates that cannot be had over WebSockets → why."""
    known = {topic.id.lower(): topic for topic in available}
    templates = [QUEUE_TOPIC] if "queues" in settings.families else []
    templates += [USER_TOPIC] if "users" in settings.families else []
    reasons: dict[str, str] = {}
    for template in templates:
        topic = known.get(template.lower())
        if topic is None:
            reasons[template] = "Genesys does not list it"
        elif topic.transports and not _WEBSOCKET & {one.lower() for one in topic.transports}:
            reasons[template] = "not available over WebSockets"
    return reasons


class Discovery:
    """Lists queues and users every `MIRROR_DISCOVERY_INTERVAL` while `wanted` is set."""

    def __init__(
        self,
        settings: Settings,
        clients: Sequence[GenesysClient],
        turned: Turned = unwatched,
    ) -> None:
        self.topics: Topics | None = None
        self.error = ""
        self.permissions: dict[str, str] = {}  # topic template → what it needs, for messages
        self.wanted = threading.Event()
        self._settings = settings
        self._clients = cycle(clients)
        self._turned = turned
        self._doubted: Topics | None = None
        self._checked = False
        self._log = logger("coordinator.discovery")

    def run(self, stop: threading.Event) -> None:
        """List again and again until `stop` is set; errors are logged and kept in `error`."""
        while not stop.is_set():
            self._turned()
            if not self.wanted.wait(0.5):
                continue
            pause = self._settings.discovery_interval
            try:
                self.look()
                self.error = ""
            except GenesysError as error:
                if not stop.is_set():
                    self.error = str(error)
                    self._log.error("discovery_failed", error=error)
                pause = min(pause, RETRY_SECONDS)
            if self._doubted is not None:
                pause = min(pause, RETRY_SECONDS)
            self._turned(rest=pause)
            stop.wait(pause)

    def look(self) -> None:
        """List once. Raises `GenesysError`."""
        if not self._checked:
            self._check_templates()
        settings = self._settings
        queues = self._list("queues") if "queues" in settings.families else []
        users = self._list("users") if "users" in settings.families or settings.agents else []
        found = topics_of(settings, queues, users)
        if not believable(self.topics, found, self._doubted):
            self._doubted = found
            self._log.warning("discovery_doubted", topics=len(found), before=len(self.topics or ()))
            return
        self._doubted = None
        if found != self.topics:
            self._log.info(
                "discovered",
                topics=len(found),
                queues=len(queues),
                users=len(users),
                added=len(found - (self.topics or frozenset())),
                removed=len((self.topics or frozenset()) - found),
            )
        self.topics = found

    def _list(self, family: str) -> list[Entity]:
        """All pages, taking turns between OAuth clients: each has a request budget of its own."""
        entities: list[Entity] = []
        size, page = LARGE_PAGE, 1
        while page <= MAX_PAGES:
            self._turned()
            client = next(self._clients)
            try:
                listing: EntityPage = getattr(client, family)(page, size)
            except GenesysError as error:
                if error.status != _BAD_REQUEST or size == SAFE_PAGE or page > 1:
                    raise
                size = SAFE_PAGE
                continue
            entities += listing.entities
            if not listing.entities or (page >= listing.page_count and not listing.next_uri):
                break
            page += 1
        return list({entity.id: entity for entity in entities}.values())

    def _check_templates(self) -> None:
        """Warn of topics that this org does not have; never a reason not to try them."""
        available = next(self._clients).available_topics()
        for template, why in unavailable(self._settings, available).items():
            self._log.warning("topic_unavailable", topic=template, why=why)
        self.permissions = {
            topic.id.lower(): ", ".join(topic.requires_permissions or ()) for topic in available
        }
        self._checked = True
