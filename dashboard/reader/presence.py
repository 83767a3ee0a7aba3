"""Agents' presence and routing status, from the topic of agents' states.

Only if that topic is mirrored (`agents` in `MIRROR_SUBSCRIBE`). The latest `occurred_at` of each
type is the state (docs/event.md, "Agents"). Bounded by `MOST_AGENTS`. Pure.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from mirror.conversation.agent_event import AgentEvent

MOST_AGENTS: Final = 200_000

_OFFLINE: Final = frozenset({"OFFLINE", "OFF_QUEUE"})


class Presences:
    """The latest states of each agent."""

    def __init__(self) -> None:
        self._latest: dict[tuple[str, str], tuple[str, str]] = {}

    def note(self, event: AgentEvent) -> None:
        """Take a state."""
        word = event.presence if event.event_type == "presence" else event.routing_status
        key = (event.event_type, event.user_id)
        known = self._latest.get(key)
        if word is None or (known is not None and known[0] > event.occurred_at):
            return
        if known is None and len(self._latest) >= 2 * MOST_AGENTS:
            return
        self._latest[key] = (event.occurred_at, word)

    def counts(self) -> dict[str, int]:
        """The number of agents by routing status; agents who get no conversations by presence."""
        found: Counter[str] = Counter()
        for (kind, user), (_, word) in self._latest.items():
            if kind == "routing_status" and word not in _OFFLINE:
                found[word] += 1
            elif kind == "presence":
                routing = self._latest.get(("routing_status", user))
                if routing is None or routing[1] in _OFFLINE:
                    found[word] += 1
        return dict(found)
