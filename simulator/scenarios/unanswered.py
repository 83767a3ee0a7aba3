"""Calls that no agent of their queue answers: the caller gives up, or goes on to another queue."""

from __future__ import annotations

from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.voice import hang_up, talk, wait_by_phone


def abandoned_call(stage: Stage) -> Script:
    """The caller hangs up in the queue, at times while an agent rings."""
    waiting = yield from wait_by_phone(stage)
    if waiting is None:
        return
    customer, acd, queue = waiting
    yield stage.quiet(2, 15)
    user = stage.staff.pick(queue) if stage.chance(0.4) else None
    agent = None if user is None else stage.agent("call", user, queue)
    if agent is not None:
        yield stage.beat(1, 4)
    stage.leave(customer, "endpoint", "disconnected")
    if agent is not None:
        stage.leave(agent, "peer", "terminated")
        stage.free(agent)
    stage.leave(acd, "peer", "terminated")
    yield Beat(0)


def flowed_out_call(stage: Stage) -> Script:
    """After a while the queue's flow sends the caller on to another queue, where agents answer."""
    waiting = yield from wait_by_phone(stage)
    if waiting is None:
        return
    customer, acd, queue = waiting
    yield stage.quiet(4, 12)
    next_queue = stage.queue(avoid=queue)
    stage.leave(acd, "transfer", "terminated")
    stage.conversation.route(customer, next_queue)
    second = stage.acd("call", next_queue)
    yield stage.beat(1, 6)
    agent = yield from reach_agent(stage, "call", next_queue)
    if agent is None:
        stage.leave(customer, "endpoint", "disconnected")
        stage.leave(second, "peer", "terminated")
        yield Beat(0)
        return
    stage.leave(second, "transfer", "terminated")
    yield from talk(stage, customer, agent)
    yield from hang_up(stage, customer, agent)
