"""Conversations that rightly live for days, and one that comes back after its end
(docs/protocol.md, "Reading conversations").

They are never picked by weight; spawn them by name. `stop` brings them to their ends.
"""

from __future__ import annotations

from simulator.clock import rfc3339
from simulator.scenarios.digital import say
from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage

HOUR = 3600.0
DAY = 24 * HOUR


def message_for_days(stage: Stage) -> Script:
    """Texts with hours between them for three days, parked over night."""
    queue = stage.queue()
    customer = stage.customer(
        stage.leg("message", "connected", type="whatsapp", messages=[]), queue_id=queue
    )
    acd = stage.acd("message", queue)
    stage.conversation.inactivity_ms = stage.now + int(4 * DAY) * 1000
    yield stage.beat(1, 4)
    agent = yield from reach_agent(stage, "message", queue)
    if agent is None:
        stage.leave(customer, "client", "disconnected")
        stage.leave(acd, "peer", "disconnected")
        yield Beat(0)
        return
    stage.leave(acd, "transfer", "disconnected")
    leg = agent.legs[0]
    leg.extra.update({"type": "whatsapp", "messages": []})
    keys = stage.variant("early_resume")
    for _ in range(3):
        for _ in range(2):
            say(stage, customer, "received")
            yield Beat(HOUR)
            say(stage, agent, "sent")
            yield Beat(2 * HOUR)
        stage.conversation.park(agent, leg, stage.now, stage.now + int(20 * HOUR) * 1000)
        yield Beat(18 * HOUR)
        yield from stage.take_up(agent, leg, keys)
        yield Beat(60)
    stage.leave(agent, "client", "disconnected")
    stage.begin_acw(agent)
    stage.leave(customer, "inactivity", "disconnected")
    yield from stage.wrap_up(agent)


def callback_in_two_days(stage: Stage) -> Script:
    """A callback that is `scheduled` for two days, then quickly done."""
    queue = stage.queue()
    leg = stage.leg(
        "callback",
        "scheduled",
        "outbound",
        callbackNumbers=["+15550003333"],
        callbackUserName="Customer",
        callbackScheduledTime=rfc3339(stage.now + int(2 * DAY) * 1000),
    )
    customer = stage.customer(leg, queue_id=queue)
    yield Beat(2 * DAY)
    stage.conversation.answer(customer, leg, stage.now)
    acd = stage.acd("callback", queue, "outbound")
    yield stage.beat(1, 4)
    agent = yield from reach_agent(stage, "callback", queue)
    if agent is not None:
        stage.leave(acd, "transfer", "disconnected")
        yield stage.beat(5, 15)
        stage.leave(agent, "client", "disconnected")
        stage.begin_acw(agent)
    stage.leave(acd, "peer", "disconnected")
    stage.leave(customer, "peer", "disconnected")
    if agent is not None:
        yield from stage.wrap_up(agent)
    yield Beat(0)


def email_parked_for_days(stage: Stage) -> Script:
    """An e-mail that its agent parks for three days."""
    queue = stage.queue()
    customer = stage.customer(stage.leg("email", "connected", subject="Later"), queue_id=queue)
    agent = yield from reach_agent(stage, "email", queue)
    if agent is not None:
        leg = agent.legs[0]
        yield stage.beat(5, 10)
        stage.conversation.park(agent, leg, stage.now, stage.now + int(4 * DAY) * 1000)
        yield Beat(3 * DAY)
        yield from stage.take_up(agent, leg, stage.variant("early_resume"))
        yield stage.beat(5, 10)
        stage.leave(agent, "client", "disconnected")
        stage.begin_acw(agent)
    stage.leave(customer, "peer", "disconnected")
    yield Beat(0.2)
    if agent is not None:
        yield from stage.wrap_up(agent)


def endless_call(stage: Stage) -> Script:
    """Two users who never hang up until they are told to. A zombie check must not end this call."""
    first = stage.org.users[0]
    second = stage.org.users[-1]
    caller = stage.agent(
        "call", first, None, state="connected", direction="outbound", purpose="user"
    )
    callee = stage.agent("call", second, None, purpose="user")
    yield stage.beat(1, 2)
    stage.pick_up(callee)
    yield Beat(365 * DAY)
    stage.leave(caller, "client", "terminated")
    stage.leave(callee, "peer", "terminated")
    yield Beat(0)


def message_again(stage: Stage) -> Script:
    """A messaging conversation that ends, and gets a live leg again an hour later."""
    queue = stage.queue()
    for _ in range(2):
        customer = stage.customer(
            stage.leg("message", "connected", type="open", messages=[]), queue_id=queue
        )
        agent = yield from reach_agent(stage, "message", queue)
        if agent is not None:
            yield stage.beat(3, 8)
            stage.leave(agent, "client", "disconnected")
            stage.begin_acw(agent)
        stage.leave(customer, "peer", "disconnected")
        yield Beat(0.2)
        if agent is not None:
            yield from stage.wrap_up(agent)
        yield stage.quiet(5, 10)
