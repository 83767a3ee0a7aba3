"""Calls: inbound through an ivr and a queue, outbound, transfers, and how they end
(docs/protocol.md, "Ends").

Only voice legs are first `disconnected` and then `terminated`, and their disconnect types may
change between snapshots.
"""

from __future__ import annotations

from collections.abc import Generator

from simulator.parts import Leg, Participant
from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage


def inbound_call(stage: Stage) -> Script:
    """Customer, ivr, queue, agent, perhaps holds and a blind transfer, hang-up, wrap-up."""
    reached = yield from reach_by_phone(stage)
    if reached is None:
        return
    customer, agent = reached
    yield from talk(stage, customer, agent)
    if stage.chance(0.2):
        second = yield from blind_transfer(stage, customer, agent)
        if second is None:
            return
        agent = second
    yield from hang_up(stage, customer, agent)


def reach_by_phone(
    stage: Stage,
) -> Generator[Beat, None, tuple[Participant, Participant] | None]:
    """From the first ring to an agent who answers. None if the customer gave up before."""
    waiting = yield from wait_by_phone(stage)
    if waiting is None:
        return None
    customer, acd, queue = waiting
    agent = yield from reach_agent(stage, "call", queue)
    if agent is None:
        stage.leave(customer, "endpoint", "disconnected")
        stage.leave(acd, "peer", "terminated")
        yield Beat(0)
        return None
    # The queue's leg may stay `disconnected` for the rest of the call (complaint 14).
    stage.leave(acd, "transfer", "disconnected" if stage.chance(0.3) else "terminated")
    return customer, agent


def wait_by_phone(
    stage: Stage,
) -> Generator[Beat, None, tuple[Participant, Participant, str] | None]:
    """Customer, the queue's participant and the queue's id, some seconds into the wait.

    None if the customer gave up in the menu.
    """
    queue = stage.queue()
    conversation = stage.conversation
    customer_leg = stage.leg("call", "connected")
    customer_leg.initial_state = "offering"
    customer = stage.customer(customer_leg)
    conversation.address = customer.address
    ivr_leg = stage.leg("call", "connected")
    ivr_leg.initial_state = "offering"
    ivr = stage.join("ivr", ivr_leg, name="Main menu", address="sip:ivr@example.invalid")
    yield stage.beat(2, 5)
    if stage.chance(0.05):  # gives up in the menu
        stage.leave(customer, "endpoint", "disconnected")
        stage.leave(ivr, "peer", "terminated")
        yield Beat(0)
        return None
    stage.leave(ivr, "transfer", "terminated")
    conversation.route(customer, queue)
    acd = stage.acd("call", queue)
    yield stage.beat(1, 6)
    return customer, acd, queue


def reach_beside_somebody(
    stage: Stage,
) -> Generator[Beat, None, tuple[Participant, Participant, str] | None]:
    """Customer and agent, who talk for a while, and a free user.

    None if the customer gave up before, or if no user is free and the call is over.
    """
    reached = yield from reach_by_phone(stage)
    if reached is None:
        return None
    customer, agent = reached
    yield stage.beat(3, 8)
    user = stage.staff.anyone(avoid=agent.user_id)
    if user is None:
        yield from hang_up(stage, customer, agent)
        return None
    return customer, agent, user


def outbound_call(stage: Stage) -> Script:
    """An agent dials a customer on behalf of a queue; sometimes nobody answers."""
    queue = stage.queue()
    user = stage.staff.pick(queue)
    if user is None:
        user = stage.org.users[stage.rng.choice(stage.org.members(queue))]
    agent = stage.agent("call", user, queue, state="contacting", direction="outbound")
    yield stage.beat(0.5, 2)
    stage.pick_up(agent)
    customer = stage.customer(stage.leg("call", "dialing", "outbound"), queue_id=queue)
    stage.conversation.address = customer.address
    yield stage.beat(2, 6)
    if stage.chance(0.15):
        stage.leave(customer, "transfer.noanswer", "terminated")
        stage.leave(agent, "peer", "terminated")
        stage.begin_acw(agent)
        yield from stage.wrap_up(agent)
        return
    stage.conversation.answer(customer, customer.legs[-1], stage.now)
    yield from talk(stage, customer, agent)
    yield from hang_up(stage, customer, agent)


def talk(stage: Stage, customer: Participant, agent: Participant) -> Script:
    """Conversation with holds; the customer is `confined` while the agent holds."""
    yield stage.beat(4, 15)
    yield from stage.choose_early(agent)
    while stage.chance(0.4):
        leg = agent.legs[-1]
        stage.conversation.hold(agent, leg, stage.now)
        customer.legs[-1].confined = True
        yield stage.beat(2, 8)
        if stage.chance(0.15):
            return  # a party that hangs up now does so on hold: no resume
        stage.conversation.resume(agent, leg, stage.now)
        customer.legs[-1].confined = False
        yield stage.beat(2, 8)
        if stage.chance(0.3):
            leg.muted = not leg.muted
            yield stage.beat(0.5, 2)


def blind_transfer(
    stage: Stage, customer: Participant, agent: Participant
) -> Generator[Beat, None, Participant | None]:
    """Transfer to another queue. The old leg goes from `transfer` to `peer` within 200 ms
    (docs/protocol.md, "Order and loss")."""
    old = agent.queue_id
    queue = stage.queue(avoid=old)
    leg = agent.legs[-1]
    stage.conversation.route(customer, queue)
    acd = stage.acd("call", queue)
    stage.leave(agent, "transfer", "disconnected")
    customer.legs[-1].confined = False
    stage.begin_acw(agent)
    yield Beat(0.1)
    if stage.chance(0.5):
        leg.disconnect_type = "peer"
        yield Beat(0.1)
    leg.state = "terminated"
    yield stage.beat(1, 4)
    second = yield from reach_agent(stage, "call", queue, avoid=agent.user_id)
    yield from stage.wrap_up(agent)
    if second is None:
        stage.leave(customer, "endpoint", "disconnected")
        stage.leave(acd, "peer", "terminated")
        yield Beat(0)
        return None
    stage.leave(acd, "transfer", "terminated")
    yield from talk(stage, customer, second)
    return second


def hang_up(stage: Stage, customer: Participant, agent: Participant) -> Script:
    """Either side ends the call; `disconnected` then `terminated`; after-call work follows."""
    first: Leg = customer.legs[-1]
    if stage.chance(0.6):
        stage.leave(customer, stage.rng.choice(["endpoint", "peer"]), "disconnected")
        yield Beat(0.3)
        stage.leave(agent, "peer", "terminated")
    else:
        stage.leave(agent, "client", "terminated")
        stage.leave(customer, "peer", "disconnected")
    stage.begin_acw(agent)
    yield Beat(0.2)
    first.state = "terminated"
    yield Beat(0)
    yield from stage.wrap_up(agent)
