"""Builds conversations as Genesys would show them, in each of its shapes.

`World` is the truth of one conversation: tests let things happen to it, and render snapshots.
"""

from __future__ import annotations

import copy
from typing import Any

import msgspec

from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView, fold
from mirror.conversation.normaliser import Normaliser, Reading
from mirror.conversation.normaliser.words import MEDIA_OF_ARRAY
from mirror.conversation.times import show_epoch

EPOCH = 1_795_000_000
ARRAY = {
    medium: {
        "internal_messages": "internalMessages",
        "cobrowse_sessions": "cobrowsesessions",
        "social_expressions": "socialExpressions",
        "screen_monitorings": "screenMonitorings",
    }.get(array, array)
    for array, medium in MEDIA_OF_ARRAY.items()
}
FLAT_TOPIC = {
    "call": "calls",
    "callback": "callbacks",
    "chat": "chats",
    "email": "emails",
    "message": "messages",
    "video": "videos",
    "screenshare": "screenshares",
    "cobrowse": "cobrowseSessions",
    "social_expression": "socialexpressions",
}
REST_DISCONNECT = {"endpoint.dnd": "endpoint.donotdisturb", "transfer.dnd": "transfer.donotdisturb"}


def at(ms: int) -> str:
    """A time `ms` milliseconds into the test."""
    return show_epoch(EPOCH + ms / 1000)


def frame(body: dict[str, Any], topic: str = "v2.users.u-1.conversations") -> bytes:
    """A notification of `body`."""
    envelope = {"topicName": topic, "version": "2", "eventBody": body}
    return msgspec.json.encode({**envelope, "metadata": {"CorrelationId": "corr-1"}})


def leg(state: str = "connected", **fields: Any) -> dict[str, Any]:
    """A communication."""
    return {"id": "comm-1", "state": state, "direction": "inbound", **fields}


def participant(
    *legs: dict[str, Any], medium: str = "call", participant_id: str = "p-1", **fields: Any
) -> dict[str, Any]:
    """An agent with its communications of one medium, or another participant by `fields`."""
    shown: dict[str, Any] = {"id": participant_id, "purpose": "agent", "userId": "u-1", **fields}
    if legs:
        shown[ARRAY[medium]] = list(legs)
    return shown


def conversation(*participants: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A conversation body."""
    return {"id": "c-1", "participants": list(participants), **fields}


def flat_frame(word: str, *participants: dict[str, object], others: tuple[str, ...] = ()) -> bytes:
    """A frame of a flat topic."""
    uris = [f"/api/v2/conversations/{other}/c-1" for other in others]
    return frame(
        conversation(*participants, otherMediaUris=uris), f"v2.users.u-1.conversations.{word}"
    )


class Reader:
    """A normaliser with a clock: each reading is a second after the one before."""

    def __init__(self, normaliser: Normaliser | None = None) -> None:
        self.normaliser = normaliser or Normaliser()
        self.seconds = 1_000

    def read(self, raw: bytes) -> Reading:
        """Read a frame."""
        self.seconds += 1
        return self.normaliser.frame(raw, at(self.seconds * 1000), float(self.seconds))

    def frame(self, *participants: dict[str, Any], **fields: Any) -> list[Event]:
        """Events of a nested frame with these participants."""
        reading = self.read(frame(conversation(*participants, **fields)))
        assert reading.problem is None
        return reading.events

    def rest(self, *participants: dict[str, Any], **fields: Any) -> list[Event]:
        """Events of a REST body with these participants."""
        self.seconds += 1
        raw = msgspec.json.encode(conversation(*participants, **fields))
        reading = self.normaliser.conversation(raw, at(self.seconds * 1000), float(self.seconds))
        assert reading.problem is None
        return reading.events


def types(events: list[Event], *, snapshots: bool = False) -> list[str]:
    """What happened, without snapshot readings unless asked for."""
    return [e.event_type for e in events if snapshots or e.origin != "snapshot"]


def folded(log: list[Event], view: ConversationView | None = None) -> ConversationView:
    """A consumer's view of the conversation after all of a log, which may follow on a `view`."""
    for event in log:
        view = fold(view, event)
    assert view is not None
    return view


def only(events: list[Event], event_type: str) -> Event:
    """The one event of a type that is no snapshot reading."""
    (event,) = [e for e in events if e.event_type == event_type and e.origin != "snapshot"]
    return event


class World:
    """One conversation as it really is.

    A participant with legs of two media (a callback, and the call that it dialled) stands in
    `participants` once for each, under one id. After-call work stands with the first.
    """

    def __init__(self) -> None:
        self.ms = 0
        self.participants: list[dict[str, Any]] = []

    def tick(self, ms: int) -> str:
        """Let time pass; gives the new time."""
        self.ms += ms
        return at(self.ms)

    def join(self, purpose: str, medium: str, state: str, of: str | None = None) -> None:
        """A participant enters with a leg, or the one whose id is `of` gets one more.

        `connected` ones have their time at once.
        """
        index = len(self.participants)
        new = {"state": state, "held": False, "direction": "inbound", "id": f"comm-{index}"}
        if state == "connected":
            new["connectedTime"] = at(self.ms)
        self.participants.append(
            {"id": of or f"p-{index}", "purpose": purpose, "medium": medium, "leg": new}
        )

    def snapshot(self) -> World:
        """The world as it is now, for rendering later."""
        return copy.deepcopy(self)

    @property
    def media(self) -> set[str]:
        """The media of all legs."""
        return {p["medium"] for p in self.participants}

    @property
    def over(self) -> bool:
        """Whether all legs ended."""
        return all(p["leg"]["state"] in {"disconnected", "terminated"} for p in self.participants)

    def nested(self, topic: str = "v2.users.u-1.conversations") -> bytes:
        """A frame of the nested shape, whose participants connect a little before their legs."""
        return frame({"id": "c-1", "participants": self._nested()}, topic)

    def flat(self, medium: str, topic: str = "v2.users.u-1.conversations") -> bytes:
        """A frame of the flat shape: the legs of one medium, without communication ids."""
        shown = []
        for p in self.participants:
            if p["medium"] != medium:
                continue
            one = {k: v for k, v in p["leg"].items() if k not in {"id", "disconnectedTime"}}
            if "disconnectedTime" in p["leg"]:
                one["endTime"] = p["leg"]["disconnectedTime"]
            one |= {"id": p["id"], "purpose": p["purpose"], "user": {"id": "u-1"}, "queue": {}}
            one |= self._after_call(p["id"])
            shown.append(one)
        others = [
            f"/api/v2/conversations/{FLAT_TOPIC[other]}/c-1"
            for other in sorted(self.media - {medium})
        ]
        body = {"id": "c-1", "participants": shown, "otherMediaUris": others}
        return frame(body, f"{topic}.{FLAT_TOPIC[medium]}")

    def rest(self) -> bytes:
        """A body of `GET /conversations/{id}`."""
        body: dict[str, Any] = {"id": "c-1", "startTime": at(0), "participants": self._nested()}
        for shown in body["participants"]:
            for one in (leg for medium in self.media for leg in shown.get(ARRAY[medium], ())):
                one["segments"] = []
                if "disconnectType" in one:
                    kind = one["disconnectType"]
                    one["disconnectType"] = REST_DISCONNECT.get(kind, kind)
        if self.over:
            body["endTime"] = max(p["leg"]["disconnectedTime"] for p in self.participants)
        return msgspec.json.encode(body)

    def _after_call(self, participant_id: str) -> dict[str, Any]:
        found = next(p for p in self.participants if p["id"] == participant_id)
        return {key: found[key] for key in ("startAcwTime", "wrapup") if key in found}

    def _nested(self) -> list[dict[str, Any]]:
        people: dict[str, dict[str, Any]] = {}
        for p in self.participants:
            one = copy.deepcopy(p["leg"])
            shown = people.setdefault(
                p["id"], {"id": p["id"], "purpose": p["purpose"], "userId": "u-1"}
            )
            shown.setdefault(ARRAY[p["medium"]], []).append(one)
            shown |= self._after_call(p["id"])
            if "connectedTime" in one:
                shown.setdefault("connectedTime", one["connectedTime"][:-4] + "000Z")
        for shown in people.values():
            legs = [p["leg"] for p in self.participants if p["id"] == shown["id"]]
            if all("disconnectedTime" in one for one in legs):
                shown["endTime"] = max(one["disconnectedTime"] for one in legs)
        return list(people.values())
