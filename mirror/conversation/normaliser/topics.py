"""Classifies topic names: which kind of frame a topic brings.

Topic names are compared without regard to case, as Genesys' own clients do (docs/protocol.md,
"Topics"). Topics of a single medium (`….conversations.calls`) are not read: the nested topics carry
the same content.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

Kind = Literal["conversation", "channel", "system", "agent", "unknown"]

_CONVERSATIONS: Final = re.compile(r"v2\.(?:users|routing\.queues)\.[^.]+\.conversations")
_AGENT: Final = re.compile(r"v2\.users\.[^.]+\.(?:presence|routingstatus|activity)")
_EXPIRING: Final = "streaming-subscriptions-expiring"
_KNOWN_TOPICS: Final = 100_000  # a listener's own topics fit: 100 channels of 1,000


@lru_cache(maxsize=_KNOWN_TOPICS)
def classify(topic: str) -> Kind:
    """The kind of frames that `topic` brings."""
    folded = topic.lower()
    if _CONVERSATIONS.fullmatch(folded):
        return "conversation"
    if folded == "channel.metadata":
        return "channel"
    if folded.startswith("v2.system.") or folded == _EXPIRING:
        return "system"
    if _AGENT.fullmatch(folded):
        return "agent"
    return "unknown"
