"""The tracker is unwell when it does no work, and its count is known to be old before that."""

from __future__ import annotations

import msgspec

from coordinator.tracker.health import Partition, Statistics, Topic, TrackerHealth

GROUP = "mirror-default-tracker"


def statistics(*up: int, leaders: tuple[int, ...] = (1, 1)) -> Statistics:
    """Brokers that are connected, and who leads the partitions."""
    brokers = {f"b{n}": {"nodeid": n, "nodename": f"b{n}", "state": "UP"} for n in up}
    return Statistics(
        brokers=msgspec.Raw(msgspec.json.encode(brokers)),
        topics={"t": Topic({str(n): Partition(n, node) for n, node in enumerate(leaders)})},
    )


def at_work(until: int = 1) -> TrackerHealth:
    """A tracker that folds all there is, up to that second."""
    health = TrackerHealth(GROUP, 0.0)
    health.assigned(0.0)
    for second in range(until + 1):
        health.sampled(statistics(1), {0, 1}, "t", second)
        health.measured(0, second, second)
    return health


def test_a_tracker_at_work_has_nothing_to_say() -> None:
    """Folded to the end, a broker connected, in the group."""
    health = at_work(120)
    assert health.reasons(120) == ()
    assert health.stale_ms(120) == 0


def test_the_partitions_of_the_topic_are_counted() -> None:
    """Own and others', without librdkafka's -1; then a reader sees whether all have a tracker."""
    health = TrackerHealth(GROUP, 0.0)
    assert health.partitions == 0
    known = statistics(1, leaders=(1, 1, 2))
    known.topics["t"].partitions["-1"] = Partition(-1)
    health.sampled(known, {0}, "t", 1)
    assert health.partitions == 3


def test_no_partitions_for_a_minute_is_a_reason() -> None:
    """At a start it may take a while; with partitions, be it none of many, it is over."""
    health = TrackerHealth(GROUP, 0.0)
    for second in range(100):
        health.sampled(statistics(1), (), "t", second)
        health.measured(0, 0, second)
    assert health.reasons(59) == ()
    (reason,) = health.reasons(60)
    assert "no partitions for 60 s" in reason
    assert GROUP in reason
    assert health.stale_ms(60) == 60_000
    health.assigned(100)
    assert health.reasons(100) == ()


def test_records_that_cannot_be_read_are_told() -> None:
    """Also where nothing waits: nothing of them is tracked. A few among many are only counted."""
    health = at_work(10)
    told = []
    for second in range(11, 120):
        health.sampled(statistics(1), {0, 1}, "t", second)
        health.measured(0, 100 * second, second, second if second < 40 else 45)
        told.append(health.reasons(second))
    assert told == [()] * len(told)
    health.measured(0, 100 * 119, 120, 50)
    (reason,) = health.reasons(120)
    assert "50 records could not be read" in reason
    for second in range(121, 181):
        health.sampled(statistics(1), {0, 1}, "t", second)
        health.measured(0, 100 * second, second, 50)
    assert (health.reasons(179), health.reasons(180)) == ((reason,), ())


def test_a_refused_group_is_told_at_once_and_for_as_long_as_it_lasts() -> None:
    """librdkafka says it once."""
    health = TrackerHealth(GROUP, 0.0)
    health.failed("GROUP_AUTHORIZATION_FAILED", "Broker: Group authorization failed", 1)
    for second in range(2, 1_000):
        health.sampled(statistics(1), (), "t", second)
    (reason,) = health.reasons(999)
    assert "GROUP_AUTHORIZATION_FAILED" in reason
    assert "heroku kafka:consumer-groups:create" in reason
    health.assigned(1_000)
    assert health.reasons(1_000) == ()


def test_an_error_that_is_not_repeated_is_over() -> None:
    """And one that is, is not; the step stands beside it."""
    health = at_work()
    health.failed("TOPIC_AUTHORIZATION_FAILED", "no", 2)
    for second in range(2, 200):
        health.sampled(statistics(1), {0, 1}, "t", second)
        health.measured(0, 1, second)
    assert "grant Read" in health.reasons(100)[0]
    assert health.reasons(199) == ()


def test_a_refusal_of_the_topic_is_asked_for_again() -> None:
    """librdkafka tells it once, and nothing waits that could show it. Once per interval, and not
    what is no refusal."""
    health = at_work()
    health.failed("_TRANSPORT", "connection reset", 2)
    assert not any(health.asks_again(second) for second in range(2, 200))
    health.failed("TOPIC_AUTHORIZATION_FAILED", "no", 200)
    assert [second for second in range(200, 330) if health.asks_again(second)] == [260, 320]
    health.failed("TOPIC_AUTHORIZATION_FAILED", "no", 321)
    assert not health.asks_again(380)
    assert health.asks_again(381)


def test_without_a_broker_the_count_is_old() -> None:
    """Kafka away: told after ten seconds, since when."""
    health = at_work(10)
    for second in range(11, 41):
        health.sampled(statistics(), {0, 1}, "t", second)
        health.measured(0, 10, second)
    assert "no Kafka broker is connected for 30 s" in health.reasons(40)[0]
    assert health.stale_ms(40) > 20_000
    health.sampled(statistics(1), {0, 1}, "t", 41)
    health.measured(0, 10, 41)
    assert health.reasons(41) == ()
    assert health.stale_ms(41) == 0


def test_back_in_touch_but_out_of_the_group_the_count_stays_old() -> None:
    """After an outage the group needs a while: what is shown is from before."""
    health = at_work(10)
    health.lost(11)
    for second in range(11, 50):
        health.sampled(statistics(1), (), "t", second)
        health.measured(0, 10, second)
    assert health.stale_ms(49) == 39_000


def test_a_partition_without_its_leader_is_named() -> None:
    """Two brokers, one of them away."""
    health = at_work()
    for second in range(2, 20):
        health.sampled(statistics(1, leaders=(1, 2)), {0, 1}, "t", second)
        health.measured(0, 1, second)
    assert "1 partition (1) cannot be read for 17 s" in health.reasons(19)[0]
    assert health.stale_ms(19) == 18_000


def test_records_that_wait_and_are_not_folded_are_a_reason() -> None:
    """Nothing moves: old after ten seconds, a fault after a minute."""
    health = at_work()
    for second in range(2, 80):
        health.sampled(statistics(1), {0, 1}, "t", second)
        health.measured(5, 1, second)
    assert "5 records wait and none was folded" in health.reasons(79)[0]
    assert health.stale_ms(79) > 60_000


def test_a_lag_that_only_grows_is_a_reason() -> None:
    """It folds, and more comes; a lag that shrinks is only work."""
    grows, shrinks = at_work(), at_work()
    for second in range(2, 400):
        for health, lag in ((grows, 5_000 + second), (shrinks, max(0, 90_000 - 400 * second))):
            health.sampled(statistics(1), {0, 1}, "t", second)
            health.measured(lag, second, second)
    assert "does not catch up" in grows.reasons(399)[0]
    assert shrinks.reasons(399) == ()
