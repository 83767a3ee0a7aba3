"""What a topic name says: which kind of frame it brings, and the medium of a flat one.

Topic names are compared without regard to case, as Genesys' own clients do (docs/protocol.md,
"Topics").
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, Literal

from mirror.conversation.normaliser.words import MEDIA_OF_TOPIC

Kind = Literal["conversation", "channel", "system", "agent", "unknown"]

_CONVERSATIONS: Final = re.compile(
    r"v2\.(?:users|routing\.queues)\.[^.]+\.conversations(?:\.(?P<medium>[a-z]+))?"
)
_AGENT: Final = re.compile(r"v2\.users\.[^.]+\.(?:presence|routingstatus|activity)")
_EXPIRING: Final = "streaming-subscriptions-expiring"
_KNOWN_TOPICS: Final = 100_000  # a listener's own topics fit: 100 channels of 1,000


@lru_cache(maxsize=_KNOWN_TOPICS)
def classify(topic: str) -> tuple[Kind, str | None]:
    """The kind of frames that `topic` brings, and the medium where its shape is flat."""
    folded = topic.lower()
    match = _CONVERSATIONS.fullmatch(folded)
    if match is not None:
        word = match["medium"]
        if word is None:
            return "conversation", None
        return (
            ("conversation", MEDIA_OF_TOPIC[word]) if word in MEDIA_OF_TOPIC else ("unknown", None)
        )
    if folded == "channel.metadata":
        return "channel", None
    if folded.startswith("v2.system.") or folded == _EXPIRING:
        return "system", None
    if _AGENT.fullmatch(folded):
        return "agent", None
    return "unknown", None
