"""The waits of a start: one deadline for all, and each reason logged once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mirror.base.errors import GenesysUnavailable
from mirror.base.log import capture_logs
from mirror.runtime.startup import LEAST_SECONDS, RETRY_SECONDS, Startup
from mirror.settings import load


class Clock:
    """Time that passes where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def failing(*texts: str) -> Callable[[], None]:
    """A sign-in that fails with each of these in turn, and then works."""
    left = list(texts)

    def sign_in() -> None:
        if left:
            raise GenesysUnavailable(left.pop(0))

    return sign_in


def start(clock: Clock, timeout: str) -> Startup:
    """A start-up with that time-out."""
    settings = load({"MIRROR_STARTUP_TIMEOUT": timeout})
    return Startup(settings, clock=clock, sleep=clock.sleep)


def test_each_reason_is_logged_once() -> None:
    """However long Genesys is away; a new reason is news."""
    clock = Clock()
    with capture_logs() as lines:
        start(clock, "60s").genesys(failing("a", "a", "a", "b", "b"))
    assert [(line["event"], str(line["error"])) for line in lines] == [
        ("waiting_for_genesys", "a"),
        ("waiting_for_genesys", "b"),
    ]
    assert clock.now == 100.0 + 5 * RETRY_SECONDS


def test_one_client_that_signs_in_is_enough() -> None:
    """The log names the others, and the process starts."""
    clock = Clock()
    with capture_logs() as lines:
        start(clock, "5s").genesys(failing(*["refused"] * 9), failing())
    assert [(line["event"], str(line["error"])) for line in lines] == [
        ("sign_in_failed", "refused")
    ]
    assert clock.now == 100.0


def test_each_reason_is_noted_while_it_lasts() -> None:
    """Status can show it at any time."""
    clock, noted = Clock(), list[str]()
    settings = load({"MIRROR_STARTUP_TIMEOUT": "0"})
    startup = Startup(settings, waits=noted.append, clock=clock, sleep=clock.sleep)
    startup.genesys(failing("a", "a", "b"))
    assert noted == ["a", "a", "b"]


def test_all_waits_share_one_deadline() -> None:
    """The second wait gets what the first left; then its reason ends the start."""
    clock = Clock()
    startup = start(clock, "5s")
    startup.genesys(failing("a", "a"))
    with pytest.raises(GenesysUnavailable, match="late"):
        startup.genesys(failing(*["late"] * 9))
    assert clock.now < 105.0
    clock.now = 200.0
    assert startup.left() == LEAST_SECONDS


def test_without_a_deadline_it_waits_for_ever() -> None:
    """0 is how Kafka, the registry and Redis are told so, too."""
    clock = Clock()
    startup = start(clock, "0")
    startup.genesys(failing(*["away"] * 10_000))
    assert startup.left() == 0.0
