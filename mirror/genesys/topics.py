"""Templates of the mirrored notification topics (docs/protocol.md, "Topics")."""

from __future__ import annotations

from typing import Final

QUEUE_TOPIC: Final = "v2.routing.queues.{id}.conversations"
USER_TOPIC: Final = "v2.users.{id}.conversations"
