"""Renewals and rotations fall due one after the other, and always in time."""

from __future__ import annotations

from listeners.channels.lifetime import RENEW_AT, ROTATE_TOKEN_AT, UNRENEWED, Lifetime, moment

DAY = 86_400.0
FORETOLD = 0.172539
SHARDS = [str(number) for number in range(51)]


def test_replicas_of_a_shard_never_fall_due_together() -> None:
    """Whatever the shard, its replicas are at least an eighth of the window apart."""
    for window in (RENEW_AT, ROTATE_TOKEN_AT):
        apart = (window[1] - window[0]) / 4
        for shard in SHARDS:
            assert moment(shard, "b", window) - moment(shard, "a", window) > apart
            assert window[0] <= moment(shard, "a", window) <= window[1]
            assert window[0] <= moment(shard, "b", window) <= window[1]


def test_replicas_of_different_shards_keep_apart_too() -> None:
    """All first replicas are through before the first second one begins."""
    latest_a = max(moment(shard, "a", ROTATE_TOKEN_AT) for shard in SHARDS)
    assert latest_a < min(moment(shard, "b", ROTATE_TOKEN_AT) for shard in SHARDS)


def test_shards_are_spread_over_their_part() -> None:
    """Fifty-one shards rotate over half an hour of a day's token, not in one minute."""
    moments = sorted(DAY * moment(shard, "a", ROTATE_TOKEN_AT) for shard in SHARDS)
    assert moments[-1] - moments[0] > 1_800
    crowd = max(sum(start <= other < start + 120 for other in moments) for start in moments)
    assert crowd <= 12


def test_a_seat_has_the_same_moment_in_every_process() -> None:
    """It follows from the seat alone."""
    assert moment("7", "a", (0.0, 1.0)) == moment("7", "a", (0.0, 1.0))
    assert round(moment("7", "a", (0.0, 1.0)), 6) == FORETOLD


def test_a_token_that_was_made_later_ends_later() -> None:
    """The request for a successor comes within the window of this token's own life."""
    life = Lifetime("1", "a", 0.0, adopted=False)
    life.made(1_000.0, DAY)
    life.watch(1_000.0 + DAY * ROTATE_TOKEN_AT[0] - 1)
    assert life.rotate == ""
    life.watch(1_000.0 + DAY * ROTATE_TOKEN_AT[1])
    assert (life.rotate, life.rotate_since) == ("token_expiring", 1_000 + DAY * ROTATE_TOKEN_AT[1])


def test_a_renewal_that_does_not_succeed_ends_in_a_wish() -> None:
    """Put off again and again, it asks for a successor before the channel is over."""
    life = Lifetime("1", "b", 0.0, adopted=False)
    life.expires(0.0, DAY)
    assert life.renewal_due(DAY * RENEW_AT[1])
    life.put_off(DAY * 0.89)
    assert not life.renewal_due(DAY * RENEW_AT[1])
    life.watch(DAY * UNRENEWED)
    assert life.rotate == "channel_expiring"
