"""The words of Genesys and ours, and how one becomes the other: every mapping table in one place.

Sources: names and enums of the classes in Genesys' public SDK (PureCloudPlatformClientV2 269.0.0):
`ConversationEventTopic*` for notifications, `Conversation` and its media for REST,
`AnalyticsSession` and `AnalyticsConversationSegment` for analytics, `*DetailEventTopic*` for detail
events. Tests compare the tables with a copy of those classes (tests/unit/normaliser/test_words.py).

Unknown words pass through unchanged: Genesys adds values without notice (docs/protocol.md,
"Words"). Purposes need no table: every surface spells them alike.
"""

from __future__ import annotations

from typing import Final

# The array of a participant in the nested shape → our medium. Field names as in Genesys'
# ConversationEventTopicParticipant; `cobrowsesessions` really is all lower case there.
MEDIA_OF_ARRAY: Final[dict[str, str]] = {
    "calls": "call",
    "callbacks": "callback",
    "chats": "chat",
    "emails": "email",
    "messages": "message",
    "internal_messages": "internal_message",
    "videos": "video",
    "screenshares": "screenshare",
    "cobrowse_sessions": "cobrowse",
    "social_expressions": "social_expression",
    "screen_monitorings": "screen_monitoring",
}

# The last word of a flat topic (`v2.users.{id}.conversations.calls`), lower-cased, → our medium.
MEDIA_OF_TOPIC: Final[dict[str, str]] = {
    "calls": "call",
    "callbacks": "callback",
    "chats": "chat",
    "emails": "email",
    "messages": "message",
    "internalmessages": "internal_message",
    "videos": "video",
    "screenshares": "screenshare",
    "cobrowsesessions": "cobrowse",
    "socialexpressions": "social_expression",
    "screenmonitorings": "screen_monitoring",
}

# `mediaType` of an analytics session, in lower case → our medium; `unknown` is left out.
MEDIA_OF_ANALYTICS: Final[dict[str, str]] = {
    "voice": "call",
    "callback": "callback",
    "chat": "chat",
    "email": "email",
    "message": "message",
    "internalmessage": "internal_message",
    "video": "video",
    "screenshare": "screenshare",
    "cobrowse": "cobrowse",
    "screenmonitoring": "screen_monitoring",
}

# Segments of an analytics session (`segmentType`) → the state of a leg whose last segment it is;
# all others, such as `interact`, `hold`, `ivr` and `voicemail`, are `connected`. In the ones of
# `WAITING_SEGMENTS` the leg was not yet talking to anybody.
STATE_OF_SEGMENT: Final[dict[str, str]] = {
    "alert": "alerting",
    "contacting": "contacting",
    "dialing": "dialing",
    "scheduled": "scheduled",
    "uploading": "uploading",
    "transmitting": "transmitting",
    "converting": "converting",
    "delay": "none",
    "unknown": "none",
    "parked": "parked",
}
WAITING_SEGMENTS: Final = frozenset(STATE_OF_SEGMENT) - {"parked"}
WRAPUP_SEGMENT: Final = "wrapup"
HOLD_SEGMENT: Final = "hold"

# `disconnected`: the other side is gone; `terminated`: torn down altogether, voice only. A leg
# may stay in the first for the rest of a call, so both are its end (docs/protocol.md, "Ends").
ENDED: Final = frozenset({"disconnected", "terminated"})
DIALING: Final = frozenset({"dialing", "contacting", "offering"})
ALERTING: Final = "alerting"
CONNECTED: Final = "connected"
PARKED: Final = "parked"
# In these a leg has not been answered, whatever times it carries.
UNANSWERED: Final = frozenset({*DIALING, ALERTING, "scheduled", "none"})

# Who can be transferred away and can hold: the legs of people.
STAFF: Final = frozenset({"agent", "user"})

# One spelling of disconnect types for all surfaces: that of notifications. REST says
# `donotdisturb`, analytics and metrics use camel case in two word orders, detail events capitals.
_DISCONNECT_TYPES: Final[dict[str, str]] = {
    "endpoint.donotdisturb": "endpoint.dnd",
    "transfer.donotdisturb": "transfer.dnd",
    "dndendpoint": "endpoint.dnd",
    "endpointdnd": "endpoint.dnd",
    "dndtransfer": "transfer.dnd",
    "transferdnd": "transfer.dnd",
    "conferencetransfer": "transfer.conference",
    "consulttransfer": "transfer.consult",
    "forwardtransfer": "transfer.forward",
    "noanswertransfer": "transfer.noanswer",
    "notavailabletransfer": "transfer.notavailable",
    "transportfailure": "transport.failure",
    "sessionexpired": "session.expired",
}
_PLAIN_DISCONNECT_TYPES: Final = frozenset(
    {"endpoint", "client", "system", "timeout", "transfer", "error", "peer", "other", "spam"}
    | {"uncallable", "inactivity", "takeover"}
)


def disconnect_type(word: str | None) -> str | None:
    """`word` in the spelling of notifications; unknown words unchanged, empty ones null."""
    if not word:
        return None
    folded = word.lower()
    if folded in _PLAIN_DISCONNECT_TYPES:
        return folded
    return _DISCONNECT_TYPES.get(folded.replace("_", ""), word)
