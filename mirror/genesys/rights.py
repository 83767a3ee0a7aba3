"""The rights that the mirror needs in Genesys Cloud: the one table of which docs, doctor and the
simulator's default client speak (docs/permissions.md; a test compares them).

Every call that the mirror makes and that needs a permission stands here.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Right(msgspec.Struct, frozen=True):
    """A permission: as the API names it, as the admin pages do, and what needs it."""

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
