"""Conversations that begin with a machine: a bot in front of the queue, a dialler."""

from __future__ import annotations

from typing import Any

from simulator.scenarios.digital import queue_for_agent, say
from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.voice import hang_up, talk

#: Genesys' own codes for calls without an agent.
MACHINE = ("ININ-OUTBOUND-MACHINE", "Machine")
NO_ANSWER = ("ININ-OUTBOUND-NO-ANSWER", "No answer")


def bot_message(stage: Stage) -> Script:
    """A flow and its bot talk to the customer; then the queue, and perhaps an agent."""
    facts: dict[str, Any] = {"type": "webmessaging", "messages": []}
    customer = stage.customer(stage.leg("message", "connected", **facts))
    flow = stage.join("workflow", stage.leg("message", "connected"), name="Inbound messages")
    bot = stage.join("botflow", stage.leg("message", "connected"), name="Greeter")
    for _ in range(stage.rng.randrange(1, 4)):
        say(stage, customer, "received")
        yield stage.beat(1, 5)
    stage.leave(bot, "peer", "disconnected")
    if stage.chance(0.2):  # the bot could help
        stage.leave(flow, "peer", "disconnected")
        stage.leave(customer, "peer", "disconnected")
        yield Beat(0)
        return
    queue = stage.queue()
    stage.leave(flow, "transfer", "disconnected")
    stage.conversation.route(customer, queue)
    agent = yield from queue_for_agent(stage, customer, "message", queue, most=4)
    if agent is None:
        return
    yield stage.beat(4, 15)
    yield from stage.choose_early(agent)
    stage.leave(agent, "client", "disconnected")
    stage.begin_acw(agent)
    yield Beat(0.3)
    stage.leave(customer, "peer", "disconnected")
    yield from stage.wrap_up(agent)


def campaign_call(stage: Stage) -> Script:
    """A dialler calls, and reaches nobody, a machine, or a customer who is given to an agent.

    The `outbound` participant gets a system code if no agent had the call.
    """
    queue = stage.queue()
    conversation = stage.conversation
    dialler = stage.join("outbound", stage.leg("call", "dialing", "outbound"), name="Campaign")
    customer = stage.customer(stage.leg("call", "dialing", "outbound"), queue_id=queue)
    conversation.address = customer.address
    yield stage.beat(2, 8)
    outcome = stage.rng.choice(["nobody", "machine", "person", "person"])
    if outcome != "nobody":
        conversation.answer(dialler, dialler.legs[0], stage.now)
        conversation.answer(customer, customer.legs[0], stage.now)
        yield stage.beat(1, 3)
    if outcome != "person":
        code, name = NO_ANSWER if outcome == "nobody" else MACHINE
        stage.leave(dialler, "system", "terminated")
        stage.leave(customer, "peer", "terminated")
        conversation.choose(dialler, dialler.legs[0], code, name, stage.now, saved=True)
        yield Beat(0)
        return
    stage.leave(dialler, "transfer", "terminated")
    acd = stage.acd("call", queue)
    yield stage.beat(0.5, 2)
    agent = yield from reach_agent(stage, "call", queue)
    if agent is None:
        stage.leave(customer, "endpoint", "disconnected")
        stage.leave(acd, "peer", "terminated")
        yield Beat(0)
        return
    stage.leave(acd, "transfer", "terminated")
    yield from talk(stage, customer, agent)
    yield from hang_up(stage, customer, agent)
