"""The document of the view "Mirror": every gap, and the shards that no channel receives."""

from __future__ import annotations

from typing import Any

from dashboard.reader.fleet import Fleet, document
from mirror.base.health import Status
from mirror.fleet.gaps import Gap, GapView, OngoingGap, view, view_ongoing
from mirror.fleet.status import (
    ConversationCounts,
    GapCounts,
    MirrorStatus,
    ReplicaStatus,
    ShardStatus,
)

NOW = 1_000_000
FILED = Gap(id="g", shard="1", topics=("t",), from_ms=1_000, to_ms=2_000, state="filled")


def told(shards: list[ShardStatus], *gaps: GapView, health: Status = "degraded") -> dict[str, Any]:
    """The page's caveat for these shards and gaps."""
    status = MirrorStatus(
        health=health,
        reasons=[],
        leader="c",
        listeners=[],
        shards=shards,
        gaps=GapCounts(),
        conversations=ConversationCounts(),
    )
    return document(Fleet(NOW, status, [], [], list(gaps), []))


def shard(name: str, *seats: tuple[str, int | None]) -> ShardStatus:
    """A shard whose seats are in these states, with the age of their last frame."""
    replicas = [
        ReplicaStatus(replica=letter, state=state, last_frame_ms=age)
        for letter, (state, age) in zip("ab", seats, strict=False)
    ]
    return ShardStatus(id=name, topics=900, replicas=replicas)


def test_a_gap_that_still_grows_is_listed() -> None:
    """Among the open ones, to this moment, as `mirror gaps` does."""
    lasting = view_ongoing(OngoingGap("2", 5_000, 900), NOW)
    gaps = told([], view(FILED), lasting)["gaps"]
    assert [gap.id for gap in gaps["latest"]] == ["g", "lasting-2"]
    assert gaps["states"] == {"filled": 1, "open": 1}
    assert gaps["latest"][1].lasts
    assert gaps["latest"][1].to == "1970-01-01T00:16:40.000Z"


def test_open_gaps_come_before_closed_ones_where_there_are_too_many() -> None:
    """The latest closed ones stay."""
    closed = [
        view(Gap(id=f"c{n:03}", shard="1", topics=("t",), from_ms=n, to_ms=n + 1, state="filled"))
        for n in range(5_000, 5_400)
    ]
    lasting = view_ongoing(OngoingGap("2", 0, 900), NOW)
    shown = [gap.id for gap in told([], *closed, lasting)["gaps"]["latest"]]
    assert (len(shown), shown[0], shown[1], shown[-1]) == (300, "lasting-2", "c5101", "c5399")


def test_gaps_asked_for_by_hand_are_counted_apart() -> None:
    """As far as they are open."""
    open_one = Gap(id="h", shard="-", topics=("t",), from_ms=0, to_ms=1, filed_by="hand")
    done = Gap(
        id="i", shard="-", topics=("t",), from_ms=0, to_ms=1, filed_by="hand", state="filled"
    )
    assert told([], view(open_one), view(done), view(FILED))["gaps"]["by_hand"] == 1


def test_a_shard_that_no_channel_receives_is_told() -> None:
    """Since its last frame on any replica, or as the leader says where it noticed."""
    live = shard("1", ("live", 100), ("lost", None))
    lost = shard("2", ("lost", 40_000), ("opening", 10_000))
    assert told([live])["unreceived"] is None
    assert told([live, lost])["unreceived"] == {
        "shards": ["2"],
        "more": 0,
        "topics": 900,
        "since": "1970-01-01T00:16:30.000Z",
    }
    noticed = view_ongoing(OngoingGap("2", 5_000, 900), NOW)
    assert told([live, lost], noticed)["unreceived"]["since"] == "1970-01-01T00:00:05.000Z"


def test_a_shard_that_was_never_received_has_no_since() -> None:
    """Its snapshot begins days ago, and nothing was lost then."""
    fresh = view_ongoing(OngoingGap("2", 5_000, 900, fresh=True), NOW)
    found = told([shard("1", ("live", 1)), shard("2", ("opening", None))], fresh)["unreceived"]
    assert (found["shards"], found["since"]) == (["2"], None)


def test_a_channel_that_hears_nothing_receives_nothing() -> None:
    """The leader knows where a live channel is deaf."""
    deaf = view_ongoing(OngoingGap("1", 5_000, 900), NOW)
    shards = [shard("1", ("live", 1)), shard("2", ("live", 1))]
    assert told(shards, deaf)["unreceived"]["shards"] == ["1"]


def test_where_the_mirror_is_down_no_shard_is_told() -> None:
    """The page says that nothing is mirrored; many shards are named up to five."""
    shards = [shard(str(n), ("lost", 1_000 * n)) for n in range(1, 8)]
    assert told(shards, health="down")["unreceived"] is None
    found = told([*shards, shard("8", ("live", 1))])["unreceived"]
    assert (found["shards"], found["more"], found["topics"]) == (list("12345"), 2, 6_300)
    assert found["since"] == "1970-01-01T00:16:33.000Z"
