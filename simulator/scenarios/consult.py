"""Calls with a third party: consult, attended transfer, conference; internal calls (5.5)."""

from __future__ import annotations

from collections.abc import Generator

from simulator.model import Transfer
from simulator.parts import Participant
from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.voice import hang_up, reach_by_phone, talk


def consult_call(stage: Stage) -> Script:
    """The agent consults a colleague; then cancels, transfers to them, or makes it a conference."""
    reached = yield from reach_by_phone(stage)
    if reached is None:
        return
    customer, agent = reached
    yield stage.beat(3, 8)
    outcome = stage.rng.choice(["cancel", "attended", "conference", "noanswer"])
    target = yield from _consult(stage, customer, agent, answered=outcome != "noanswer")
    if target is None:
        yield from hang_up(stage, customer, agent)
        return
    if outcome == "cancel":
        target.consulted_in_vain = True
        stage.leave(target, stage.variant("consult_cancel_type"), "terminated")
        _reconnect(agent, customer, target)
        stage.begin_acw(target)
        yield stage.beat(2, 6)
        yield from stage.wrap_up(target)
        yield from hang_up(stage, customer, agent)
    elif outcome == "attended":
        record_transfer(stage, agent, target)
        stage.leave(agent, stage.variant("consult_transfer_type"), "disconnected")
        stage.begin_acw(agent)
        _reconnect(agent, customer, target)
        yield Beat(0.1)
        agent.legs[0].state = "terminated"
        if stage.chance(0.3):
            agent.legs[0].disconnect_type = "peer"
            yield Beat(0.1)
        yield stage.beat(2, 6)
        yield from stage.wrap_up(agent)
        yield from talk(stage, customer, target)
        yield from hang_up(stage, customer, target)
    else:
        _reconnect(agent, customer, target)
        yield stage.beat(4, 10)
        stage.leave(agent, "client", "terminated")
        stage.begin_acw(agent)
        yield stage.beat(2, 5)
        yield from stage.wrap_up(agent)
        yield from hang_up(stage, customer, target)


def consult_outside(stage: Stage) -> Script:
    """The agent consults an outside number, a queue, or a colleague who only rings; another one may
    ring besides. Then the agent cancels, or leaves the caller to whoever is there.
    """
    reached = yield from reach_by_phone(stage)
    if reached is None:
        return
    customer, agent = reached
    yield stage.beat(3, 8)
    colleague = stage.staff.anyone(avoid=agent.user_id)
    _mark(stage, customer, agent)
    target = _outside(stage, customer, agent, colleague)
    yield stage.beat(2, 6)
    if target.purpose == "external" and stage.chance(0.7):
        stage.conversation.answer(target, target.legs[-1], stage.now)
        yield stage.beat(2, 6)
    rings = None
    if colleague is not None and target.user_id is None and stage.chance(0.5):
        rings = stage.agent("call", colleague, None, purpose="user")
        yield stage.beat(1, 2)
    stays = stage.chance(0.3)
    if stays:
        stage.leave(target, stage.variant("consult_cancel_type"), "terminated")
    else:
        stage.leave(agent, stage.variant("consult_transfer_type"), "terminated")
        stage.begin_acw(agent)
    _reconnect(agent, customer, target)
    yield stage.beat(2, 6)
    if rings is not None:
        stage.leave(rings, "system", "terminated")
        yield stage.beat(1, 2)
        stage.free(rings)
    if stays:
        stage.free(target)
        yield from hang_up(stage, customer, agent)
    else:
        yield from stage.wrap_up(agent)
        yield from _go_on(stage, customer, target)


def _outside(
    stage: Stage, customer: Participant, agent: Participant, colleague: str | None
) -> Participant:
    """A number that is dialled, a queue, or a colleague who rings."""
    kind = stage.rng.choice(["number", "queue", "rings"])
    if kind == "rings" and colleague is not None:
        # No mark of the consult: its alert would have a role in some frames, and none in others.
        return stage.agent("call", colleague, None, purpose="user")
    if kind == "number":
        leg = stage.leg("call", "dialing", "outbound")
        target = stage.join("external", leg, address="tel:+15550100")
    else:
        target = stage.acd("call", stage.queue(avoid=agent.queue_id))
    target.consult_participant_id = customer.id
    return target


def _go_on(stage: Stage, customer: Participant, target: Participant) -> Script:
    """What becomes of a caller who was left to a number, a queue or a colleague."""
    found: Participant | None = None
    if target.user_id is not None:
        stage.pick_up(target)
        found = target
    elif target.queue_id is not None:
        found = yield from reach_agent(stage, "call", target.queue_id)
        stage.leave(target, "peer" if found is None else "transfer", "terminated")
    if found is not None:
        yield from hang_up(stage, customer, found)
        return
    stage.leave(customer, "endpoint", "terminated")
    yield Beat(0.2)
    stage.leave(target, "peer", "terminated")
    yield Beat(0)


def internal_call(stage: Stage) -> Script:
    """One user calls another: no queue, so only user topics see it; purpose `user`."""
    caller_id = stage.staff.anyone()
    callee_id = stage.staff.anyone(avoid=caller_id)
    if caller_id is None or callee_id is None:
        return
    caller = stage.agent(
        "call", caller_id, None, state="connected", direction="outbound", purpose="user"
    )
    caller.legs[0].initial_state = "dialing"
    callee = stage.agent("call", callee_id, None, purpose="user")
    yield stage.beat(2, 5)
    if stage.chance(0.2):
        stage.leave(callee, "endpoint.dnd", "terminated")
        stage.leave(caller, "peer", "terminated")
    else:
        stage.pick_up(callee)
        yield stage.beat(5, 20)
        stage.leave(caller, "client", "terminated")
        yield Beat(0.2)
        stage.leave(callee, "peer", "terminated")
    stage.free(caller)
    stage.free(callee)
    yield Beat(0)


def _consult(
    stage: Stage, customer: Participant, agent: Participant, answered: bool
) -> Generator[Beat, None, Participant | None]:
    """Ring a colleague while the customer is `confined`. None if no colleague is free."""
    user = stage.staff.anyone(avoid=agent.user_id)
    if user is None:
        return None
    _mark(stage, customer, agent)
    # A colleague of the queue has after-call work, any other user has none.
    purpose = "agent" if stage.chance(0.6) else "user"
    queue = agent.queue_id if purpose == "agent" else None
    target = stage.agent("call", user, queue, purpose=purpose)
    target.consult_participant_id = customer.id
    yield stage.beat(2, 6)
    if not answered:
        stage.leave(target, "transfer.noanswer", "terminated")
        stage.free(target)
        _reconnect(agent, customer, target)
        yield stage.beat(1, 3)
        return None
    stage.pick_up(target)
    yield stage.beat(3, 10)
    return target


def _mark(stage: Stage, customer: Participant, agent: Participant) -> None:
    """A consult begins: the customer is `confined`, and the agent says so where orgs show it."""
    agent.consult_participant_id = customer.consult_participant_id = customer.id
    agent.consult_initiator = True
    if stage.variant("consult_attribute") == "present":
        agent.attributes = {**agent.attributes, "consultInitiator": "true"}
    customer.legs[0].confined = True


def _reconnect(agent: Participant, customer: Participant, target: Participant) -> None:
    """The consult is over: `consultParticipantId` disappears, and the customer is no longer
    confined."""
    for participant in (agent, customer, target):
        participant.consult_participant_id = None
    agent.attributes = {k: v for k, v in agent.attributes.items() if k != "consultInitiator"}
    customer.legs[0].confined = False


def record_transfer(stage: Stage, agent: Participant, target: Participant) -> None:
    """Enter an attended transfer into `recentTransfers`."""
    stage.conversation.transfers.append(
        Transfer(
            id=stage.uuid(),
            state="complete",
            issued_ms=stage.now,
            initiator_user_id=str(agent.user_id),
            target_user_id=target.user_id,
            attended=True,
        )
    )
