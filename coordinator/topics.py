"""The topics that the settings ask for. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from mirror.genesys.filters import matching
from mirror.genesys.shapes import AvailableTopic, Entity
from mirror.genesys.topics import QUEUE_TOPIC, USER_TOPIC, is_by_socket
from mirror.settings import Settings

# A topic with two suffixes of one id counts once (docs/protocol.md, "Channels").
AGENT_TOPIC: Final = "v2.users.{id}?presence&routingStatus"


def topics_of(settings: Settings, family: str, entities: Iterable[Entity]) -> frozenset[str]:
    """The topics of a family's wanted entities."""
    if family == "queues":
        return frozenset(QUEUE_TOPIC.format(id=id_) for id_ in matching(entities, settings.queues))
    wanted = matching(entities, settings.users)
    templates = [USER_TOPIC] if "users" in settings.families else []
    templates += [AGENT_TOPIC] if settings.agents else []
    return frozenset(template.format(id=id_) for template in templates for id_ in wanted)


def unavailable(settings: Settings, available: Iterable[AvailableTopic]) -> dict[str, str]:
    """Wanted topic template that is not available over WebSockets → reason."""
    known = {topic.id.lower(): topic for topic in available}
    templates = [QUEUE_TOPIC] if "queues" in settings.families else []
    templates += [USER_TOPIC] if "users" in settings.families else []
    reasons: dict[str, str] = {}
    for template in templates:
        topic = known.get(template.lower())
        if topic is None:
            reasons[template] = "Genesys does not list it"
        elif not is_by_socket(topic):
            reasons[template] = "not available over WebSockets"
    return reasons
