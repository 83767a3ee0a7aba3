"""The status says `ok` only when every seat has a live channel of a live listener."""

from __future__ import annotations

import msgspec

from mirror.fleet.gaps import Gap, Hole, reasons
from mirror.fleet.status import ConversationCounts, Facts, GapCounts, assemble
from mirror.fleet.words import Beat, ChannelReport, ChannelState, Shard

NOW = 1_000_000
LEASE = 8_000


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


def test_the_channels_of_a_dead_listener_are_lost() -> None:
    """No beat within the lease: what it last said of its channels counts for nothing."""
    status = assemble(_facts(_beat("x", _report("a")), age=LEASE + 1), 2, LEASE)
    assert status.health == "down"
    assert status.listeners[0].state == "dead"
    assert status.shards[0].replicas[0].state == "lost"


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
    assert "t2" in status.reasons[0]


def test_all_that_are_refused_are_named_up_to_five() -> None:
    """With the reason; beyond that their number, and `--json` has every name."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.shards = {"0": Shard("0", tuple(f"t{n}" for n in range(9)), 1)}
    facts.rejected = {f"t{n}": "it needs routing:queue:view" for n in range(7)}
    status = assemble(facts, 2, LEASE)
    assert status.reasons == ["shard 0: it needs routing:queue:view: t0, t1, t2, t3, t4 and 2 more"]
    assert len(status.shards[0].rejected) == 7


def test_a_hole_is_an_open_gap_while_it_lasts() -> None:
    """Nobody receives a shard: counted, and told since when."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.gaps = GapCounts(open=2, filled=3)
    facts.holes = [Hole("0", 5_000, 2)]
    status = assemble(facts, 2, LEASE)
    assert status.reasons == ["nobody receives shard 0 (2 topics) since 1970-01-01T00:00:05.000Z"]
    assert (status.gaps.open, status.gaps.filled) == (3, 3)


def test_seats_with_the_same_trouble_are_told_together() -> None:
    """One reason names the first of them."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.troubles = {f"{n}/b": "no listener can take it" for n in range(7)} | {"9/a": "stuck"}
    status = assemble(facts, 2, LEASE)
    assert status.reasons == [
        "7 seats: 0/b, 1/b, 2/b, 3/b, 4/b …: no listener can take it",
        "seat 9/a: stuck",
    ]


def test_no_leader_is_degraded() -> None:
    """Channels go on without a coordinator, but nobody would replace a dead one."""
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.leader = None
    assert assemble(facts, 2, LEASE).reasons == ["no coordinator leads"]


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
        "2 gaps, as g1, could not be read to the end yet: 403",
        "gap g3, cannot be filled: 403",
    ]
    done = msgspec.structs.replace(gap, state="filled", errors=())
    assert reasons([done, msgspec.structs.replace(gap, errors=())]) == []
    facts = _facts(_beat("x", _report("a")), _beat("y", _report("b")))
    facts.gap_reasons = found
    status = assemble(facts, 2, LEASE)
    assert (status.health, status.reasons) == ("degraded", found)
