"""What a scenario script has at hand: the conversation, the org, chance and the present time.

A script is a generator. It changes the conversation and yields `Beat`s: "let a frame show this,
come back after so many Genesys seconds". Whoever runs it sets `now` before each step, so scripts
are pure and a test can run one to its end in no time.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import msgspec

from simulator.ids import uuid_from
from simulator.model import (
    DEFAULT_PROVIDER,
    DIRECTED_MEDIA,
    PROVIDER,
    Conversation,
    Leg,
    Participant,
)
from simulator.org import WRAPUP_CODE_NAMES, Org, Staff

ALERT_SECONDS = 8
WRAPUP_TIMEOUT_MS = 120_000


class Beat(msgspec.Struct, frozen=True):
    """A pause of `wait` Genesys seconds, after a frame unless `frame` is false."""

    wait: float
    frame: bool = True
    #: The same snapshot is sent twice within 150 ms, as was measured (section 3.6).
    twin: bool = False


Script = Generator[Beat, None, None]


class Stage:
    """One conversation being played."""

    def __init__(
        self, conversation: Conversation, org: Org, staff: Staff, rng: random.Random
    ) -> None:
        self.conversation = conversation
        self.org = org
        self.staff = staff
        self.rng = rng
        self.now = conversation.started_ms
        #: No new waits for agents, no long parks: the org is being emptied.
        self.draining = False

    def beat(self, low: float, high: float) -> Beat:
        """A frame, then a pause between two lengths (Genesys seconds)."""
        return Beat(self.rng.uniform(low, high), twin=self.rng.random() < 0.25)

    def quiet(self, low: float, high: float) -> Beat:
        """A pause without a frame."""
        return Beat(self.rng.uniform(low, high), frame=False)

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def uuid(self) -> str:
        return uuid_from(self.rng)

    def queue(self, avoid: str | None = None) -> str:
        """A queue of the org, another one than `avoid` where there is another."""
        for _ in range(8):
            queue = self.rng.choice(self.org.queues)
            if queue != avoid:
                return queue
        return queue

    def leg(self, media: str, state: str, direction: str | None = "inbound", **extra: Any) -> Leg:
        """A new communication in its first state, not yet anybody's."""
        return Leg(
            id=self.uuid(),
            media=media,
            state=state,
            initial_state=state,
            direction=direction if media in DIRECTED_MEDIA else None,
            provider=PROVIDER.get(media, DEFAULT_PROVIDER),
            started_ms=self.now,
            peer_id=self.uuid() if media == "call" else None,
            extra=extra,
        )

    def join(self, purpose: str, leg: Leg, **facts: Any) -> Participant:
        """A new participant with one leg."""
        participant = Participant(id=self.uuid(), purpose=purpose, started_ms=self.now, **facts)
        self.conversation.add(participant)
        self.conversation.open_leg(participant, leg, self.now)
        return participant

    def customer(self, leg: Leg, **facts: Any) -> Participant:
        """The outside party, with the kind of data that must not leak by default."""
        number = f"+1555{self.rng.randrange(10**7):07d}"
        facts.setdefault("name", f"Customer {number[-4:]}")
        facts.setdefault("address", f"tel:{number}" if leg.media == "call" else None)
        facts.setdefault(
            "attributes", {"crm.accountNumber": f"ACC-{self.rng.randrange(10**6):06d}"}
        )
        return self.join("customer", leg, **facts)

    def acd(self, media: str, queue_id: str, direction: str = "inbound") -> Participant:
        """The queue as a participant: the conversation waits for an agent."""
        routing = {"queue": {"id": queue_id}, "language": {}, "priority": self.rng.randrange(3)}
        leg = self.leg(media, "connected", direction)
        leg.initial_state = "offering" if media == "call" else "connected"
        name = self.org.queue_name(queue_id)
        return self.join("acd", leg, queue_id=queue_id, name=name, routing=routing)

    def agent(
        self,
        media: str,
        user_id: str,
        queue_id: str | None,
        state: str = "alerting",
        direction: str = "inbound",
        purpose: str = "agent",
        **extra: Any,
    ) -> Participant:
        """An agent's participant; `wrapupRequired` comes true when the agent answers."""
        seconds = ALERT_SECONDS if media == "call" else 30
        leg = self.leg(media, state, direction, **extra)
        if media not in ("internal_message", "screen_monitoring", "social_expression"):
            leg.extra.setdefault("queueMediaSettings", {"alertingTimeoutSeconds": seconds})
        return self.join(
            purpose,
            leg,
            user_id=user_id,
            queue_id=queue_id,
            alerting_timeout_ms=seconds * 1000,
            wrapup_prompt="optional" if media == "call" else "timeout",
            wrapup_timeout_ms=None if media == "call" else WRAPUP_TIMEOUT_MS,
            media_roles=["full"] if media == "call" else None,
            routing={"queue": {}, "language": {}, "priority": 0} if media != "call" else None,
        )

    def pick_up(self, participant: Participant) -> None:
        """The participant's newest leg is answered."""
        leg = participant.legs[-1]
        self.conversation.answer(participant, leg, self.now)
        participant.wrapup_required = participant.purpose == "agent"

    def leave(self, participant: Participant, disconnect_type: str, state: str) -> None:
        """End every leg of a participant that is not ended yet."""
        for leg in participant.legs:
            if not leg.ended:
                self.conversation.end_leg(participant, leg, disconnect_type, self.now, state)

    def begin_acw(self, participant: Participant) -> None:
        """After-call work where it is due: of agents who handled something."""
        if participant.wrapup_required:
            self.conversation.begin_acw(participant, participant.legs[0], self.now)

    def wrap_up(self, participant: Participant) -> Script:
        """After-call work for a while, then a code; frees the agent."""
        if participant.acw_start_ms is not None:
            yield self.beat(3, 15)
            number = self.rng.randrange(len(self.org.wrapup_codes))
            code, name = self.org.wrapup_codes[number], WRAPUP_CODE_NAMES[number]
            leg = participant.legs[0]
            self.conversation.wrap_up(participant, leg, code, name, self.now)
            yield Beat(0)
        self.free(participant)

    def free(self, participant: Participant, missed: bool = False) -> None:
        """The person of this participant can take other work, or `missed` it."""
        if participant.user_id is not None:
            self.staff.release(participant.user_id, missed)
