"""The tools of a scenario script: the conversation, the org, chance and the present time.

A script is a generator. It changes the conversation and yields `Beat`s: "send a frame, and go on
after so many Genesys seconds". The runner sets `now` before each step. So scripts are pure, and a
test can run a script to its end at once.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import msgspec

from simulator.ids import uuid_from
from simulator.model import Conversation, lead_in
from simulator.org import WRAPUP_CODE_NAMES, Org, Staff
from simulator.parts import (
    DEFAULT_PROVIDER,
    DIRECTED_MEDIA,
    PROVIDER,
    AfterCallWork,
    Leg,
    Participant,
)
from simulator.quirks import MIXED, VARIANTS, Quirks
from simulator.scenarios.manners import Manner, draw

ALERT_SECONDS = 8
WRAPUP_TIMEOUT_MS = 120_000
#: Genesys sets a call up before it connects it: `system` for outside parties, `delay` in a queue
#: (docs/protocol.md, "Segments"). Milliseconds.
SETUP: dict[str, tuple[str, int, int]] = {
    "customer": ("system", 10, 250),
    "ivr": ("system", 10, 60),
    "voicemail": ("system", 10, 60),
    "external": ("system", 10, 250),
    "acd": ("delay", 20, 80),
}
#: How many milliseconds before the ringing its segment begins.
RING_LEAD = (9, 36)


class Beat(msgspec.Struct, frozen=True):
    """A pause of `wait` Genesys seconds, after a frame unless `frame` is false."""

    wait: float
    frame: bool = True
    #: The same snapshot is sent twice within 150 ms, as was measured (docs/protocol.md, "Order and
    #: loss").
    twin: bool = False


Script = Generator[Beat, None, None]


class Offspring(msgspec.Struct):
    """A conversation that began through another conversation, with its script."""

    name: str
    stage: Stage
    script: Script


class Stage:
    """One conversation being played."""

    def __init__(
        self,
        conversation: Conversation,
        org: Org,
        staff: Staff,
        rng: random.Random,
        quirks: Quirks | None = None,
    ) -> None:
        self.conversation = conversation
        self.org = org
        self.staff = staff
        self.rng = rng
        self.quirks = quirks or Quirks()
        self.wrapup_on = self.variant("wrapup_on")
        self.now = conversation.started_ms
        #: The org is being drained: no new waits for agents, no long parks.
        self.draining = False
        #: The manner of all after-call work of this conversation. None: drawn for each leg.
        self.manner: Manner | None = None
        self.manners: dict[str, Manner] = {}
        #: Conversations that began through this one. The runner plays them.
        self.offspring: list[Offspring] = []

    def variant(self, quirk: str) -> str:
        """The answer to an open question. A `mixed` quirk draws it."""
        answer = str(getattr(self.quirks, quirk))
        return self.rng.choice(VARIANTS[quirk]) if answer == MIXED else answer

    def branch(self, name: str, media: str, direction: str) -> Stage:
        """A stage for another conversation. `launch` plays it."""
        conversation = Conversation(
            id=self.uuid(),
            media=media,
            direction=direction,
            started_ms=self.now,
            division_id=self.conversation.division_id,
        )
        rng = random.Random(f"{name}-{self.rng.random()}")
        return Stage(conversation, self.org, self.staff, rng, self.quirks)

    def launch(self, name: str, stage: Stage, script: Script) -> None:
        """Play another conversation from now on, with its own script."""
        self.offspring.append(Offspring(name, stage, script))

    def beat(self, low: float, high: float) -> Beat:
        """A frame, then a pause between two lengths (Genesys seconds)."""
        return Beat(self.rng.uniform(low, high), twin=self.rng.random() < 0.25)

    def quiet(self, low: float, high: float) -> Beat:
        """A pause without a frame."""
        return Beat(self.rng.uniform(low, high), frame=False)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.rng.random() < probability

    def uuid(self) -> str:
        """A random UUID of this conversation."""
        return uuid_from(self.rng)

    def queue(self, avoid: str | None = None) -> str:
        """A queue of the org, not `avoid` if there is another."""
        for _ in range(8):
            queue = self.rng.choice(self.org.queues)
            if queue != avoid and self.org.has_queue(queue):
                return queue
        return queue

    def leg(self, media: str, state: str, direction: str | None = "inbound", **extra: Any) -> Leg:
        """A new communication in its first state, without a participant."""
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
        if leg.media == "call" and leg.state == "connected" and purpose in SETUP:
            kind, least, most = SETUP[purpose]
            lead_in(leg, kind, self.rng.randrange(least, most + 1))
        elif leg.state == "alerting":
            leg.started_ms -= self.rng.randrange(*RING_LEAD)
        participant = Participant(
            id=self.uuid(), purpose=purpose, started_ms=leg.started_ms, **facts
        )
        started = self.conversation.started_ms
        self.conversation.started_ms = min(started, leg.started_ms)
        self.conversation.add(participant)
        self.conversation.open_leg(participant, leg, self.now)
        return participant

    def customer(self, leg: Leg, **facts: Any) -> Participant:
        """The outside party, with personal data that must not leak by default."""
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
        participant = self.join(
            purpose,
            leg,
            user_id=user_id,
            queue_id=queue_id,
            alerting_timeout_ms=seconds * 1000,
            media_roles=["full"] if media == "call" else None,
            routing={"queue": {}, "language": {}, "priority": 0} if media != "call" else None,
        )
        if purpose == "agent":
            self.plan_acw(participant, leg)
        return participant

    def plan_acw(self, participant: Participant, leg: Leg) -> None:
        """Settle how after-call work of an agent's leg will go."""
        manner = self.manners[leg.id] = self.manner or draw(self.rng)
        participant.wrapup_prompt = manner.prompt
        participant.wrapup_timeout_ms = WRAPUP_TIMEOUT_MS if manner.timed else None

    def pick_up(self, participant: Participant) -> None:
        """The participant's newest leg is answered."""
        leg = participant.legs[-1]
        self.conversation.answer(participant, leg, self.now)
        participant.wrapup_required = participant.purpose == "agent"
        manner = self.manners.get(leg.id)
        if manner is not None and manner.applies and self.chance(0.5):
            # Told before there is any: without times, and not always as pending.
            leg.acw = AfterCallWork(self.rng.choice(["pending", "pending", "unknown"]))

    def take_up(self, participant: Participant, leg: Leg, keys: str) -> Script:
        """A parked leg is taken up again; it may ring before."""
        self.conversation.unpark(participant, leg, self.now, keys)
        if self.variant("resume_rings") == "yes":
            leg.state = "alerting"
            yield self.beat(2, 6)
            leg.state = "connected"

    def leave(self, participant: Participant, disconnect_type: str, state: str) -> None:
        """End every live leg of a participant."""
        for leg in participant.legs:
            if not leg.ended:
                self.conversation.end_leg(participant, leg, disconnect_type, self.now, state)

    def begin_acw(self, participant: Participant) -> None:
        """Begin after-call work of the agents who have any."""
        leg = participant.handled
        if not participant.wrapup_required or leg is None or leg.connected_ms is None:
            return
        manner = self.manners.get(leg.id)
        if manner is not None and not manner.applies:
            leg.acw = AfterCallWork("notApplicable")
        elif manner is not None and manner.skipped:
            at = self.now if self.variant("skipped_acw_times") == "equal" else None
            leg.acw = AfterCallWork("skipped", at, at)
        else:
            self.conversation.begin_acw(participant, leg, self.now)

    def wrap_up(self, participant: Participant) -> Script:
        """After-call work for a while, then what its manner says; frees the agent."""
        leg = participant.handled
        if leg is None or not leg.working:
            if self.conversation.pending:
                yield Beat(0)
            self.free(participant)
            return
        manner = self.manners.get(leg.id) or draw(self.rng)
        yield self.beat(3, 15)
        if manner.early:
            self._choose(participant, leg, saved=True, again=self.chance(0.4))
        elif manner.lingers:
            self._choose(participant, leg, saved=False)
            yield self.beat(1, 3)
            self._choose(participant, leg, saved=True, again=True)
        elif self.chance(manner.code):
            self._choose(participant, leg, saved=True)
        self.conversation.end_acw(participant, leg, self.now)
        yield Beat(0)
        self.free(participant)
        if manner.corrected:
            yield self.quiet(2, 6)
            self._choose(participant, leg, saved=True)
            yield Beat(0)
            if self.chance(0.3):
                yield self.quiet(1, 3)
                self._choose(participant, leg, saved=True, back=True)
                yield Beat(0)

    def cut_short(self, participant: Participant, leg: Leg) -> None:
        """After-call work ends. A provisional code becomes final."""
        if leg.working:
            if leg.wrapup is not None and leg.wrapup.end_ms is None:
                self._choose(participant, leg, saved=True, again=True)
            self.conversation.end_acw(participant, leg, self.now)

    def choose_early(self, participant: Participant) -> Script:
        """A provisional code during the talk, if the manner has it."""
        leg = participant.handled
        manner = None if leg is None else self.manners.get(leg.id)
        if leg is not None and manner is not None and manner.early and not leg.wrapups:
            self._choose(participant, leg, saved=False)
            yield self.beat(1, 3)

    def _choose(
        self,
        participant: Participant,
        leg: Leg,
        saved: bool,
        again: bool = False,
        back: bool = False,
    ) -> None:
        """A code: not the latest, or the latest `again`, or `back` to the first."""
        leg.wrapup_on = self.wrapup_on
        codes = self.org.wrapup_codes
        latest = leg.wrapup
        number = self.rng.randrange(len(codes))
        if latest is not None:
            wanted = leg.wrapups[0].code if back else latest.code
            number = codes.index(wanted)
            if not again and not back:
                number = (number + 1 + self.rng.randrange(len(codes) - 1)) % len(codes)
        self.conversation.choose(
            participant, leg, codes[number], WRAPUP_CODE_NAMES[number], self.now, saved
        )

    def free(self, participant: Participant, missed: bool = False) -> None:
        """The user of this participant is free again, or `missed` the alert."""
        if participant.user_id is not None:
            self.staff.release(participant.user_id, missed)
