"""The library that all processes of interaction mirror share, and that consumers of its topics
import.

    from mirror import ConversationView, Event, fold

`Event` is the record of the interaction topic, `fold` takes one into the view of its conversation
(docs/event.md), and `event_schema` is its JSON Schema. `PublishedView` is the record of the
topic of conversations (docs/projector.md), and `view_schema` its JSON Schema. Imports nothing
from the packages above it (`listeners`, `coordinator`, `janitor`, `projector`, `dashboard`,
`simulator`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mirror.conversation.agent_event import AgentEvent
    from mirror.conversation.event import Event
    from mirror.conversation.fold import ConversationView, LegView, fold
    from mirror.conversation.published import PublishedLeg, PublishedView
    from mirror.conversation.schema import agent_event_schema, event_schema, view_schema

__all__ = [
    "AgentEvent",
    "ConversationView",
    "Event",
    "LegView",
    "PublishedLeg",
    "PublishedView",
    "agent_event_schema",
    "event_schema",
    "fold",
    "view_schema",
]

__version__ = "0.2.0"

_HOMES = {
    "AgentEvent": "agent_event",
    "PublishedView": "published",
    "ConversationView": "fold",
    "Event": "event",
    "PublishedLeg": "published",
    "LegView": "fold",
    "agent_event_schema": "schema",
    "event_schema": "schema",
    "fold": "fold",
    "view_schema": "schema",
}


def __getattr__(name: str) -> Any:
    """The public names, imported at their first use: `mirror --help` must not wait for them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"mirror.conversation.{_HOMES[name]}"), name)
