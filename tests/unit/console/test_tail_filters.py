"""`mirror tail --queue` and `--agent`: a line for a filter that matches nothing mirrored."""

from __future__ import annotations

import pytest

from console.names import Called
from console.tail import say_unmatched
from mirror.base.errors import RedisUnavailable
from mirror.fleet.names import Family

SUPPORT = "5b2e6bfa-e439-4f0a-8a3e-93da132dee80"
SALES = "7c2e6bfa-e439-4f0a-8a3e-93da132dee81"
ADA = "9d2e6bfa-e439-4f0a-8a3e-93da132dee82"
MIRRORED: dict[Family, dict[str, str | None]] = {
    "queues": {SUPPORT: "Support", SALES: "Sales"},
    "users": {ADA: "Ada"},
}


def said(
    capsys: pytest.CaptureFixture[str],
    *,
    queue: str | None = None,
    agent: str | None = None,
    mirrored: dict[Family, dict[str, str | None]] | None = None,
) -> str:
    """What stands on stderr before the first event."""
    known = MIRRORED if mirrored is None else mirrored
    say_unmatched(Called(mirrored=lambda family: known[family]), queue, agent)
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize("queue", ["Support", "s*", "SUPPORT", "5b2e", SALES, SALES.upper(), None])
def test_a_queue_that_is_mirrored_needs_no_word(
    capsys: pytest.CaptureFixture[str], queue: str | None
) -> None:
    """By its name, a glob, its id or the id's beginning."""
    assert said(capsys, queue=queue) == ""


@pytest.mark.parametrize("queue", ["nosuch", "Sale", ADA])
def test_a_queue_that_is_not_mirrored_is_said(
    capsys: pytest.CaptureFixture[str], queue: str
) -> None:
    """In one line, with what lists the queues. A queue made later may still come."""
    line = said(capsys, queue=queue)
    assert line.count("\n") == 1
    assert line.startswith(
        f"mirror: --queue is {queue!r}, which matches no mirrored queue now (of 2): "
    )
    assert "mirror topics" in line


def test_each_filter_is_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each that matches nothing."""
    lines = said(capsys, queue="nosuch", agent="Bob").splitlines()
    assert [line.split()[1] for line in lines] == ["--queue", "--agent"]
    assert said(capsys, queue="Sales", agent="ada") == ""


def test_people_without_names_are_found_by_ids_alone(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless `MIRROR_PII` is `keep`, their names are not in Redis."""
    nameless: dict[Family, dict[str, str | None]] = {"queues": {}, "users": {ADA: None}}
    assert "MIRROR_PII" in said(capsys, agent="Ada", mirrored=nameless)
    assert said(capsys, agent=ADA[:4], mirrored=nameless) == ""
    assert "MIRROR_PII" not in said(capsys, agent="Bob")


def test_where_nothing_is_known_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Without Redis or a first pass of a leader, or where queues are not subscribed to at all:
    events of users show queues too."""
    say_unmatched(Called(), "nosuch", "nosuch")
    assert capsys.readouterr().err == ""
    nothing: dict[Family, dict[str, str | None]] = {"queues": {}, "users": {}}
    assert said(capsys, queue="nosuch", agent="nosuch", mirrored=nothing) == ""
    unnamed: dict[Family, dict[str, str | None]] = {"queues": {SALES: None}, "users": {}}
    assert said(capsys, queue="Sales", mirrored=unnamed) == ""


def test_without_redis_the_events_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """It went away after the start: the line says what is unknown."""

    def away(_family: Family) -> dict[str, str | None]:
        raise RedisUnavailable("Redis at h:1 is unreachable")

    say_unmatched(Called(mirrored=away), "nosuch", None)
    line = capsys.readouterr().err
    assert line.startswith("mirror: whether --queue matches anything is unknown, Redis at h:1 is")
