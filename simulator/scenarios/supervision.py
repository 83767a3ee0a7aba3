"""A supervisor on an agent's call: monitors, coaches, barges in.

The supervisor is a participant of purpose `user` with a separate outbound call. Only `mediaRoles`
and the keys that name the supervised participant distinguish this from a normal call
(docs/protocol.md, "Roles").
"""

from __future__ import annotations

from simulator.parts import Participant
from simulator.scenarios.stage import Beat, Script, Stage
from simulator.scenarios.voice import hang_up, reach_beside_somebody

ROLES = ("monitor", "coach", "full")


def supervised_call(stage: Stage) -> Script:
    """A monitored call, perhaps coached, perhaps barged in on. The supervisor leaves first."""
    party = yield from reach_beside_somebody(stage)
    if party is None:
        return
    customer, agent, user = party
    supervisor = stage.agent(
        "call", user, None, state="contacting", direction="outbound", purpose="user"
    )
    supervisor.monitored_id = agent.id
    supervisor.media_roles = list(ROLES[:1])
    yield stage.beat(0.5, 2)
    stage.pick_up(supervisor)
    supervisor.legs[-1].turn("monitoring", stage.now)
    yield stage.beat(3, 8)
    every_key = stage.variant("supervision_keys") == "all"
    for step in range(stage.rng.choice([0, 1, 2, 2])):
        _go_further(stage, supervisor, agent, step, every_key)
        yield stage.beat(3, 8)
    if stage.chance(0.5):
        stage.leave(supervisor, "client", "terminated")
        stage.free(supervisor)
        yield stage.beat(2, 6)
        yield from hang_up(stage, customer, agent)
    else:
        stage.leave(customer, "endpoint", "terminated")
        stage.leave(agent, "peer", "terminated")
        stage.begin_acw(agent)
        yield Beat(0.2)
        stage.leave(supervisor, "peer", "terminated")
        stage.free(supervisor)
        yield Beat(0.2)
        yield from stage.wrap_up(agent)


def _go_further(
    stage: Stage, supervisor: Participant, agent: Participant, step: int, every_key: bool
) -> None:
    """From monitoring to coaching, from coaching to barging in."""
    supervisor.media_roles = list(ROLES[: step + 2])
    leg = supervisor.legs[-1]
    if step == 0:
        supervisor.coached_id = agent.id
        supervisor.monitored_id = agent.id if every_key else None
        leg.turn("coaching", stage.now)
    else:
        supervisor.barged_id = agent.id
        supervisor.coached_id = agent.id if every_key else None
        leg.barged_ms = stage.now
        leg.turn("barging", stage.now)
