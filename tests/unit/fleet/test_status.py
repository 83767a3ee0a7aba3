"""The status says `ok` only when every seat has a live channel of a live listener."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from console.views import listeners_text
from mirror.fleet.gaps import Gap, OngoingGap, count_gaps, late, reasons
from mirror.fleet.status import (
    ConversationCounts,
    Facts,
    GapCounts,
    Limits,
    assemble,
    assemble_channels,
)
from mirror.fleet.waiting import Wait
from mirror.fleet.words import Beat, ChannelReport, ChannelState, Shard
from mirror.fleet.workers import Worker, janitor_silent_ms
from mirror.redis.keys import CAUSE, REASON

NOW = 1_000_000
LEASE = 8_000
TRACKER = Worker(kind="tracker", name="t", at_ms=NOW, partitions=3, of=3)


def _report(replica: str, state: ChannelState = "live", epoch: int = 1) -> ChannelReport:
    return ChannelReport(
        shard="0", replica=replica, epoch=epoch, client="c", state=state, last_frame_ms=100
    )


def _beat(listener: str, *reports: ChannelReport) -> Beat:
    return Beat(
        listener=listener, host="h", pid=1, version="0", state="live", channels=tuple(reports)
    )


def _facts(*beats: Beat, age: int = 500) -> Facts:
    return Facts(
        now_ms=NOW,
        leader="coordinator-1",
        beats={beat.listener: NOW - age for beat in beats},
        listeners={beat.listener: beat for beat in beats},
        shards={"0": Shard("0", ("t1", "t2"), 1)},
        rejected={},
        gaps=GapCounts(),
        conversations=ConversationCounts(),
        workers=[TRACKER],
    )


def test_all_seats_live_is_ok() -> None:
    """Two replicas on two listeners: nothing to say."""
    status = assemble(_facts(_beat("x", _report("a")), _beat("y", _report("b"))), 2, LEASE)
    assert (status.health, status.reasons) == ("ok", [])
    assert [replica.listener for replica in status.shards[0].replicas] == ["x", "y"]
    assert status.shards[0].topics == 2


def test_a_seat_without_channel_is_degraded() -> None:
    """With fewer listeners than replicas the mirror works and says so."""
    status = assemble(_facts(_beat("x", _report("a"))), 2, LEASE)
    assert status.health == "degraded"
    assert status.reasons == ["shard 0 has 1 of 2 channels"]
    assert status.shards[0].replicas[1].state == "lost"


@pytest.mark.parametrize("age", [LEASE + 1, -3_600_000], ids=["old", "before a step back"])
def test_the_channels_of_a_dead_listener_are_lost(age: int) -> None:
    """No beat within the lease, or one from before Redis' clock went back: what the listener last
    said of its channels counts for nothing."""
    status = assemble(_facts(_beat("x", _report("a")), age=age), 2, LEASE)
    assert status.health == "down"
    assert status.listeners[0].state == "dead"
    assert status.shards[0].replicas[0].state == "lost"


@pytest.mark.parametrize(
    ("age", "state"), [(LEASE, "live"), (LEASE + 1, "lost"), (-3_600_000, "lost")]
)
def test_a_channel_of_a_silent_listener_is_not_shown_as_live(age: int, state: str) -> None:
    """`mirror channels` judges a beat by its age as `mirror shards` does, and ages what it says."""
    report = msgspec.structs.replace(_report("a"), expires_s=3_600)
    (shown,) = assemble_channels({"x": _beat("x", report)}, {"x": NOW - age}, NOW, LEASE)
    assert shown.state == state
    assert shown.expires_s == 3_600 - (8 if age > 0 else 0)


def test_a_successor_that_is_still_opening_does_not_hide_the_live_channel() -> None:
    """Make before break: the seat is live on its old channel until the new one is."""
    status = assemble(
        _facts(
            _beat("x", _report("a", epoch=1), _report("a", "opening", epoch=2)),
            _beat("y", _report("b")),
        ),
        2,
        LEASE,
    )
    assert status.shards[0].replicas[0].state == "live"
    assert status.health == "ok"


def test_ages_grow_while_a_listener_is_silent() -> None:
    """A last frame of 100 ms, told in a beat 500 ms ago, is 600 ms old."""
    status = assemble(_facts(_beat("x", _report("a")), _beat("y", _report("b"))), 2, LEASE)
    assert status.shards[0].replicas[0].last_frame_ms == 600


def test_refused_topics_are_named() -> None:
    """Forbidden topics are reported by name; the rest of the shard lives."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.rejected = {"t2": "missing permissions"}
    status = assemble(facts, 2, LEASE)
    assert status.shards[0].rejected == ["t2"]
    assert status.reasons[0].endswith(": missing permissions: user t2")
    facts.called = {"t2": "queue Support (t2)"}
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.endswith(": missing permissions: queue Support (t2)")


def test_all_that_are_refused_are_named_up_to_five() -> None:
    """With the reason; beyond that their number, and `--json` has every name."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.shards = {"0": Shard("0", tuple(f"t{n}" for n in range(9)), 1)}
    facts.rejected = {f"t{n}": "it needs routing:queue:view" for n in range(7)}
    status = assemble(facts, 2, LEASE)
    (reason,) = status.reasons
    assert reason.endswith(": user t0, user t1, user t2, user t3, user t4 and 2 more")
    assert len(status.shards[0].rejected) == 7


def test_reasons_that_are_left_out_are_counted() -> None:
    """Of 25 shards without channels, and of seven kinds of gaps."""
    facts = _facts(_beat("x"))
    facts.shards = {f"{n:02}": Shard(f"{n:02}", ("t",), 1) for n in range(25)}
    facts.gap_reasons = [f"gap {n}" for n in range(7)]
    reasons = assemble(facts, 2, LEASE).reasons
    assert reasons[4:6] == ["gap 4", "and 2 more reasons of gaps: `mirror gaps` has them all"]
    assert reasons[-2:] == ["shard 13 has 0 of 2 channels", "and 11 more reasons"]


def test_a_hole_is_an_open_gap_while_it_lasts() -> None:
    """Nobody receives a shard: counted, and told since when."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.gaps = GapCounts(open=2, filled=3)
    facts.uncovered = [OngoingGap("0", 5_000, 2)]
    status = assemble(facts, 2, LEASE)
    assert status.reasons == [
        "no channel receives shard 0 (2 topics) since 1970-01-01T00:00:05.000Z"
    ]
    assert (status.gaps.open, status.gaps.filled) == (3, 3)


def test_gaps_asked_for_by_hand_are_counted_apart() -> None:
    """Nothing was lost there: they are a note while they are open, and no gap."""
    gap = Gap(id="g", shard="0", topics=("t1",), from_ms=0, to_ms=1)
    by_hand = msgspec.structs.replace(gap, filed_by="hand")
    done = msgspec.structs.replace(by_hand, state="filled")
    assert count_gaps([gap, by_hand, by_hand, done]) == (1, 1, 2)
    facts = _well()
    facts.gaps_by_hand = 2
    status = assemble(facts, 2, LEASE)
    assert (status.health, status.reasons, status.gaps.open) == ("ok", [], 0)
    assert status.notes == ["`mirror backfill` waits for 2 gaps: `mirror gaps` shows how far"]
    facts.waited_ms = 250_000
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.startswith("no janitor works, with 2 gaps open")


def test_seats_with_the_same_trouble_are_told_together() -> None:
    """One reason names the first of them."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.problems = {f"{n}/b": "no listener can take it" for n in range(7)} | {"9/a": "stuck"}
    status = assemble(facts, 2, LEASE)
    assert status.reasons == [
        "7 seats: 0/b, 1/b, 2/b, 3/b, 4/b …: no listener can take it",
        "seat 9/a: stuck",
    ]


def test_no_leader_is_degraded() -> None:
    """Channels go on without a coordinator, but nobody would replace a dead one."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.leader = None
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.startswith("no coordinator leads, and dead listeners are not replaced: start ")


def test_the_document_has_the_fields_of_the_contract() -> None:
    """`mirror status --json`, word for word."""
    status = assemble(_facts(_beat("x", _report("a"))), 2, LEASE)
    document = msgspec.to_builtins(status)
    assert {"health", "reasons", "leader", "listeners", "shards", "gaps", "conversations"} <= set(
        document
    )
    assert {"id", "host", "state", "channels", "last_beat_ms"} <= set(document["listeners"][0])
    assert {"replica", "listener", "channel", "state", "client", "last_frame_ms"} <= set(
        document["shards"][0]["replicas"][0]
    )
    assert set(document["gaps"]) == {"open", "filled"}
    assert set(document["conversations"]) == {"active", "overdue"}


def test_a_gap_that_cannot_be_read_is_a_reason() -> None:
    """Why, once for all gaps that share it; what was given up is told apart."""
    gap = Gap(id="g1", shard="0", topics=("t1",), from_ms=0, to_ms=1, errors=("403",), attempts=1)
    lost = msgspec.structs.replace(gap, id="g3", state="unfillable")
    found = reasons([gap, msgspec.structs.replace(gap, id="g2"), lost])
    assert found == [
        "2 gaps, such as g1, could not be read to the end yet: 403",
        "gap g3, cannot be filled: 403",
    ]
    done = msgspec.structs.replace(gap, state="filled", errors=())
    assert reasons([done, msgspec.structs.replace(gap, errors=())]) == []
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.gap_reasons = found
    status = assemble(facts, 2, LEASE)
    assert (status.health, status.reasons) == ("degraded", found)


def _well() -> Facts:
    return _facts(_beat("x", _report("a")), _beat("y", _report("b")))


def test_a_shard_without_channels_says_why() -> None:
    """The last error of its channels, and the next step."""
    facts = _facts(
        _beat("x", msgspec.structs.replace(_report("a", "opening"), error="403: no permission")),
        _beat("y", _report("b")),
    )
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason == (
        "shard 0 has 1 of 2 channels: 403: no permission; `mirror doctor` names the cure"
    )
    facts.uncovered = [OngoingGap("0", 5_000, 1)]
    ongoing, shard = assemble(facts, 2, LEASE).reasons
    assert ongoing == (
        "no channel receives shard 0 (1 topic) since 1970-01-01T00:00:05.000Z: 403: no permission; "
        "`mirror doctor` names the cure"
    )
    assert shard == "shard 0 has 1 of 2 channels"


def test_a_new_mirror_has_not_been_without_channels_for_days() -> None:
    """Its snapshot looks far back; nobody receives it yet."""
    facts = _well()
    facts.uncovered = [OngoingGap("0", 5_000, 2, fresh=True)]
    assert assemble(facts, 2, LEASE).reasons == ["no channel receives shard 0 (2 topics) yet"]


def test_without_listeners_the_next_step_is_named() -> None:
    """Health is down, and who leads is told as well."""
    facts = _facts()
    facts.leader = None
    status = assemble(facts, 2, LEASE)
    assert status.health == "down"
    assert [reason.partition(":")[0] for reason in status.reasons] == [
        "no listener is alive",
        "no coordinator leads, and dead listeners are not replaced",
    ]


def test_reasons_say_what_processes_wait_for_instead_of_advice_to_start_them() -> None:
    """They run already, so that advice would not help."""
    facts = _facts()
    facts.leader = None
    refused = "login.mypurecloud.com refuses OAuth client a (invalid_client)"
    facts.waits = [
        Wait(program=program, host="h", pid=pid, reason=refused, at_ms=NOW)
        for pid, program in enumerate(("coordinator", "listener", "listener"))
    ]
    status = assemble(facts, 2, LEASE)
    assert status.health == "down"
    assert status.reasons == [
        f"1 coordinator and 2 listeners wait at the start: {refused}",
        "no listener is alive",
        "no coordinator leads, and dead listeners are not replaced",
    ]


def _without_topics() -> Facts:
    """Two listeners beat, and there is no shard for them."""
    facts = _facts(_beat("x"), _beat("y"))
    facts.shards = {}
    return facts


def test_without_topics_the_mirror_is_starting_while_the_leader_lists() -> None:
    """Nothing is wrong yet: discovery has not said what it found."""
    status = assemble(_without_topics(), 2, LEASE)
    assert (status.health, status.reasons) == (
        "degraded",
        ["no shard is known yet: the leader lists queues and users first"],
    )


def test_without_topics_the_mirror_is_down_once_everything_was_listed() -> None:
    """The first reason has the causes, because the page's banner shows only that one."""
    facts = _without_topics()
    queues, users = "MIRROR_QUEUES: 'x*' matches no queue", "MIRROR_USERS: 'y' matches no user"
    facts.discovery = {queues: CAUSE, users: CAUSE, "Kafka is slow": REASON}
    status = assemble(facts, 2, LEASE)
    assert status.health == "down"
    assert status.reasons == [f"no topic is mirrored: {queues}; {users}", "Kafka is slow"]


def test_without_topics_and_leader_nobody_lists() -> None:
    """So no reason says that somebody does."""
    facts = _without_topics()
    facts.leader = None
    status = assemble(facts, 2, LEASE)
    assert status.health == "down"
    (reason,) = status.reasons
    assert reason.startswith("no coordinator leads, ")


def test_channels_that_receive_are_not_down_where_redis_forgot_their_shards() -> None:
    """Static stability: without a coordinator, what is open goes on."""
    facts = _well()
    facts.leader, facts.shards = None, {}
    assert assemble(facts, 2, LEASE).health == "degraded"


def test_an_old_state_is_not_shown_as_well() -> None:
    """A leader that holds its lease and makes no pass: nothing of what it wrote may be so now."""
    facts = _well()
    facts.passed_ms = NOW - 10_000
    assert assemble(facts, 2, LEASE).health == "ok"
    facts.passed_ms = NOW - 25_000
    status = assemble(facts, 2, LEASE)
    assert status.health == "degraded"
    assert status.reasons[0].startswith("the state is 25 s old: coordinator-1 leads and writes")
    facts.leader = None
    assert "is 25 s old" in assemble(facts, 2, LEASE).reasons[0]


def test_a_drained_listener_is_shown_and_how_to_take_it_back() -> None:
    """A note while its channels can go somewhere; a reason where they cannot."""
    facts = _well()
    facts.drained = {"x"}
    status = assemble(facts, 2, LEASE)
    assert [listener.state for listener in status.listeners] == ["draining", "live"]
    assert status.health == "ok"
    assert status.notes == ["x is drained: 1 channel left; `mirror undrain x` ends it"]
    facts.drained = {"x", "y"}
    status = assemble(facts, 2, LEASE)
    assert status.health == "degraded"
    assert "nowhere to go" in status.reasons[0]
    assert "`mirror undrain x`" in status.reasons[0]


def test_one_that_stops_is_nobody_to_drain_to() -> None:
    """A listener that drains by itself, being stopped, takes nothing."""
    facts = _well()
    facts.listeners["y"] = msgspec.structs.replace(facts.listeners["y"], state="draining")
    facts.drained = {"x"}
    assert "nowhere to go" in assemble(facts, 2, LEASE).reasons[0]


def tracker(age_ms: int = 1_000, partitions: int = 3, **more: Any) -> Worker:
    """What a tracker said of itself."""
    at_ms = NOW - age_ms
    return Worker(kind="tracker", name="c", at_ms=at_ms, partitions=partitions, of=3, **more)


@pytest.mark.parametrize(
    ("worker", "reason"),
    [
        (tracker(), None),
        (tracker(25_000), "as of 1970-01-01T00:16:15.000Z: no tracker has reported since"),
        (None, "not known: no tracker has reported yet: start `mirror up` or `mirror coordinator`"),
        (tracker(partitions=0), "no tracker has a partition"),
        (tracker(partitions=2), "1 of 3 partitions have no tracker: their conversations are not"),
        (tracker(partitions=4), None),
        (tracker(partitions=0, up_ms=100_000), "no tracker has a partition"),
        (tracker(partitions=0, up_ms=20_000), "the tracker is starting: "),
        (tracker(stale_ms=45_000), "is 45 s old: the tracker waits for Kafka"),
        (tracker(stale_ms=45_000, lag=9_000), "is 45 s old: the tracker has 9,000 records to read"),
        (tracker(reasons=("the tracker: refused",)), "the tracker: refused"),
    ],
)
def test_a_count_that_nobody_keeps_is_marked(worker: Worker | None, reason: str | None) -> None:
    """Silent, without partitions, out of date or hindered: the figure of active ones is old. So it
    is where a part of the partitions has no tracker, or none ever reported."""
    facts = _well()
    facts.workers = [] if worker is None else [worker]
    reasons = assemble(facts, 2, LEASE).reasons
    assert len(reasons) == (reason is not None)
    assert reason is None or reason in reasons[0]


def test_work_for_janitors_that_nobody_does_is_a_reason() -> None:
    """Overdue conversations or open gaps, and no janitor heard for three sweeps."""
    facts = _well()
    assert assemble(facts, 2, LEASE).reasons == []
    facts.gaps = GapCounts(open=1)
    facts.conversations = ConversationCounts(active=9, overdue=3)
    assert assemble(facts, 2, LEASE).reasons == []  # since a moment ago
    facts.waited_ms = 250_000
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.startswith(
        "no janitor works, with 3 conversations overdue and 1 gap open: start `mirror up`"
    )
    facts.workers = [TRACKER, Worker(kind="janitor", name="j", at_ms=NOW - 200_000)]
    assert assemble(facts, 2, LEASE).reasons == []
    facts.workers = [TRACKER, Worker(kind="janitor", name="j", at_ms=NOW, reasons=("gaps: 403",))]
    assert assemble(facts, 2, LEASE).reasons == ["janitor: gaps: 403"]
    facts.workers = [TRACKER, Worker(kind="janitor", name="j", at_ms=NOW - 220_000)]
    assert "no janitor works" in assemble(facts, 2, LEASE).reasons[0]


def test_a_projector_that_does_not_project_is_a_reason() -> None:
    """It says why itself, or is silent. Where none ever reported, and where none is wanted, none is
    missed."""
    facts = _well()
    assert assemble(facts, 2, LEASE).reasons == []
    lags = ("the oldest record has waited for 300 s",)
    facts.workers = [TRACKER, Worker(kind="projector", name="p", at_ms=NOW - 9_000, reasons=lags)]
    assert assemble(facts, 2, LEASE).reasons == [f"projector: {lags[0]}"]
    facts.workers = [TRACKER, Worker(kind="projector", name="p", at_ms=NOW - 25_000)]
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.startswith(
        "the state of the projector's topics is as of 1970-01-01T00:16:15.000Z: no projector "
        "has reported since: start `mirror up` or `mirror projector`"
    )
    facts.has_projectors = False
    assert assemble(facts, 2, LEASE).reasons == []


def test_a_janitor_that_is_silent_is_missed_before_work_waits() -> None:
    """The next zombie may be due in hours. A janitor that left in order is missed with the work."""
    facts = _well()
    facts.workers = [TRACKER, Worker(kind="janitor", name="j", at_ms=NOW - 220_000)]
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.startswith("no janitor works: start `mirror up` or `mirror janitor`")
    facts.workers = [TRACKER]
    assert assemble(facts, 2, LEASE).reasons == []


def test_janitors_that_do_not_keep_up_are_a_reason() -> None:
    """Conversations wait for longer than a sweep takes, and no janitor says why."""
    facts = _well()
    facts.workers = [TRACKER, Worker(kind="janitor", name="j", at_ms=NOW)]
    facts.conversations = ConversationCounts(active=9000, overdue=3000)
    facts.waited_ms = facts.overdue_ms = 600_000
    assert assemble(facts, 2, LEASE).reasons == []
    facts.overdue_ms = 1_800_000
    (reason,) = assemble(facts, 2, LEASE).reasons
    assert reason.startswith("3,000 conversations overdue, the first for 30 min: the janitors do")
    hourly = Limits(janitor_ms=janitor_silent_ms(3600.0))
    assert assemble(facts, 2, LEASE, hourly).reasons == []


def test_a_gap_that_is_not_filled_for_long_is_a_reason() -> None:
    """Although nothing failed: its janitor may crash again and again, or have too much to read. It
    is none while it is young, was filed by hand, or has another reason."""
    old = Gap(id="g", shard="0", topics=("t",), from_ms=0, to_ms=999, found=7, read=3)
    (reason,) = late([old], 1_000)
    assert reason == (
        "gap g is not filled, over an hour after the end (3 of 7 conversations of g are read); "
        "see the logs of the janitors"
    )
    (reason,) = late([old, msgspec.structs.replace(old, id="h")], 1_000)
    assert reason.startswith("2 gaps, such as g, are not filled")
    for more in (
        {"to_ms": 1_001},
        {"errors": ("HTTP 403",)},
        {"state": "filled"},
        {"filed_by": "hand"},
    ):
        assert late([msgspec.structs.replace(old, **more)], 1_000) == []


def test_whether_the_native_reader_reads_is_told_of_each_listener() -> None:
    """As its beat says; one of an earlier version, which says nothing, has none."""
    broken = msgspec.structs.replace(_beat("x", _report("a")), native="broken")
    status = assemble(_facts(broken, _beat("y", _report("b"))), 2, LEASE)
    assert [listener.native for listener in status.listeners] == ["broken", "off"]
    assert "NATIVE" in listeners_text(status.listeners)
    assert "broken" in listeners_text(status.listeners)
