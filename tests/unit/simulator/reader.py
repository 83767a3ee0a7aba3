"""Tells from frames alone what happened, by the rules of GUARANTEES.md: a second, simple mirror.

It reads every frame of one conversation in order and knows nothing of the model behind them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

STAFF = ("agent", "user")
ENDED = ("disconnected", "terminated")
DIALS = ("dialing", "contacting", "offering")
PAUSED = {"hold": "resume", "park": "unpark"}


class Told(NamedTuple):
    """A transition of a leg; `occurrence` tells apart those that a leg can have several of."""

    event_type: str
    participant_id: str
    communication_id: str
    occurrence: str | None
    agent_id: str | None
    queue_id: str | None
    role: str | None


class Reader:
    """What the frames so far have told."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._once: set[tuple[str, str, str | None]] = set()
        #: The hold or park that a leg is in.
        self._paused: dict[str, tuple[str, str]] = {}
        self._queue: dict[str, str | None] = {}

    def read(self, body: dict[str, Any]) -> None:
        """The next frame."""
        for participant in body["participants"]:
            for leg in legs_of(participant):
                self._leg(body, participant, leg)

    def _leg(self, body: dict[str, Any], participant: dict[str, Any], leg: dict[str, Any]) -> None:
        state, ended = leg["state"], leg["state"] in ENDED
        if not ended or leg["id"] not in self._queue:
            self._queue[leg["id"]] = participant.get("queueId")
        found: list[tuple[str, str | None]] = []
        if state == "alerting":
            found.append(("alert", None))
        if state in DIALS:
            found.append(("dial", None))
        if "connectedTime" in leg:
            found.append(("answer", None))
        found += self._pauses(leg, ended)
        if ended:
            found.append(("disconnect", None))
            if _transferred(body, participant, leg):
                found.append(("transfer", None))
            if "wrapup" in leg:
                found.append(("wrapup", leg["wrapup"]["code"]))
        work = leg.get("afterCallWork", {})
        if work.get("state") not in ("skipped", "notApplicable"):
            found += [("acw", None)] if "startTime" in work else []
            found += [("acw_end", None)] if "endTime" in work else []
        for event_type, occurrence in found:
            self._tell(event_type, occurrence, body, participant, leg)

    def _pauses(self, leg: dict[str, Any], ended: bool) -> list[tuple[str, str | None]]:
        """Holds and parks, and their ends."""
        now: tuple[str, str] | None = None
        if leg.get("held"):
            now = ("hold", leg["startHoldTime"])
        elif leg["state"] == "parked":
            now = ("park", leg["parkTime"])
        before = self._paused.pop(leg["id"], None)
        found: list[tuple[str, str | None]] = []
        if before is not None and before != now and not ended:
            found.append((PAUSED[before[0]], before[1]))
        if now is not None:
            self._paused[leg["id"]] = now
            found.append(now)
        return found

    def _tell(
        self,
        event_type: str,
        occurrence: str | None,
        body: dict[str, Any],
        participant: dict[str, Any],
        leg: dict[str, Any],
    ) -> None:
        name = (leg["id"], event_type, occurrence)
        if name in self._once:
            return
        self._once.add(name)
        box = participant["purpose"] == "voicemail"
        self.told.append(
            Told(
                event_type,
                participant["id"],
                leg["id"],
                occurrence,
                None if box else participant.get("userId"),
                self._queue[leg["id"]],
                role_of(body, participant),
            )
        )


def legs_of(participant: dict[str, Any]) -> list[dict[str, Any]]:
    """The communications of a participant, of whatever medium."""
    return [
        leg
        for value in participant.values()
        if isinstance(value, list)
        for leg in value
        if isinstance(leg, dict)
    ]


def role_of(body: dict[str, Any], participant: dict[str, Any]) -> str | None:
    """Whether somebody listens, whispers, joined in or is consulted."""
    for key, role in (("barged", "barge"), ("coached", "coach"), ("monitored", "monitor")):
        if f"{key}ParticipantId" in participant:
            return role
    if "screenMonitorings" in participant:
        return "monitor"
    if "consultParticipantId" not in participant or participant["purpose"] not in STAFF:
        return None
    consulting = [
        p for p in body["participants"] if p["purpose"] in STAFF and "consultParticipantId" in p
    ]
    first = min(consulting, key=lambda p: p.get("connectedTime", "9"))
    named = [p for p in consulting if "consultInitiator" in p["attributes"]]
    return None if participant is (named[0] if named else first) else "consult"


def _transferred(body: dict[str, Any], participant: dict[str, Any], leg: dict[str, Any]) -> bool:
    word = leg.get("disconnectType", "")
    if participant["purpose"] not in STAFF or "connectedTime" not in leg:
        return False
    if not word.startswith("transfer") or word == "transfer.conference":
        return False
    stay = [
        (somebody["purpose"], other.get("connectedTime", "9") > leg["connectedTime"])
        for somebody in body["participants"]
        if somebody is not participant and somebody["purpose"] != "customer"
        for other in legs_of(somebody)
        if other["state"] not in ENDED and role_of(body, somebody) in {None, "consult"}
    ]
    if any(purpose in STAFF and not came_later for purpose, came_later in stay):
        return False  # whoever consulted goes on
    return word != "transfer.consult" or any(came_later for _, came_later in stay)
