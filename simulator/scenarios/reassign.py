"""A messaging conversation that comes back to agents again and again.

An agent who had it before does not become a new participant. The old participant gets another
communication, queue, after-call work and code (docs/protocol.md, "Legs").
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from simulator.parts import Leg, Participant
from simulator.scenarios.digital import queue_for_agent, say
from simulator.scenarios.stage import RING_LEAD, Beat, Script, Stage


def message_reassigned(stage: Stage) -> Script:
    """Three to five times from queue to queue by blind transfers, mostly to the same agent."""
    queue = stage.queue()
    facts: dict[str, Any] = {"type": "webmessaging", "messages": []}
    customer = stage.customer(stage.leg("message", "connected", **facts), queue_id=queue)
    agent = yield from queue_for_agent(stage, customer, "message", queue, most=4)
    if agent is None:
        return
    agent.order = stage.variant("reused_participant")
    agent.legs[-1].extra.update(facts)
    yield stage.beat(2, 8)
    for _ in range(stage.rng.randrange(2, 5)):
        yield from _serve(stage, customer, agent)
        queue = stage.queue(avoid=queue)
        stage.conversation.route(customer, queue)
        old = agent.legs[-1]
        stage.leave(agent, "transfer", "disconnected")
        stage.begin_acw(agent)
        acd = stage.acd("message", queue)
        yield stage.beat(0.5, 2)
        # If the new leg replaces the old leg in frames, nothing can follow on the old leg.
        late = agent.order != "replace" and stage.chance(0.3)
        if not late:
            yield from stage.wrap_up(agent)
        yield from _assign_again(stage, agent, queue)
        stage.leave(acd, "transfer", "disconnected")
        yield stage.beat(1, 4)
        if late and old.working:
            stage.cut_short(agent, old)
            yield stage.beat(1, 4)
    yield from _serve(stage, customer, agent)
    stage.leave(agent, "client", "disconnected")
    stage.begin_acw(agent)
    yield Beat(0.3)
    stage.leave(customer, "inactivity", "disconnected")
    yield from stage.wrap_up(agent)


def _serve(stage: Stage, customer: Participant, agent: Participant) -> Script:
    for _ in range(stage.rng.randrange(1, 3)):
        say(stage, customer, "received")
        yield stage.beat(1, 5)
        say(stage, agent, "sent")
        yield stage.beat(1, 5)
    yield from stage.choose_early(agent)


def _assign_again(stage: Stage, agent: Participant, queue: str) -> Generator[Beat, None, Leg]:
    """Give the conversation to the same participant again, with or without ringing."""
    stage.conversation.route(agent, queue)
    state = stage.rng.choice(["connected", "alerting"])
    leg = stage.leg("message", state, **agent.legs[-1].extra)
    leg.extra["messages"] = []
    if state == "alerting":
        leg.started_ms -= stage.rng.randrange(*RING_LEAD)
    stage.conversation.open_leg(agent, leg, stage.now)
    stage.plan_acw(agent, leg)
    if state == "alerting":
        yield stage.beat(1, 4)
        stage.pick_up(agent)
    return leg
