"""Two conversations that belong together: separate consultations, and merges.

Each has its own script. The scripts share a `Link`, and never wait long for each other, so that
each can also be played alone (docs/protocol.md, "Consultations").
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from simulator.parts import Participant
from simulator.scenarios.consult import record_transfer
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.voice import hang_up, reach_beside_somebody, talk

#: How often a script checks whether the other has gone on, before it ends by itself.
MAX_LOOKS = 600


class Link(msgspec.Struct):
    """The shared state of the two conversations."""

    #: The consult is over, or the customer has been merged in.
    done: bool = False
    #: The consulted agent must take over.
    taken_over: bool = False
    #: The consulted agent has answered.
    answered: bool = False


def consult_apart(stage: Stage) -> Script:
    """The agent holds the customer and consults in a separate, linked conversation."""
    party = yield from reach_beside_somebody(stage)
    if party is None:
        return
    customer, agent, user = party
    link = Link()
    _begin(stage, "consultation", lambda child: _consultation(child, link, agent, user))
    leg = agent.legs[-1]
    stage.conversation.hold(agent, leg, stage.now)
    customer.legs[-1].confined = True
    yield stage.beat(6, 15)
    customer.legs[-1].confined = False
    link.taken_over = link.answered and stage.chance(0.5)
    link.done = True
    if not link.taken_over:
        stage.conversation.resume(agent, leg, stage.now)
        yield stage.beat(2, 6)
        yield from hang_up(stage, customer, agent)
        return
    target = stage.agent("call", user, agent.queue_id, state="connected")
    target.wrapup_required = True
    record_transfer(stage, agent, target)
    stage.leave(agent, stage.variant("consult_transfer_type"), "terminated")
    agent.consult_initiator = True
    stage.begin_acw(agent)
    yield stage.beat(2, 5)
    yield from stage.wrap_up(agent)
    yield from talk(stage, customer, target)
    yield from hang_up(stage, customer, target)


def merge_call(stage: Stage) -> Script:
    """The agent calls a colleague in a second conversation, and merges the customer into it."""
    party = yield from reach_beside_somebody(stage)
    if party is None:
        return
    customer, agent, user = party
    link = Link()
    into = _begin(stage, "merged", lambda child: _merged(child, link, customer, agent, user))
    yield stage.beat(6, 12)
    stage.conversation.merged_into = into
    # Both go on in the other conversation. Here there was no transfer.
    stage.leave(customer, "transfer.conference", "terminated")
    stage.leave(agent, "transfer.conference", "terminated")
    link.done = True
    stage.begin_acw(agent)
    yield Beat(0.3)
    stage.cut_short(agent, agent.legs[0])
    yield Beat(0)


def _begin(stage: Stage, name: str, write: Callable[[Stage], Script]) -> str:
    """Play the other conversation, and return its id."""
    child = stage.branch(name, "call", "outbound")
    if name == "consultation":
        child.conversation.associated_id = stage.conversation.id
        stage.conversation.consultations.append(child.conversation.id)
    stage.launch(name, child, write(child))
    return child.conversation.id


def _dial(stage: Stage, agent: Participant, user: str) -> tuple[Participant, Participant]:
    """The agent's outbound call to a colleague, who rings."""
    caller = stage.agent(
        "call",
        str(agent.user_id),
        None,
        state="connected",
        direction="outbound",
        purpose="user",
    )
    caller.legs[0].initial_state = "dialing"
    return caller, stage.agent("call", user, None, purpose="user")


def _consultation(stage: Stage, link: Link, agent: Participant, user: str) -> Script:
    """The call rings, is answered or not, and ends when the other conversation says so."""
    caller, target = _dial(stage, agent, user)
    yield stage.beat(1, 3)
    if stage.chance(0.8):
        stage.pick_up(target)
        link.answered = True
        yield stage.beat(1, 3)
    for _ in range(MAX_LOOKS):
        if link.done:
            break
        yield stage.quiet(0.5, 1)
    stage.leave(caller, "client", "terminated")
    yield Beat(0.1)
    stage.leave(target, "peer" if link.answered else "system", "terminated")
    if not link.taken_over:
        stage.free(target)
    yield Beat(0)


def _merged(
    stage: Stage, link: Link, customer: Participant, agent: Participant, user: str
) -> Script:
    """Two colleagues talk; then the customer is with them."""
    caller, target = _dial(stage, agent, user)
    yield stage.beat(1, 3)
    stage.pick_up(target)
    yield stage.beat(1, 3)
    for _ in range(MAX_LOOKS):
        if link.done:
            break
        yield stage.quiet(0.5, 1)
    joined = stage.customer(
        stage.leg("call", "connected"), name=customer.name, address=customer.address
    )
    yield stage.beat(4, 12)
    stage.leave(joined, "endpoint", "disconnected")
    yield Beat(0.2)
    stage.leave(caller, "client", "terminated")
    stage.leave(target, "peer", "terminated")
    joined.legs[-1].state = "terminated"
    stage.free(caller)
    stage.free(target)
    yield Beat(0)
