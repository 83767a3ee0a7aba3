"""Topic ids: the existing ones, their permissions, the meaning of combined ones (docs/protocol.md,
"Channels"). Pure."""

from __future__ import annotations

import re

import msgspec

MAX_TOPIC_LENGTH = 200
CONVERSATION_VIEW = "conversation:communication:view"
QUEUE_VIEW = "routing:queue:view"
#: Suffixes of the topics of one medium. Clients can subscribe to them, but they stay silent: nested
#: topics carry the same (docs/protocol.md, "Shapes").
MEDIUM_SUFFIXES = (
    "calls",
    "callbacks",
    "chats",
    "cobrowseSessions",
    "emails",
    "messages",
    "screenshares",
    "socialexpressions",
    "videos",
)
_MEDIA_SUFFIXES = "|".join(MEDIUM_SUFFIXES)
_DETAIL_SUFFIXES = (
    "acd.end|acd.start|acw|attributes|contact|customer.end|customer.start|flow.end|flow.outcome|"
    "flow.start|outbound|user.end|user.start|voicemail.end|voicemail.start|wrapup"
)


class TopicKind(msgspec.Struct, frozen=True):
    """A family of topics in `availabletopics`."""

    template: str
    description: str
    permissions: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ("id",)
    transports: tuple[str, ...] = ("All",)


def _kinds() -> list[TopicKind]:
    kinds = [
        TopicKind("v2.users.{id}.presence", "Presence of a user"),
        TopicKind("v2.users.{id}.routingStatus", "Routing status of a user"),
        TopicKind("v2.users.{id}.activity", "Presence and routing status of a user"),
        TopicKind("v2.users.{id}.station", "Station of a user"),
        TopicKind("v2.users.{id}.tokens", "Tokens of a user"),
        TopicKind("v2.users.{id}.conversationsummary", "Conversation counts of a user"),
        TopicKind("v2.routing.queues.{id}.users", "Members of a queue", (QUEUE_VIEW,)),
    ]
    for owner, needs in (
        ("users", (CONVERSATION_VIEW,)),
        ("routing.queues", (CONVERSATION_VIEW, QUEUE_VIEW)),
    ):
        base = f"v2.{owner}.{{id}}.conversations"
        kinds.append(TopicKind(base, f"Conversations of {owner}", needs))
        kinds += [
            TopicKind(f"{base}.{suffix}", f"Conversations: {suffix}", needs)
            for suffix in MEDIUM_SUFFIXES
        ]
    for suffix in _DETAIL_SUFFIXES.split("|"):
        template = f"v2.detail.events.conversation.{{id}}.{suffix}"
        kinds.append(TopicKind(template, f"Detail event {suffix}", (CONVERSATION_VIEW,)))
    return kinds


def _pattern(kind: TopicKind) -> re.Pattern[str]:
    escaped = re.escape(kind.template).replace(r"\{id\}", r"[^.?&\s]+")
    return re.compile(escaped + r"\Z", re.IGNORECASE)


TOPIC_KINDS: tuple[TopicKind, ...] = tuple(_kinds())
_PATTERNS = tuple((_pattern(kind), kind) for kind in TOPIC_KINDS)
_COMMON = re.compile(
    r"v2\.(users|routing\.queues)\.[^.?&\s]+\.conversations(\.(" + _MEDIA_SUFFIXES + r"))?\Z",
    re.IGNORECASE,
)
_BY_TEMPLATE = {kind.template.lower(): kind for kind in TOPIC_KINDS}


def kind_of(topic: str) -> TopicKind | None:
    """The family of a plain (not combined) topic id, or None if there is no such topic."""
    common = _COMMON.match(topic)
    if common is not None:  # the two big families first: a burst may have 50,000 of their topics
        template = f"v2.{common[1]}.{{id}}.conversations{common[2] or ''}"
        return _BY_TEMPLATE[template.lower()]
    for pattern, kind in _PATTERNS:
        if pattern.match(topic):
            return kind
    return None


def expand(topic: str) -> list[str] | None:
    """The plain topics of an id: the id itself, or `prefix.suffix` for each suffix of
    `prefix?s1&s2`.

    None if the id is too long or cannot be split.
    """
    if not topic or len(topic) > MAX_TOPIC_LENGTH:
        return None
    prefix, mark, rest = topic.partition("?")
    if not mark:
        return [topic]
    suffixes = rest.split("&")
    if not prefix or not all(suffixes):
        return None
    return [f"{prefix}.{suffix}" for suffix in suffixes]
