"""The rights that the mirror needs in Genesys Cloud, for docs, doctor and the simulator alike.

Every call of the mirror that needs a permission stands in this table. A test compares it with
docs/permissions.md and with the simulator's default client.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Right(msgspec.Struct, frozen=True):
    """A permission: its names in the API and on the admin pages, and the calls that need it."""

    permission: str
    name: str
    needed_for: tuple[str, ...]


ROLE: Final = (
    Right(
        "conversation:communication:view",
        "Conversation > Communication > View",
        (
            "topics v2.routing.queues.{id}.conversations and v2.users.{id}.conversations",
            "GET /api/v2/conversations/{id}",
        ),
    ),
    Right(
        "routing:queue:view",
        "Routing > Queue > View",
        ("topics v2.routing.queues.{id}.conversations", "GET /api/v2/routing/queues"),
    ),
    Right(
        "analytics:conversationDetail:view",
        "Analytics > Conversation Detail > View",
        (
            "POST /api/v2/analytics/conversations/details/query",
            "GET /api/v2/analytics/conversations/details",
        ),
    ),
)


def role_text() -> str:
    """The names of the role's permissions, in a sentence."""
    *first, last = (right.name for right in ROLE)
    return f"{', '.join(first)} and {last}"
