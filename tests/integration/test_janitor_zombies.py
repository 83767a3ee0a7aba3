"""Zombies against a simulated Genesys Cloud, a real Kafka and Redis (guarantee 7).

Not shown here: how long Genesys keeps an ended conversation readable.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.process import wait_until
from harness.simulated import Simulated
from janitor.producer import AckedProducer
from janitor.zombies.sweep import Sweep
from mirror.base.errors import KafkaUnavailable
from mirror.conversation.event import Event
from mirror.kafka.admin import ensure_topics
from tests.integration.janitor_support import (
    Stage,
    environment,
    finish,
    quiet_org,
    show,
    spawn,
    staged,
    tracking,
)


@pytest.fixture
def sim(tmp_path: Path) -> Iterator[Simulated]:
    """A Genesys Cloud in which nothing happens unasked."""
    with quiet_org(tmp_path) as made:
        yield made


@pytest.fixture
def stage(kafka: str, redis_url: str, topic_name: str, sim: Simulated) -> Iterator[Stage]:
    """All of it, on topics that exist."""
    with staged(environment(kafka, redis_url, topic_name, sim), sim) as made:
        ensure_topics(made.settings)
        yield made


def finalized(events: list[Event]) -> Counter[str]:
    """Conversation → how many `finalize` it has, repeats counted once."""
    ids = {(event.conversation_id, event.event_id) for event in events if _is_final(event)}
    return Counter(conversation for conversation, _ in ids)


def _is_final(event: Event) -> bool:
    return event.event_type == "finalize"


def test_exactly_those_that_are_over_are_finalized(stage: Stage, sim: Simulated) -> None:
    """Ends that nobody saw are found, with few calls; what goes on is put back and left alone."""
    going_on = spawn(sim, "endless_call", 10)
    ending = spawn(sim, "outbound_call", 25)
    show(stage, going_on | ending)
    with tracking(stage.settings):
        stage.wait_tracked(going_on | ending)
        finish(sim, ending)
        genesys = stage.genesys()
        sweep = stage.zombies(genesys).sweep()
        assert (sweep.claimed, sweep.finalized, sweep.active) == (35, 25, 10)
        assert sweep.calls == sweep.least_calls == genesys.calls == 26
        stage.wait_tracked(going_on)
    events = stage.events()
    assert finalized(events) == Counter(dict.fromkeys(ending, 1))
    for conversation in ending:
        own = [event for event in events if event.conversation_id == conversation]
        assert [event.event_type for event in own][-2:] == ["end", "finalize"]
        legs = {(e.participant_id, e.communication_id) for e in own if e.participant_id}
        over = {(e.participant_id, e.communication_id) for e in own if e.event_type == "disconnect"}
        assert over == legs
    assert not sim.get("/_sim/violations")["violations"]
    # What the frames would have said has the same ids: a listener that catches up adds nothing.
    known = {event.event_id for event in events}
    before = len(events)
    stage.witness(sorted(ending))
    later = stage.events()[before:]
    assert later
    assert {event.event_id for event in later if event.event_type in {"disconnect", "end"}} <= known


def test_a_second_sweep_finds_nothing_to_do(stage: Stage, sim: Simulated) -> None:
    """What was finalized is not finalized again, what is active is not asked for at once."""
    going_on, ending = spawn(sim, "endless_call", 2), spawn(sim, "outbound_call", 2)
    show(stage, going_on | ending)
    with tracking(stage.settings):
        stage.wait_tracked(going_on | ending)
        finish(sim, ending)
        assert stage.zombies().sweep().finalized == 2
        genesys = stage.genesys()
        assert stage.zombies(genesys).sweep().claimed == 0
        assert genesys.calls == 0


def test_two_janitors_share_the_work(stage: Stage, sim: Simulated) -> None:
    """What one has claimed the other does not see, until the lease is over."""
    ids = spawn(sim, "endless_call", 4)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        first = stage.leases.claim_conversations(3, 1.5)
        second = stage.leases.claim_conversations(3, 1.5)
        assert len(first.ids) == 3
        assert set(first.ids) | set(second.ids) == ids
        assert not set(first.ids) & set(second.ids)
        # The one that died is made good for; the one that lives is heard once only.
        wait_until(lambda: stage.leases.claim_conversations(9, 60).ids, 10, "the lease lapses")
        due = stage.client.zrange(stage.keys.active, 0, -1, withscores=True)
        stage.leases.put_back(first.lease, dict.fromkeys(first.ids, 0.0))
        assert stage.client.zrange(stage.keys.active, 0, -1, withscores=True) == due


def test_nothing_is_claimed_while_the_tracker_is_away_or_behind(
    stage: Stage, sim: Simulated
) -> None:
    """The end that a conversation seems to lack may be in Kafka, unread."""
    ids = spawn(sim, "endless_call", 1)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
    offsets = stage.keys.offsets(stage.settings.topic)
    stage.client.hset(offsets, "behind:1", 1)
    assert stage.zombies().sweep().obstacle == "behind"
    stage.client.hdel(offsets, "behind:1")
    stage.client.hset(offsets, "beat", round((time.time() - 60) * 1000))
    assert stage.zombies().sweep().obstacle == "away"
    stage.client.hdel(offsets, "beat")
    assert stage.zombies().sweep().obstacle == "away"


def test_a_conversation_that_genesys_lost_is_finalized_as_not_found(
    stage: Stage, sim: Simulated
) -> None:
    """404 on GET and unknown to analytics, while both know another one: a control call tells."""
    going_on, ids = spawn(sim, "endless_call", 1), spawn(sim, "outbound_call", 3)
    show(stage, going_on | ids)
    with tracking(stage.settings):
        stage.wait_tracked(going_on | ids)
        finish(sim, ids)
        sim.fault(fault="forget")
        sweep = stage.zombies().sweep()
        assert (sweep.finalized, sweep.not_found, sweep.active) == (3, 3, 1)
        assert sweep.calls == sweep.least_calls + 1
        stage.wait_tracked(going_on)
    last = [event for event in stage.events() if event.event_type == "finalize"]
    assert {event.reason for event in last} == {"not_found"}
    assert all(event.estimated for event in last)


def test_where_genesys_knows_nothing_at_all_everything_goes_on(
    stage: Stage, sim: Simulated
) -> None:
    """All GETs 404 and analytics empty: put back for a while, not one of them finalized."""
    ids = spawn(sim, "outbound_call", 4)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        finish(sim, ids)
        sim.fault(fault="forget")
        sweep = stage.zombies().sweep()
        assert (sweep.finalized, sweep.doubted) == (0, 4)
        assert stage.tracked() == ids
        assert set(stage.client.zrange(stage.keys.doubted, 0, -1)) == ids
        day_ago = round((time.time() - 25 * 3600) * 1000)
        for id_ in ids:  # it goes on saying so
            stage.client.zadd(stage.keys.doubted, {id_: day_ago})
            stage.client.zadd(stage.keys.active, {id_: 1})
        assert stage.zombies().sweep().finalized == 4
        stage.wait_tracked(set())
    assert not stage.client.exists(stage.keys.doubted)


def test_a_fresh_frame_is_believed_before_a_404(stage: Stage, sim: Simulated) -> None:
    """What listeners read to live a moment ago is not finalized for a gateway's sake."""
    going_on, ids = spawn(sim, "endless_call", 1), spawn(sim, "outbound_call", 2)
    show(stage, going_on | ids)
    with tracking(stage.settings):
        stage.wait_tracked(going_on | ids)
        finish(sim, ids)
        sim.fault(fault="forget")
        sweep = stage.zombies(fresh=600.0).sweep()
        assert (sweep.finalized, sweep.doubted, sweep.active) == (0, 2, 1)


def test_times_of_a_clock_that_stepped_back_are_not_believed(stage: Stage, sim: Simulated) -> None:
    """A due time further ahead than anybody sets one is due; a beat of the future is none."""
    ids = spawn(sim, "endless_call", 2)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        ahead = round((time.time() + 400 * 24 * 3600) * 1000)
        stage.client.zadd(stage.keys.active, dict.fromkeys(ids, ahead))
        assert stage.zombies().sweep().active == 2
    offsets = stage.keys.offsets(stage.settings.topic)
    stage.client.hset(offsets, "beat", round((time.time() + 3600) * 1000))
    assert stage.zombies().sweep().obstacle == "away"


@pytest.mark.slow  # the client tries again before it gives up
def test_an_odd_id_stops_no_other(stage: Stage, sim: Simulated) -> None:
    """Analytics refuses all that are asked for beside it; it alone is put off, and not for ever."""
    ids = spawn(sim, "outbound_call", 4)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        finish(sim, ids)
        stage.client.zadd(stage.keys.active, {"not a UUID": 1})
        sweep = stage.zombies().sweep()
        assert (sweep.finalized, sweep.failed) == (4, 1)
        assert stage.client.zrange(stage.keys.failing, 0, -1) == ["not a UUID"]
        sim.post("/_sim/control", {"quirks": {"odd_ids_fail": False}})
        stage.client.zadd(stage.keys.active, {"not a UUID": 1})
        assert stage.zombies().sweep().failed == 0
        assert not stage.client.exists(stage.keys.failing)


@pytest.mark.parametrize("status", [403, 500])
def test_a_refusal_or_a_failure_never_finalizes(stage: Stage, sim: Simulated, status: int) -> None:
    """Not even one that is over: it is tried again later, and then found."""
    ids = spawn(sim, "outbound_call", 2)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        finish(sim, ids)
        sim.fault(fault="rest", method="GET", path="/api/v2/conversations/*", status=status)
        sweep = stage.zombies().sweep()
        assert (sweep.finalized, sweep.failed) == (0, 2)
        sim.call("DELETE", "/_sim/faults")
        assert finalized(stage.events()) == Counter()
        done = 0

        def found() -> bool:
            nonlocal done
            done += stage.zombies().sweep().finalized
            return done == 2

        wait_until(found, 30, "both are finalized once Genesys answers")


def test_an_end_that_came_while_it_asked_is_not_finalized(stage: Stage, sim: Simulated) -> None:
    """The tracker is asked once more right before the events are produced."""
    ids = spawn(sim, "outbound_call", 1)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        finish(sim, ids)
        claim = stage.leases.claim_conversations(10, 60)
        assert set(claim.ids) == ids
        stage.witness(sorted(ids))  # the listener catches up
        stage.wait_tracked(set())
        zombies = stage.zombies()
        sweep = Sweep()
        zombies._verify(claim.lease, claim.ids, time.monotonic() + 60, sweep)
        assert (sweep.finalized, sweep.ended_meanwhile) == (0, 1)


def test_without_kafka_nothing_is_settled(stage: Stage, sim: Simulated) -> None:
    """No acknowledgement, no account: the conversation is due again, and then finalized once."""
    ids = spawn(sim, "outbound_call", 1)
    show(stage, ids)
    with tracking(stage.settings):
        stage.wait_tracked(ids)
        finish(sim, ids)
        zombies = stage.zombies()
        real = zombies._producer

        nowhere = {**stage.settings.kafka.properties, "bootstrap.servers": "127.0.0.1:1"}
        kafka = msgspec.structs.replace(stage.settings.kafka, properties=nowhere)
        zombies._producer = AckedProducer(msgspec.structs.replace(stage.settings, kafka=kafka))
        with pytest.raises(KafkaUnavailable):
            zombies.sweep()
        assert stage.tracked() == ids
        zombies._producer = real
        wait_until(lambda: zombies.sweep().finalized == 1, 15, "finalized when Kafka is back")
        stage.wait_tracked(set())
