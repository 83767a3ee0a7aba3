"""The truth of one conversation, and how Genesys would show it: in frames, REST and analytics.

Tests let things happen to a `World` and render snapshots of it. What a consumer must see in the
end, the world itself knows: `Leg` has the truth of a communication, not what a frame shows.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Literal

import msgspec

from mirror.conversation.normaliser.words import MEDIA_OF_ANALYTICS
from tests.unit.conversation.build import ARRAY, at, frame

USER = "v2.users.u-1.conversations"
QUEUE = "v2.routing.queues.q-1.conversations"
REST_DISCONNECT = {"endpoint.dnd": "endpoint.donotdisturb", "transfer.dnd": "transfer.donotdisturb"}
ANALYTICS_MEDIUM = {medium: word for word, medium in MEDIA_OF_ANALYTICS.items()}
STAFF = ("agent", "user")
_DATE = re.compile(r"'?2026-11-18T11:06:(\d\d)\.(\d\d\d)Z'?")
PLANNED_MS = 10**9  # when whoever parks means to go on, long after the end of every test

Order = Literal["append", "newest first", "replace"]
Keys = Literal["kept", "gone"]
Work = Literal["communication", "participant", "both"]
RoleName = Literal["monitor", "coach", "barge", "consult"]
ROLE_KEYS = {
    "monitor": "monitoredParticipantId",
    "coach": "coachedParticipantId",
    "barge": "bargedParticipantId",
}


class Leg(msgspec.Struct, kw_only=True):
    """One communication. Times are RFC 3339; `codes` are the saved ones with when, the latest last.

    `parks` and `holds` are all of them, from and until when.
    """

    id: str
    medium: str
    state: str
    began: str
    queue_id: str | None = None
    connected: str | None = None
    ended_at: str | None = None
    kind: str | None = None
    holds: list[tuple[str, str | None]] = []
    parks: list[tuple[str, str | None]] = []
    acw: Literal["none", "skipped", "working", "done"] = "none"
    acw_from: str | None = None
    acw_until: str | None = None
    codes: list[tuple[str, str | None]] = []

    def __repr__(self) -> str:
        """What is not as usual, for the report of a failing example."""
        return _short(self, self.id, self.medium, self.state)

    @property
    def over(self) -> bool:
        """Whether it ended."""
        return self.state in {"disconnected", "terminated"}

    @property
    def held_since(self) -> str | None:
        """The start of the hold that lasts."""
        return self.holds[-1][0] if self.holds and self.holds[-1][1] is None else None

    @property
    def parked_at(self) -> str | None:
        """The start of the park that lasts."""
        return self.parks[-1][0] if self.state == "parked" else None

    @property
    def talks(self) -> bool:
        """Whether it is connected and neither held nor parked."""
        return self.state == "connected" and self.held_since is None


class Person(msgspec.Struct, kw_only=True):
    """A participant with its communications in the order in which they began."""

    id: str
    purpose: str
    legs: list[Leg] = []
    role: RoleName | None = None
    on: str | None = None
    consults: bool = False

    def __repr__(self) -> str:
        """What is not as usual, for the report of a failing example."""
        return "\n    " + _short(self, self.id, self.purpose)

    @property
    def leg(self) -> Leg:
        """The latest communication."""
        return self.legs[-1]

    @property
    def over(self) -> bool:
        """Whether all of its communications ended."""
        return all(leg.over for leg in self.legs)


class World(msgspec.Struct, kw_only=True):
    """One conversation as it really is, and which of Genesys' undocumented ways it shows it in.

    `order` is that of a participant's communications in their array; with `replace` only the latest
    of a medium stands there. `keys` says what parks do with `parkTime` when they are over, `work`
    where after-call work stands, `lingers` whether a participant shows that of an earlier
    communication until the next one has its own, `marked` whether who consults has the attribute
    that says so.
    """

    medium: str
    order: Order = "append"
    keys: Keys = "kept"
    work: Work = "both"
    lingers: bool = False
    marked: bool = True
    ms: int = 0
    people: list[Person] = []

    def tick(self, ms: int) -> str:
        """Let time pass; gives the new time."""
        self.ms += ms
        return at(self.ms)

    def join(self, purpose: str, state: str, queue_id: str | None = None) -> Person:
        """A participant enters with a communication; connected ones have their time at once."""
        person = Person(id=f"p-{len(self.people)}", purpose=purpose)
        self.people.append(person)
        self.ring(person, self.medium, state, queue_id)
        return person

    def ring(self, person: Person, medium: str, state: str, queue_id: str | None) -> None:
        """A participant gets one more communication."""
        number = sum(len(person.legs) for person in self.people)
        now = at(self.ms)
        person.legs.append(
            Leg(
                id=f"comm-{number}",
                medium=medium,
                state=state,
                began=now,
                queue_id=queue_id,
                connected=now if state == "connected" else None,
            )
        )

    def snapshot(self) -> World:
        """The world as it is now, for rendering later."""
        return copy.deepcopy(self)

    @property
    def over(self) -> bool:
        """Whether all communications ended."""
        return all(person.over for person in self.people)

    @property
    def customer(self) -> Person:
        """Who called."""
        return self.people[0]

    def shown(self, person: Person) -> list[Leg]:
        """The communications of a participant that frames and REST show, in their order."""
        if self.order == "append":
            return person.legs
        newest = person.legs[::-1]
        if self.order == "newest first":
            return newest
        media = {leg.medium: leg for leg in person.legs}
        return list(media.values())

    def frame(self, topic: str = USER) -> bytes:
        """A notification; its participants connect a little before their communications."""
        return frame(
            {"id": "c-1", "participants": [self._person(person) for person in self.people]}, topic
        )

    def rest(self) -> bytes:
        """A body of `GET /conversations/{id}`."""
        body: dict[str, Any] = {"id": "c-1", "startTime": at(0)}
        body["participants"] = [self._person(person, rest=True) for person in self.people]
        if self.over:
            body["endTime"] = at(self.ms)
        return msgspec.json.encode(body)

    def analytics(self) -> bytes:
        """A conversation of an analytics answer: all communications there ever were."""
        body: dict[str, Any] = {
            "conversationId": "c-1",
            "conversationStart": at(0),
            "participants": [
                {
                    "participantId": person.id,
                    "purpose": person.purpose,
                    "userId": "u-1",
                    "sessions": [_session(person, leg) for leg in person.legs],
                }
                for person in self.people
            ],
        }
        if self.over and not any(
            leg.acw == "working" for person in self.people for leg in person.legs
        ):
            body["conversationEnd"] = at(self.ms)
        return msgspec.json.encode(body)

    def _person(self, person: Person, *, rest: bool = False) -> dict[str, Any]:
        shown: dict[str, Any] = {"id": person.id, "purpose": person.purpose, "userId": "u-1"}
        if person.leg.queue_id:
            shown["queueId"] = person.leg.queue_id
        if person.role == "consult" or person.consults or (person.on and person is self.customer):
            shown["consultParticipantId"] = person.on
        elif person.role is not None:
            shown[ROLE_KEYS[person.role]] = person.on
        if person.consults and self.marked:
            shown["attributes"] = {"consultInitiator": "true"}
        for leg in self.shown(person):
            array = ARRAY[leg.medium]
            shown.setdefault(array, []).append(self._communication(leg, rest=rest))
        times = [leg.connected for leg in person.legs if leg.connected]
        if times:
            shown["connectedTime"] = times[0][:-4] + "000Z"
        if person.over:
            shown["endTime"] = max(leg.ended_at or "" for leg in person.legs)
        if self.work != "communication":
            shown |= _work_of_participant(person, lingers=self.lingers)
        return shown

    def _communication(self, leg: Leg, *, rest: bool) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "id": leg.id,
            "state": leg.state,
            "held": leg.held_since is not None,
            "direction": "inbound",
        }
        if leg.connected:
            shown["connectedTime"] = leg.connected
        if leg.held_since:
            shown["startHoldTime"] = leg.held_since
        if leg.ended_at:
            shown["disconnectedTime"] = leg.ended_at
        if leg.kind:
            shown["disconnectType"] = REST_DISCONNECT.get(leg.kind, leg.kind) if rest else leg.kind
        if leg.parks and (self.keys == "kept" or leg.state == "parked"):
            shown |= {"parkTime": leg.parks[-1][0], "resumeTime": at(self.ms + PLANNED_MS)}
        if self.work != "participant":
            shown |= _work_of_communication(leg)
        if rest:
            shown["segments"] = _segments(leg)
        return shown


def _short(struct: Leg | Person, *names: str) -> str:
    """A struct without what is at its default, and its times as milliseconds into the test."""
    fields = {
        field.name: getattr(struct, field.name)
        for field in msgspec.structs.fields(struct)
        if getattr(struct, field.name) not in (None, [], False, "none", *names)
    }
    said = " ".join(f"{name}={value}" for name, value in fields.items())
    said = _DATE.sub(r"\1.\2", said)
    return f"<{' '.join(names)} {said}>"


def _work_of_participant(person: Person, *, lingers: bool) -> dict[str, Any]:
    """What a participant repeats: of its latest communication, or of the callback that dialled."""
    worked = [leg for leg in person.legs if leg.acw != "none" or leg.codes]
    leg = worked[-1] if lingers and worked else person.leg
    if person.legs[0].medium == "callback":
        leg = person.legs[0]
    shown: dict[str, Any] = {}
    if leg.acw_from:
        shown["startAcwTime"] = leg.acw_from
    if leg.acw_until:
        shown["endAcwTime"] = leg.acw_until
    if leg.codes:
        shown["wrapup"] = _wrapup(leg)
    return shown


def _work_of_communication(leg: Leg) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if leg.acw != "none":
        state = {"working": "pending", "done": "complete"}.get(leg.acw, "skipped")
        shown["afterCallWork"] = {"state": state, "startTime": leg.acw_from}
        if leg.acw_until:
            shown["afterCallWork"]["endTime"] = leg.acw_until
    if leg.codes:
        shown["wrapup"] = _wrapup(leg)
    return shown


def _wrapup(leg: Leg) -> dict[str, Any]:
    code, saved = leg.codes[-1]
    shown: dict[str, Any] = {"code": code, "notes": "secret"}
    return shown if saved is None else {**shown, "endTime": saved}


def _segments(leg: Leg) -> list[dict[str, Any]]:
    """The segments of a REST body, as far as they are read; they are capitalised there."""
    return [
        {"type": "Hold", "startTime": since} | ({"endTime": until} if until else {})
        for since, until in leg.holds
    ]


def _stretches(leg: Leg) -> list[tuple[str, str]]:
    """What a communication went through, from when, in order."""
    if leg.state not in {"connected", "parked"} and not leg.over:
        return [
            (leg.began, {"offering": "contacting", "alerting": "alert"}.get(leg.state, leg.state))
        ]
    if leg.connected is None:
        return [(leg.began, "delay")]
    found = [(leg.connected, "interact")]
    for kind, spells in (("hold", leg.holds), ("parked", leg.parks)):
        found += [(since, kind) for since, _ in spells]
        found += [(until, "interact") for _, until in spells if until and until != leg.ended_at]
    return sorted(found)


def _session(person: Person, leg: Leg) -> dict[str, Any]:
    """A session of analytics: the stretches of a communication, and the code at its end."""
    segments: list[dict[str, Any]] = []
    for since, kind in _stretches(leg):
        if segments:
            segments[-1]["segmentEnd"] = since
        segments.append({"segmentType": kind, "segmentStart": since})
        if leg.queue_id:
            segments[-1]["queueId"] = leg.queue_id
    if leg.ended_at:
        segments[-1] |= {"segmentEnd": leg.ended_at, "disconnectType": leg.kind}
    if leg.acw in {"working", "done"}:
        segments.append({"segmentType": "wrapup", "segmentStart": leg.acw_from})
        if leg.acw_until:
            segments[-1]["segmentEnd"] = leg.acw_until
            segments[-1] |= {"wrapUpCode": leg.codes[-1][0]} if leg.codes else {}
    session: dict[str, Any] = {
        "sessionId": leg.id,
        "mediaType": ANALYTICS_MEDIUM[leg.medium],
        "direction": "inbound",
        "segments": segments,
    }
    if person.role in ROLE_KEYS:
        session[ROLE_KEYS[person.role]] = person.on
    return session
