"""The one-tenth rule of dead letters."""

from __future__ import annotations

from listeners.publish.dead_letters import DeadLetterWatch


def watched(steps: list[tuple[float, int, int]]) -> bool:
    """Whether a channel with these totals over time is bad at the end."""
    watch = DeadLetterWatch()
    for now, frames, dead_letters in steps:
        watch.update(now, frames, dead_letters)
    return watch.is_bad()


def test_more_than_a_tenth_is_bad() -> None:
    """Eleven of a hundred in a minute."""
    assert watched([(0, 0, 0), (10, 100, 11)])
    assert not watched([(0, 0, 0), (10, 100, 10)])


def test_chance_is_not_a_state() -> None:
    """One or two bad frames on a quiet channel are not worth an alarm."""
    assert not watched([(0, 0, 0), (10, 3, 2)])


def test_recovers_within_about_a_minute() -> None:
    """What was bad more than a minute ago does not count."""
    steps = [(0.0, 0, 0), (5.0, 100, 100)]
    steps += [(5.0 + second, 100 + second * 10, 100) for second in range(1, 80)]
    assert not watched(steps)
    assert watched(steps[:3])
