"""The mirrored topics (docs/protocol.md, "Topics"): families, templates, transports."""

from __future__ import annotations

from typing import Final

from mirror.genesys.shapes import AvailableTopic
from mirror.settings import Settings

QUEUE_TOPIC: Final = "v2.routing.queues.{id}.conversations"
USER_TOPIC: Final = "v2.users.{id}.conversations"
_WEBSOCKET: Final = frozenset({"all", "websocket", "websockets"})


def families_of(settings: Settings) -> tuple[str, ...]:
    """The families to list."""
    users = "users" in settings.families or settings.agents
    return (*(["queues"] if "queues" in settings.families else []), *(["users"] if users else []))


def plain(topic: str) -> tuple[str, ...]:
    """The topics that a combined one (`a.b?c&d`) stands for, or the topic itself, in lower case.

    Genesys does not say under which of these names it lists a combined topic (docs/protocol.md,
    "Channels").
    """
    prefix, mark, suffixes = topic.lower().partition("?")
    return tuple(f"{prefix}.{suffix}" for suffix in suffixes.split("&")) if mark else (prefix,)


def is_of_conversations(topic: str) -> bool:
    """Whether a topic brings conversations of a queue or a user, and not the states of a user."""
    return topic.lower().endswith(".conversations")


def is_by_socket(topic: AvailableTopic) -> bool:
    """Whether the topic is available over WebSocket. A topic without transports has all of them."""
    return bool(_WEBSOCKET & {name.lower() for name in topic.transports or ("all",)})
