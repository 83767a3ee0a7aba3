"""The media that are rarer than the five big ones (docs/protocol.md, "Shapes")."""

from __future__ import annotations

from typing import Any

from simulator.scenarios.routing import reach_agent
from simulator.scenarios.stage import Beat, Script, Stage


def video(stage: Stage) -> Script:
    """A video session through a queue."""
    facts: dict[str, Any] = {
        "context": f"room-{stage.rng.randrange(10**6)}",
        "audioMuted": False,
        "videoMuted": False,
        "sharingScreen": False,
        "peerCount": 1,
    }
    yield from _session(stage, "video", facts)


def screenshare(stage: Stage) -> Script:
    """A shared screen."""
    yield from _session(stage, "screenshare", {"sharing": True, "peerCount": 1})


def cobrowse(stage: Stage) -> Script:
    """A co-browse session."""
    facts: dict[str, Any] = {
        "cobrowseSessionId": stage.uuid(),
        "cobrowseRole": "sharer",
        "controlling": [],
    }
    yield from _session(stage, "cobrowse", facts)


def social_expression(stage: Stage) -> Script:
    """A social media post for an agent. This medium can be held."""
    facts = {
        "socialMediaId": str(stage.rng.randrange(10**15)),
        "socialMediaHub": "sim",
        "socialUserName": f"user{stage.rng.randrange(10**4)}",
        "previewText": "A post",
    }
    yield from _session(stage, "social_expression", facts)


def internal_message(stage: Stage) -> Script:
    """A chat between two users: no queue, no after-call work; only user topics see it."""
    source = stage.staff.anyone()
    target = stage.staff.anyone(avoid=source)
    if source is None or target is None:
        return
    facts: dict[str, Any] = {"sourceUserId": source, "targetUserId": target, "messages": []}
    first = stage.agent(
        "internal_message", source, None, state="connected", purpose="user", **facts
    )
    second = stage.agent("internal_message", target, None, purpose="user", **facts)
    yield stage.beat(1, 4)
    stage.pick_up(second)
    yield stage.beat(4, 12)
    stage.leave(first, "client", "disconnected")
    yield Beat(0.2)
    stage.leave(second, "peer", "disconnected")
    stage.free(first)
    stage.free(second)
    yield Beat(0)


def screen_monitoring(stage: Stage) -> Script:
    """A supervisor watches an agent's screen."""
    watcher = stage.staff.anyone()
    watched = stage.staff.anyone(avoid=watcher)
    if watcher is None or watched is None:
        return
    facts: dict[str, Any] = {
        "targetUserId": watched,
        "screenMonitoringId": stage.uuid(),
        "monitoringType": "AgentLevel",
        "count": 1,
    }
    participant = stage.agent(
        "screen_monitoring", watcher, None, state="connected", purpose="user", **facts
    )
    participant.legs[0].initial_state = "none"
    yield stage.beat(5, 15)
    stage.leave(participant, "system", "disconnected")
    stage.free(participant)
    stage.staff.release(watched)
    yield Beat(0)


def _session(stage: Stage, media: str, facts: dict[str, Any]) -> Script:
    """Customer, queue, agent, end, wrap-up."""
    queue = stage.queue()
    customer = stage.customer(stage.leg(media, "connected", **facts), queue_id=queue)
    acd = stage.acd(media, queue)
    yield stage.beat(1, 4)
    agent = yield from reach_agent(stage, media, queue)
    if agent is None:
        stage.leave(customer, "client", "disconnected")
        stage.leave(acd, "peer", "disconnected")
        yield Beat(0)
        return
    stage.leave(acd, "transfer", "disconnected")
    agent.legs[0].extra.update(facts)
    yield stage.beat(5, 15)
    if media == "social_expression":
        stage.conversation.hold(agent, agent.legs[0], stage.now)
        yield stage.beat(1, 4)
        stage.conversation.resume(agent, agent.legs[0], stage.now)
        yield stage.beat(1, 4)
    stage.leave(customer, "client", "disconnected")
    yield Beat(0.3)
    stage.leave(agent, "peer", "disconnected")
    stage.begin_acw(agent)
    yield from stage.wrap_up(agent)
