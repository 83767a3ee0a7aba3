"""The mapping tables against the words that Genesys' own classes have.

`tests/schemas/genesys.json` is that part of the public SDK's model; a table that misses one of its
words, or has one that no class knows, fails here.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from mirror.conversation.normaliser import words
from mirror.conversation.schema import MEDIA
from tests import schemas

NOTIFICATION = "ConversationEventTopic"  # nested: all others have the same words or fewer
MODEL_MEDIA = {
    "call": "Call",
    "callback": "Callback",
    "chat": "ConversationChat",
    "email": "Email",
    "message": "Message",
    "internal_message": "InternalMessage",
    "video": "Video",
    "screenshare": "Screenshare",
    "cobrowse": "Cobrowsesession",
    "social_expression": "SocialExpression",
    "screen_monitoring": "ScreenMonitoring",
}


def enum(class_name: str, field: str) -> set[str]:
    """The words of a field, none where it is free text or missing."""
    facts = schemas.fields_of(class_name).get(field, "str")
    return set(facts.get("enum", ())) if isinstance(facts, dict) else set()


def notified(field: str) -> set[str]:
    """The words of a field in all classes of notifications."""
    names = {kind for name in schemas.topics().values() for kind in _reached(name, set())}
    return {word for name in names for word in enum(name, field)}


def _reached(class_name: str, seen: set[str]) -> set[str]:
    if class_name in seen or not schemas.has_class(class_name):
        return seen
    seen.add(class_name)
    for facts in schemas.fields_of(class_name).values():
        kind = facts if isinstance(facts, str) else facts["type"]
        for inner in re.findall(r"\w+", kind):
            _reached(inner, seen)
    return seen


def arrays() -> dict[str, str]:
    """Array of a nested participant → class of its communications."""
    found = {}
    for name, facts in schemas.fields_of(f"{NOTIFICATION}Participant").items():
        kind = facts if isinstance(facts, str) else facts["type"]
        inner = re.fullmatch(r"list\[(\w+)\]", kind)
        if inner and schemas.has_class(inner[1]) and "state" in schemas.fields_of(inner[1]):
            found[name] = inner[1]
    return found


def test_every_array_of_communications_is_a_medium() -> None:
    """And no other; the schema of the event has exactly their media."""
    known = {name.replace("_", "").lower() for name in words.MEDIA_OF_ARRAY}
    assert {name.lower() for name in arrays()} == known
    assert set(words.MEDIA_OF_ARRAY.values()) == set(MEDIA)


def test_every_medium_of_analytics_has_a_name() -> None:
    """All but `unknown`."""
    known = enum("AnalyticsSession", "mediaType")
    assert set(words.MEDIA_OF_ANALYTICS) == known - {"unknown"}
    assert set(words.MEDIA_OF_ANALYTICS.values()) <= set(MEDIA)


def test_every_state_is_told_apart() -> None:
    """Ended, dialing, ringing, connected, parked, or one in which nothing is told yet."""
    told = words.ENDED | words.DIALING | words.UNANSWERED | {words.CONNECTED, words.PARKED}
    busy = {"uploading", "converting", "transmitting"}  # answered where they carry a time
    states = {state for kind in arrays().values() for state in enum(kind, "state")}
    assert states
    assert states <= told | busy
    assert told | busy <= states | {"none"}


@pytest.mark.parametrize("medium", sorted(MODEL_MEDIA))
def test_rest_spells_disconnect_types_into_those_of_notifications(medium: str) -> None:
    """Every word of each medium's REST class."""
    rest = enum(MODEL_MEDIA[medium], "disconnectType")
    assert rest
    assert {words.disconnect_type(word) for word in rest} <= notified("disconnectType")


def test_analytics_spells_disconnect_types_into_those_of_notifications() -> None:
    """Camel case, in two word orders."""
    spoken = notified("disconnectType")
    told = {
        words.disconnect_type(word)
        for word in enum("AnalyticsConversationSegment", "disconnectType")
    }
    assert told == spoken
    assert {words.disconnect_type(word) for word in spoken} == spoken


def test_segments_are_known() -> None:
    """Each has a state, is a hold or a wrap-up, or is time spent connected."""
    known = enum("AnalyticsConversationSegment", "segmentType")
    connected = {"barging", "callback", "coaching", "interact", "ivr", "monitoring"}
    connected |= {"screenmonitoring", "sharing", "system", "voicemail"}
    named: set[Any] = {*words.STATE_OF_SEGMENT, words.HOLD_SEGMENT, words.WRAPUP_SEGMENT}
    assert known == named | connected
    assert set(words.STATE_OF_SEGMENT.values()) <= {
        state for kind in arrays().values() for state in enum(kind, "state")
    }
