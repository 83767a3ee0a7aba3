"""Gaps against a simulated Genesys Cloud, a real Kafka and Redis (guarantee 6).

Not shown here: how far Genesys' analytics really lags.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness.simulated import Simulated
from mirror.base.errors import GenesysUnavailable, MirrorError
from mirror.fleet.backfill import file_backfill, file_recall, follow
from mirror.fleet.gaps import Gap, file_gap, list_gaps, reasons, view
from mirror.fleet.words import Shard
from mirror.kafka.admin import ensure_topics
from tests.integration.janitor_support import (
    FAST,
    Stage,
    begin_days_ago,
    environment,
    finish,
    happen,
    missing,
    quiet_org,
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


def gap_of(sim: Simulated, began: int, ended: int) -> Gap:
    """A gap of all topics over that interval."""
    return Gap(id="gap-1", shard="0", topics=tuple(sim.topics()), from_ms=began, to_ms=ended)


def test_what_nobody_saw_is_restored_to_the_millisecond(stage: Stage, sim: Simulated) -> None:
    """Every conversation of the interval, once, as `backfill`; filled after two readings."""
    ids, began, ended = happen(sim, 12)
    sim.listen()  # only now, and too late
    gap = gap_of(sim, began, ended)
    assert file_gap(stage.client, stage.keys, gap)
    assert not file_gap(stage.client, stage.keys, gap)  # filing twice files once
    stage.mirror_all()
    genesys = stage.genesys()
    filler = stage.filler(genesys)
    assert filler.fill_next()
    half = stage.leases.gap(gap.id)
    assert half is not None
    assert (half.state, half.readings, half.found, half.read) == ("filling", 1, 12, 12)
    calls = genesys.calls
    assert filler.fill_next()  # the second reading
    assert genesys.calls - calls == 2  # finds nothing new, reads nothing twice
    assert not filler.fill_next()
    full = stage.leases.gap(gap.id)
    assert full is not None
    assert (full.state, full.attempts) == ("filled", 2)
    events = stage.events()
    assert full.events == len(events)
    assert {event.conversation_id for event in events} == ids
    assert {event.origin for event in events} <= {"backfill", "snapshot"}
    assert missing(sim, events) == []
    assert stage.leases.forget_expired_gaps() == 0
    shown = view(list_gaps(stage.client, stage.keys)[0])
    assert (shown.state, shown.topics) == ("filled", len(gap.topics))
    assert set(msgspec.to_builtins(shown)) >= {"from", "to", "attempts", "events"}
    stage.client.delete(stage.keys.gap(gap.id))  # as it expires
    assert stage.leases.forget_expired_gaps() == 1
    assert not stage.client.exists(stage.keys.gaps)


def test_conversations_of_last_week_are_found_in_a_gap_of_today(
    stage: Stage, sim: Simulated
) -> None:
    """Genesys lists them under the day on which they began: unfinished ones, one that ended in the
    gap, and one that only the tracker knows, since it began beyond the horizon."""
    # The oldest first: while Genesys' clock is put back, what began before goes on by it.
    ancient = begin_days_ago(sim, "endless_call", 1, 60)
    going_on = begin_days_ago(sim, "endless_call", 3, 7)
    ending = begin_days_ago(sim, "outbound_call", 2, 6)
    stage.witness(ancient)
    with tracking(stage.settings):
        stage.wait_tracked(set(ancient))
    began = round(time.time() * 1000)
    sim.post("/_sim/control", {"speed": FAST})
    finish(sim, set(ending))
    ids, _, ended = happen(sim, 2)
    gap = gap_of(sim, began, ended)
    file_gap(stage.client, stage.keys, gap)
    stage.mirror_all()
    genesys = stage.genesys()
    assert stage.filler(genesys).fill_next()
    read = {event.conversation_id for event in stage.events() if event.origin == "backfill"}
    # Draining ends what goes on as well.
    assert read == {*going_on, *ending, *ancient, *ids}
    half = stage.leases.gap(gap.id)
    assert half is not None
    assert (half.found, half.read, half.errors) == (len(read), len(read), ())
    assert half.calls == half.least_calls == genesys.calls


def test_what_is_refused_keeps_the_gap_open_until_the_right_is_back(
    stage: Stage, sim: Simulated
) -> None:
    """403 for every conversation: the gap says so, status says so, nothing is called filled; what
    analytics tells is there at once. With the right back it is filled, holds and all."""
    ids, began, ended = happen(sim, 6)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    sim.fault(fault="rest", method="GET", path="/api/v2/conversations/*", status=403)
    filler = stage.filler()
    assert filler.fill_next()
    shown = view(list_gaps(stage.client, stage.keys)[0])
    assert shown.state == "open"
    (error,) = shown.errors
    assert error.startswith("6 conversations: ")
    assert "403" in error
    assert "give the role" in error
    assert filler.unread == {"refused": 6}
    (reason,) = reasons(list_gaps(stage.client, stage.keys))  # as `mirror status` gives it
    assert error in reason
    assert {event.conversation_id for event in stage.events()} == ids
    assert not filler.fill_next()  # tried again a little later
    sim.call("DELETE", "/_sim/faults")
    stage.client.zadd(stage.keys.gaps, {"gap-1": 0})  # which is now
    while filler.fill_next():
        pass
    full = stage.leases.gap("gap-1")
    assert full is not None
    assert (full.state, full.errors, full.readings) == ("filled", (), 2)
    assert missing(sim, stage.events()) == []


def test_what_rest_has_forgotten_is_read_from_analytics(stage: Stage, sim: Simulated) -> None:
    """Purged there, or of a division that the role is not granted in, while others can be read."""
    ids, began, ended = happen(sim, 4)
    gone, refused, *_ = sorted(ids)
    for conversation, status in ((gone, 404), (refused, 403)):
        path = f"/api/v2/conversations/{conversation}"
        sim.fault(fault="rest", method="GET", path=path, status=status)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    filler = stage.filler()
    while filler.fill_next():
        pass
    full = stage.leases.gap("gap-1")
    assert full is not None
    assert (full.state, full.unread) == ("filled", 0)
    events = stage.events()
    ends = {event.conversation_id for event in events if event.event_type == "end"}
    assert ends == ids
    assert {event.conversation_id for event in events if event.event_type == "answer"} == ids


def test_a_gap_of_a_clock_that_stepped_back_is_claimed(stage: Stage, sim: Simulated) -> None:
    """A score an hour ahead is none that anybody gives; it is not waited for."""
    _, began, ended = happen(sim, 1)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    stage.client.zadd(stage.keys.gaps, {"gap-1": round(time.time() * 1000) + 3_600_000})
    assert stage.filler().fill_next()
    soon = round(time.time() * 1000) + 200_000  # a lease
    stage.client.zadd(stage.keys.gaps, {"gap-1": soon})
    assert not stage.filler().fill_next()


def test_what_analytics_learns_late_is_found_by_the_second_reading(
    stage: Stage, sim: Simulated
) -> None:
    """The first reading finds nothing yet; nothing is filled before the second."""
    sim.post("/_sim/control", {"analytics_lag": 600})
    _, began, ended = happen(sim, 3)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    filler = stage.filler()
    assert filler.fill_next()
    assert stage.events() == []
    sim.post("/_sim/control", {"analytics_lag": 0})
    assert filler.fill_next()
    assert missing(sim, stage.events()) == []


def test_the_second_reading_waits_for_analytics(stage: Stage, sim: Simulated) -> None:
    """Until the lag has passed the gap is not due."""
    _, began, ended = happen(sim, 1)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    filler = stage.filler(lag=600.0)
    assert filler.fill_next()
    assert not filler.fill_next()
    follow_up = follow(stage.client, stage.keys, ["gap-1"])
    assert (follow_up.state, follow_up.waiting, follow_up.share) == ("filling", True, 0.5)


def test_a_snapshot_reads_only_what_is_active(stage: Stage, sim: Simulated) -> None:
    """A mirror's first gap: what has ended before is not history to catch up with."""
    _, began, _ = happen(sim, 3)
    sim.post("/_sim/control", {"action": "start", "rate": 0})
    body = sim.post("/_sim/control", {"action": "spawn", "scenario": "endless_call", "count": 2})
    time.sleep(1.0)  # until analytics lists its first segments
    gap = gap_of(sim, began, round(time.time() * 1000))
    file_gap(stage.client, stage.keys, msgspec.structs.replace(gap, kind="snapshot"))
    assert stage.filler().fill_next()
    assert {event.conversation_id for event in stage.events()} == set(body["conversation_ids"])


def test_a_janitor_that_dies_leaves_the_gap_to_the_next(stage: Stage, sim: Simulated) -> None:
    """Between any two conversations: the next one goes on, and what was read is not read again."""
    _, began, ended = happen(sim, 7)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    asked: list[str] = []

    class Dies(BaseException):
        """Stands for SIGKILL: nothing of the janitor's own runs after it."""

    def dying(after: int) -> None:
        genesys = stage.genesys()
        real = genesys.clients[0].conversation

        def conversation(conversation_id: str) -> bytes:
            if after == len(taken):
                raise Dies
            taken.append(conversation_id)
            asked.append(conversation_id)
            return real(conversation_id)

        taken: list[str] = []
        for client in genesys.clients:
            client.conversation = conversation  # type: ignore[method-assign]  # the cue to die
        stage.filler(genesys).fill_next()

    for _ in range(3):
        with pytest.raises(Dies):
            dying(2)
        assert not stage.filler().fill_next()  # its lease still stands
        stage.client.zadd(stage.keys.gaps, {"gap-1": 0})  # and now it has lapsed
    while stage.filler().fill_next():
        pass
    assert len(asked) == len(set(asked)) == 6  # the seventh was read by the last one
    assert missing(sim, stage.events()) == []
    gap = stage.leases.gap("gap-1")
    assert gap is not None
    assert gap.state == "filled"


def test_a_failure_is_written_down_and_tried_again(stage: Stage, sim: Simulated) -> None:
    """The gap stays open, says why, and is due again later; a bad request is final."""
    _, began, ended = happen(sim, 1)
    file_gap(stage.client, stage.keys, gap_of(sim, began, ended))
    genesys = stage.genesys()

    def away(query: object) -> object:
        raise GenesysUnavailable("Genesys is unwell")

    for client in genesys.clients:
        client.query_details = away  # type: ignore[assignment,method-assign]  # a cue to fail
    assert stage.filler(genesys).fill_next()
    gap = stage.leases.gap("gap-1")
    assert gap is not None
    assert (gap.state, gap.attempts, gap.errors) == ("open", 1, ("Genesys is unwell",))
    assert not stage.filler().fill_next()
    nothing = Gap(id="gap-2", shard="0", topics=("v2.x.y",), from_ms=began, to_ms=ended)
    file_gap(stage.client, stage.keys, nothing)
    assert stage.filler().fill_next()
    assert follow(stage.client, stage.keys, ["gap-2"]).state == "unfillable"


def test_gaps_are_filed_by_hand_for_queues_users_or_everything(
    stage: Stage, sim: Simulated
) -> None:
    """`mirror backfill`: an interval, what to fill, and how far it is."""
    ids, began, ended = happen(sim, 4)
    queues = [queue["id"] for queue in sim.get("/api/v2/routing/queues?pageSize=500")["entities"]]
    with pytest.raises(MirrorError, match="--queue"):
        file_backfill(stage.client, stage.keys, began, ended)
    gaps = file_backfill(stage.client, stage.keys, began, ended, queues=queues)
    gap_ids = [gap.id for gap in gaps]
    assert follow(stage.client, stage.keys, gap_ids).share == 0
    while stage.filler().fill_next():
        pass
    found = follow(stage.client, stage.keys, gap_ids)
    assert (found.state, found.share, found.done) == ("filled", 1.0, True)
    assert {event.conversation_id for event in stage.events()} == ids


def test_the_states_of_users_are_never_filed_by_hand(stage: Stage) -> None:
    """Back-fill cannot read them: a shard of nothing else is left out."""
    user = "v2.users.u-1.conversations"
    states = "v2.users.u-1?presence&routingStatus"
    for shard in (Shard("0", (user, states), 1), Shard("1", (states,), 1)):
        stage.client.hset(stage.keys.shards, shard.id, "1")
        stage.client.set(stage.keys.shard(shard.id), msgspec.json.encode(shard))
    assert [gap.topics for gap in file_backfill(stage.client, stage.keys, 1, 2)] == [(user,)]
    assert file_recall(stage.client, stage.keys, 1, 2) == 1
