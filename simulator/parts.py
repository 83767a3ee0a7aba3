"""The parts of a conversation: participants, their legs, after-call work, codes. Plain data.

Each field can be seen in frames, REST or analytics, unless its comment says otherwise. Times are
Genesys milliseconds.
"""

from __future__ import annotations

from typing import Any

import msgspec

DIAL_STATES = frozenset({"dialing", "contacting", "offering"})
#: Purposes of people of the org; only their answered legs can be left by a `transfer` event.
STAFF_PURPOSES = frozenset({"agent", "user"})
#: The participant's array of each medium in nested shapes
#: (docs/protocol.md, "Shapes").
NESTED_ARRAY = {
    "call": "calls",
    "callback": "callbacks",
    "chat": "chats",
    "cobrowse": "cobrowsesessions",
    "email": "emails",
    "message": "messages",
    "internal_message": "internalMessages",
    "screen_monitoring": "screenMonitorings",
    "screenshare": "screenshares",
    "social_expression": "socialExpressions",
    "video": "videos",
}
PROVIDER = {
    "call": "Edge",
    "callback": "PureCloud Callback",
    "chat": "PureCloud Webchat v2",
    "email": "PureCloud Email",
    "message": "PureCloud Messaging",
}
DEFAULT_PROVIDER = "PureCloud"
#: Media whose communications have a `direction` in notifications; frames of others have none.
DIRECTED_MEDIA = frozenset({"call", "callback", "email", "message"})
#: States of after-call work that does not take place, whatever its times.
NO_WORK = frozenset({"skipped", "notApplicable"})
#: The medium in which a supervisor watches a screen. It names the watched user, no participant.
SCREEN = "screen_monitoring"
#: The order of a participant's legs in its array: oldest first, newest first, only the newest.
APPEND, NEWEST_FIRST, REPLACE = "append", "newest_first", "replace"


class Span(msgspec.Struct):
    """A stretch of a leg, for REST segments and analytics. `kind` has analytics' spelling."""

    kind: str
    start_ms: int
    end_ms: int | None = None
    queue_id: str | None = None


class AfterCallWork(msgspec.Struct):
    """After-call work of one leg: pending, complete, skipped, notApplicable or unknown."""

    state: str
    start_ms: int | None = None
    end_ms: int | None = None


class Wrapup(msgspec.Struct):
    """A chosen wrap-up code. Without `end_ms` it is provisional."""

    code: str
    name: str
    end_ms: int | None = None
    seconds: int = 0
    notes: str | None = None


class Leg(msgspec.Struct, kw_only=True):
    """A communication of a participant."""

    id: str
    media: str
    state: str
    initial_state: str
    direction: str | None
    provider: str
    started_ms: int
    #: The queue while the leg lives; frames show only the participant's latest.
    queue_id: str | None = None
    peer_id: str | None = None
    alerting_ms: int | None = None
    connected_ms: int | None = None
    ended_ms: int | None = None
    disconnect_type: str | None = None
    held: bool = False
    hold_ms: int | None = None
    confined: bool = False
    muted: bool = False
    barged_ms: int | None = None
    #: `parkTime` and `resumeTime` as shown. `resumeTime` is the planned end of the park.
    park_ms: int | None = None
    resume_ms: int | None = None
    #: When the present park, or the last one, truly began; not shown.
    parked_ms: int | None = None
    acw_required: bool = False
    acw: AfterCallWork | None = None
    #: The chosen codes in their order; frames show the latest.
    wrapups: list[Wrapup] = msgspec.field(default_factory=list)
    #: Where they are shown: on the communication, its participant, or both.
    wrapup_on: str = "both"
    transfer_source: str | None = None
    #: Further fields of the medium, in nested spelling and ready for JSON.
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    spans: list[Span] = msgspec.field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether the leg has ended."""
        return self.ended_ms is not None

    @property
    def wrapup(self) -> Wrapup | None:
        """The latest code."""
        return self.wrapups[-1] if self.wrapups else None

    @property
    def working(self) -> bool:
        """Whether after-call work of this leg is under way."""
        acw = self.acw
        return (
            acw is not None
            and acw.state not in NO_WORK
            and acw.start_ms is not None
            and acw.end_ms is None
        )

    def turn(self, kind: str, now: int) -> None:
        """Close the running span and begin another."""
        if self.spans and self.spans[-1].end_ms is None:
            self.spans[-1].end_ms = now
        self.spans.append(Span(kind, now, queue_id=self.queue_id))


class Role(msgspec.Struct, frozen=True):
    """The role of a leg that does not serve: monitor, coach, barge or consult, and its target."""

    name: str
    participant_id: str | None


class Participant(msgspec.Struct, kw_only=True):
    """A party. A re-alert or a transfer back makes a new participant, with messages not always."""

    id: str
    purpose: str
    started_ms: int
    name: str | None = None
    address: str | None = None
    user_id: str | None = None
    queue_id: str | None = None
    connected_ms: int | None = None
    ended_ms: int | None = None
    wrapup_required: bool = False
    wrapup_prompt: str | None = None
    wrapup_timeout_ms: int | None = None
    alerting_timeout_ms: int | None = None
    consult_participant_id: str | None = None
    #: Whether this participant began a consult. Only an attribute shows it, and not in every org.
    consult_initiator: bool = False
    #: Whether this one was consulted and the consult was cancelled; never shown.
    consulted_in_vain: bool = False
    monitored_id: str | None = None
    coached_id: str | None = None
    barged_id: str | None = None
    routing: dict[str, Any] | None = None
    media_roles: list[str] | None = None
    attributes: dict[str, str] = msgspec.field(default_factory=dict)
    #: All legs, oldest first; `order` says how frames show them.
    legs: list[Leg] = msgspec.field(default_factory=list)
    order: str = APPEND

    @property
    def handled(self) -> Leg | None:
        """The leg whose after-call work the participant shows: the newest of its first medium.

        The call that a callback dials is of another medium and has none.
        """
        media = self.legs[0].media if self.legs else None
        return next((leg for leg in reversed(self.legs) if leg.media == media), None)

    @property
    def role(self) -> Role | None:
        """The present words of frames for this participant's role."""
        for name, target in (
            ("barge", self.barged_id),
            ("coach", self.coached_id),
            ("monitor", self.monitored_id),
        ):
            if target is not None:
                return Role(name, target)
        consults = self.purpose in STAFF_PURPOSES and not self.consult_initiator
        if consults and self.consult_participant_id is not None:
            return Role("consult", self.consult_participant_id)
        if any(leg.media == SCREEN for leg in self.legs):
            return Role("monitor", None)
        return None

    def array(self, media: str, whole: bool = False) -> list[Leg]:
        """The legs of a medium in a frame, in its order. REST has all of them (`whole`)."""
        legs = [leg for leg in self.legs if leg.media == media]
        if self.order == NEWEST_FIRST:
            return legs[::-1]
        return legs[-1:] if self.order == REPLACE and not whole else legs

    def media(self) -> list[str]:
        """The media of its legs, each once."""
        return list(dict.fromkeys(leg.media for leg in self.legs))

    def shows(self, leg: Leg) -> bool:
        """Whether frames still have the leg. With `replace`, a later leg has taken its place."""
        return any(shown is leg for shown in self.array(leg.media))
