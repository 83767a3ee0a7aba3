"""A caller who leaves a message in the queue, and the agent who calls back.

Source: docs/protocol.md, "Voicemail".
"""

from __future__ import annotations

from typing import Any

from simulator.clock import rfc3339
from simulator.scenarios.digital import dial_back, give_up
from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage


def voicemail(stage: Stage) -> Script:
    """A callback without an agent while its message is recorded, uploaded and converted.

    The voicemail box is a participant of purpose `voicemail` with the box's user. It is connected,
    but no agent talks.
    """
    queue = stage.queue()
    owner = stage.rng.choice(stage.org.users)
    customer = stage.customer(stage.leg("call", "connected"), queue_id=queue)
    number = str(customer.address).removeprefix("tel:")
    yield stage.beat(2, 5)
    facts: dict[str, Any] = {
        "callbackNumbers": [number],
        "callbackUserName": f"Customer {number[-4:]}",
        "callbackScheduledTime": rfc3339(stage.now),
        "skipEnabled": True,
        "timeoutSeconds": 0,
        "externalCampaign": False,
    }
    conversation = stage.conversation
    request = stage.leg("callback", "uploading", **facts)
    conversation.open_leg(customer, request, stage.now)
    acd = stage.join(
        "acd",
        stage.leg("callback", "uploading", **facts),
        queue_id=queue,
        name=stage.org.queue_name(queue),
    )
    box = stage.join("voicemail", stage.leg("call", "connected"), user_id=owner, queue_id=queue)
    yield stage.beat(5, 15)
    spoken = customer.legs[0]
    conversation.end_leg(customer, spoken, "endpoint", stage.now, "disconnected")
    if stage.chance(0.3):  # the recording is converted into a file
        box.legs[0].state = "converting"
        box.legs[0].turn("converting", stage.now)
        yield stage.beat(0.5, 2)
    stage.leave(box, "peer", "terminated")
    spoken.state = "terminated"
    yield stage.beat(1, 4)
    request.extra["voicemail"] = {"id": stage.uuid(), "uploadStatus": "complete"}
    conversation.answer(customer, request, stage.now)
    conversation.answer(acd, acd.legs[0], stage.now)
    yield stage.beat(1, 4)
    agent = yield from reach_agent(stage, "callback", queue)
    if agent is None:
        yield from give_up(stage, customer, acd)
        return
    stage.leave(acd, "transfer", "disconnected")
    agent.legs[-1].extra.update(facts)
    yield stage.beat(3, 8)
    if stage.chance(0.5):
        yield from dial_back(stage, customer, agent)
    stage.leave(agent, "client", "disconnected")
    stage.leave(customer, "peer", "disconnected")
    stage.begin_acw(agent)
    yield Beat(0.2)
    yield from stage.wrap_up(agent)
