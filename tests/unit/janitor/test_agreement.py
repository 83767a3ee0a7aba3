"""Whether analytics names legs as REST does, seen where the janitor has both."""

from __future__ import annotations

import msgspec

from janitor.agreement import Agreement
from janitor.zombies.verdict import read_analytics
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.tracked import Tracked, TrackedLeg
from mirror.genesys.shapes import AnalyticsConversation


def rest(*legs: str) -> bytes:
    """A body whose agent has these calls."""
    calls = [{"id": leg, "state": "terminated"} for leg in legs]
    return msgspec.json.encode({"id": "c", "participants": [{"id": "p", "calls": calls}]})


def analytics(*sessions: str, end: str | None = None) -> AnalyticsConversation:
    """The same with these sessions."""
    segment = {
        "segmentType": "interact",
        "segmentStart": "2026-11-27T10:00:00.000Z",
        "segmentEnd": "2026-11-27T10:05:00.000Z",
        "disconnectType": "peer",
    }
    shown = [
        {"sessionId": session, "mediaType": "voice", "segments": [segment]} for session in sessions
    ]
    participants = [{"participantId": "p", "purpose": "agent", "sessions": shown}]
    raw = msgspec.Raw(msgspec.json.encode(participants))
    return AnalyticsConversation("c", "2026-11-27T10:00:00.000Z", end, raw)


def test_one_common_leg_is_agreement() -> None:
    """Analytics lags, and REST may show fewer legs."""
    agreement = Agreement()
    agreement.look(rest("a", "b"), analytics("b", "c"))
    assert agreement.holds


def test_other_names_are_seen() -> None:
    """Nothing of a participant that both show has the same name."""
    agreement = Agreement()
    agreement.look(rest("a"), analytics("x"))
    assert not agreement.holds
    agreement.look(rest("a"), analytics("a"))
    assert agreement.holds  # one odd conversation does not outweigh a sound one


def test_what_only_one_shows_says_nothing() -> None:
    """No legs, no word; nor has what is no JSON."""
    agreement = Agreement()
    agreement.look(rest(), analytics("x"))
    agreement.look(rest("a"), analytics())
    agreement.look(b"{", analytics("x"))
    assert agreement.holds


def test_with_other_names_only_the_end_of_analytics_counts() -> None:
    """Its legs would stand beside those of frames; the tracker's legs end when it says."""
    tracked = Tracked(0, [TrackedLeg("p", "a", "call", "agent", "u", state="connected")])
    end = "2026-11-27T10:06:00.000Z"
    told = read_analytics(analytics("x", end=end), tracked, Normaliser(), 0, by_legs=False)
    assert [(event.event_type, event.communication_id) for event in told] == [
        ("disconnect", "a"),
        ("end", None),
        ("finalize", None),
    ]
    assert {event.occurred_at for event in told} == {end}
