"""Maps Genesys' words to ours: every mapping table in one place.

Sources: names and enums of the classes in Genesys' public SDK (PureCloudPlatformClientV2 269.0.0):
`ConversationEventTopic*` for notifications, `Conversation` and its media for REST,
`AnalyticsSession` and `AnalyticsConversationSegment` for analytics, `*DetailEventTopic*` for detail
events. Tests compare the tables with a copy of those classes
(tests/unit/conversation/test_words.py).

Unknown words pass through unchanged: Genesys adds values without notice (docs/protocol.md,
"Words"). Purposes need no table: every surface spells them alike.
"""

from __future__ import annotations

from typing import Final

# The array of a participant → our medium. Field names as in Genesys'
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

# `mediaType` of an analytics session, in lower case → our medium; without `unknown`.
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

# Type of a leg's last segment in analytics (`segmentType`) → the leg's state. All other types, such
# as `interact`, `hold`, `ivr` and `voicemail`, mean `connected`. During `WAITING_SEGMENTS` the leg
# was not yet connected to anybody; `system` precedes the answer by 10 to 250 ms (docs/protocol.md,
# "Segments").
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
    "system": "none",
    "parked": "parked",
}
WAITING_SEGMENTS: Final = frozenset(STATE_OF_SEGMENT) - {"parked"}
# Types of segments in lower case for comparison: REST capitalises them.
ALERT_SEGMENT: Final = "alert"
HOLD_SEGMENT: Final = "hold"
WRAPUP_SEGMENT: Final = "wrapup"

# `disconnected`: the other side is gone; `terminated`: torn down altogether, voice only. A leg
# may stay in the first for the rest of a call, so both are its end (docs/protocol.md, "Ends").
ENDED: Final = frozenset({"disconnected", "terminated"})
DIALING: Final = frozenset({"dialing", "contacting", "offering"})
ALERTING: Final = "alerting"
CONNECTED: Final = "connected"
PARKED: Final = "parked"
# A leg in these states has not been answered, whatever times it carries.
UNANSWERED: Final = frozenset({*DIALING, ALERTING, "scheduled", "uploading", "converting", "none"})

# A voicemail box carries the id of its user, but is no agent.
VOICEMAIL: Final = "voicemail"

# In these states there is no after-call work, whatever times stand beside it.
NO_AFTER_CALL_WORK: Final = frozenset({"skipped", "notApplicable"})
AFTER_CALL_WORK_DONE: Final = "complete"

# Disconnect types of a leg that goes on in another conversation, and of a consultation's leg.
MERGED: Final = "transfer.conference"
CONSULTED: Final = "transfer.consult"

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
    """`word` in the spelling of notifications; unknown words unchanged, empty ones None."""
    if not word:
        return None
    if word in _PLAIN_DISCONNECT_TYPES:
        return word
    folded = word.lower()
    if folded in _PLAIN_DISCONNECT_TYPES:
        return folded
    return _DISCONNECT_TYPES.get(folded.replace("_", ""), word)
