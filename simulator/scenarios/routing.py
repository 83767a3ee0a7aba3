"""The way to an agent that all media share: wait in a queue, ring, miss, ring the next."""

from __future__ import annotations

from collections.abc import Generator

from simulator.parts import Participant
from simulator.scenarios.stage import Beat, Stage

MAX_MISSED_ALERTS = 3
MISS_PROBABILITY = 0.2
MAX_WAITS = 20


def reach_agent(
    stage: Stage, media: str, queue_id: str, avoid: str | None = None
) -> Generator[Beat, None, Participant | None]:
    """Find an agent who answers. None if the customer must give up.

    The returned participant no longer rings. It is connected, but no frame has shown that yet.
    """
    missed = 0
    for _ in range(MAX_WAITS):
        user = stage.staff.pick(queue_id, avoid)
        if user is None:
            yield stage.quiet(2, 5)
            continue
        agent = stage.agent(media, user, queue_id)
        if media == "call":
            agent.legs[-1].transfer_source = "ACD"
        if missed < MAX_MISSED_ALERTS and stage.chance(MISS_PROBABILITY):
            missed += 1
            yield Beat(agent.alerting_timeout_ms / 1000 if agent.alerting_timeout_ms else 8)
            kind = "client" if stage.chance(0.5) else "system"
            if media == "call" and kind == "system":
                kind = "transfer.noanswer"
            stage.leave(agent, kind, "terminated" if media == "call" else "disconnected")
            stage.free(agent, missed=kind != "client")
            yield stage.beat(0.5, 2)
            continue
        yield stage.beat(1, 5)
        stage.pick_up(agent)
        return agent
    return None
