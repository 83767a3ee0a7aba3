"""Logs: they hold up nobody, end nobody, and touch nothing of the program that imports us."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import TextIO

import pytest

from docs.build.log_events import PACKAGES, log_events
from mirror.base import log
from mirror.base.sink import Sink

SECONDS = 10.0
# More than the buffer of a pipe holds.
MUCH = 300


def notice(count: int) -> str:
    """What is written once lines are taken again."""
    return f"{count} missing"


@pytest.fixture
def pipe() -> Iterator[tuple[int, TextIO]]:
    """The end to read from, and the stream to write to."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    yield reading, stream
    stream.close()
    os.close(reading)


def read_lines(reading: int, last: str) -> list[str]:
    """All lines up to the one that is `last`."""
    with os.fdopen(os.dup(reading)) as file:
        lines = []
        for line in file:
            lines.append(line.rstrip("\n"))
            if lines[-1] == last:
                return lines
    raise AssertionError(lines)


def test_lines_are_written_in_order(pipe: tuple[int, TextIO]) -> None:
    """As they were put."""
    reading, stream = pipe
    sink = Sink(stream, notice)
    for number in range(100):
        sink.put(f"line {number}")
    assert sink.flush(SECONDS)
    assert read_lines(reading, "line 99") == [f"line {number}" for number in range(100)]
    assert sink.dropped == 0


def test_a_pipe_that_nobody_reads_holds_up_nobody(pipe: tuple[int, TextIO]) -> None:
    """Lines beyond the bound are dropped and counted, and told once the pipe is read again."""
    reading, stream = pipe
    sink = Sink(stream, notice, most_lines=MUCH)
    put = 4 * MUCH
    for number in range(put):
        sink.put(f"{number} " + "x" * 1000)
    dropped = sink.dropped
    assert dropped > MUCH
    assert not sink.flush(0)
    kept: list[str] = []
    told = 0
    with os.fdopen(os.dup(reading)) as file:
        while told < dropped or len(kept) < put - dropped:
            line = file.readline().rstrip("\n")
            if line.endswith(" missing"):
                told += int(line.split()[0])
            else:
                kept.append(line)
            if len(kept) == put - dropped:
                sink.put("a further line, behind which the rest is told")
    assert sink.flush(SECONDS)
    assert told == dropped
    assert [line.split()[0] for line in kept[:2]] == ["0", "1"]


def test_what_waits_is_bounded_in_bytes(pipe: tuple[int, TextIO]) -> None:
    """Few long lines fill it as well."""
    _, stream = pipe
    sink = Sink(stream, notice, most_bytes=1_000_000)
    for _ in range(MUCH):
        sink.put("x" * 10_000)
    assert MUCH - 150 <= sink.dropped < MUCH


def test_a_reader_that_went_away_ends_nobody() -> None:
    """`2>&1 | head -1`: each further line is dropped and counted."""
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w")
    sink = Sink(stream, notice)
    os.close(reading)
    sink.put("one")
    sink.put("two")
    assert sink.flush(SECONDS)
    assert sink.dropped == 2
    stream.close()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")  # noqa: PTH110
def test_a_full_disk_ends_nobody() -> None:
    """ENOSPC: the line is dropped and counted."""
    with open("/dev/full", "w") as stream:  # noqa: PTH123
        sink = Sink(stream, notice)
        sink.put("one")
        assert sink.flush(SECONDS)
        assert sink.dropped == 1


def test_a_descriptor_that_does_not_block_is_waited_for(pipe: tuple[int, TextIO]) -> None:
    """Another process may have set the shared descriptor so."""
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    sink = Sink(stream, notice)
    for number in range(MUCH):
        sink.put(f"{number} " + "x" * 1000)
    sink.put("last")
    assert len(read_lines(reading, "last")) == MUCH + 1
    assert sink.dropped == 0


def test_without_a_stderr_all_is_dropped() -> None:
    """A process that was started with `2>&-`: the descriptor is somebody else's by now."""
    sink = Sink(None, notice)
    sink.put("one")
    assert sink.flush(0)
    assert sink.dropped == 1


def test_a_stream_in_memory_is_written_to() -> None:
    """As under a test runner; a closed one drops."""
    stream = io.StringIO()
    sink = Sink(stream, notice)
    sink.put("one")
    assert sink.flush(SECONDS)
    assert stream.getvalue() == "one\n"
    stream.close()
    sink.put("two")
    assert sink.flush(SECONDS)
    assert sink.dropped == 1


def test_a_configured_process_writes_json_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With process, part, level and time; secrets masked; nothing below the level."""
    monkeypatch.setattr(log, "_output", log._Output())  # this one process runs other tests, too
    known = log.logger("part")
    log.configure("test", "info")
    known.info("opened", shard="3", token="hunter2", url="redis://me:hunter2@host")
    known.debug("quiet")
    known.warning("failed", error=ValueError("no"), exc_info=True)
    assert log.flush(SECONDS)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {
        "process": "test",
        "part": "part",
        "event": "opened",
        "level": "info",
        "shard": "3",
        "token": "***",
        "url": "redis://***@host",
    }
    assert second["error"] == "ValueError: no"
    assert "exc_info" not in second


def python(
    code: str, environ: dict[str, str] | None = None, *, stderr: int = subprocess.PIPE
) -> tuple[int, str]:
    """The exit code, and what is on stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **(environ or {})},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + (done.stderr or "")


def test_importing_us_leaves_the_logs_of_the_program_alone() -> None:
    """A consumer's own structlog goes on as it was, logging of ours included."""
    code = (
        "import structlog, mirror.redis.connect, mirror.kafka.consume, mirror.base.log\n"
        "mirror.base.log.logger('x').info('ours')\n"
        "structlog.get_logger().info('hello')\n"
        "print(structlog.is_configured())"
    )
    code_, text = python(code)
    assert code_ == 0
    assert "hello" in text
    assert "ours" not in text
    assert "False" in text


LISTENER = "from console import run; import sys; sys.exit(run(['listener']))"
NOTHING_THERE = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "MIRROR_STARTUP_TIMEOUT": "100ms",
    "GENESYS_CLIENTS": "a:b",
}


def test_a_process_ends_as_it_would_where_stderr_is_gone() -> None:
    """With the exit code of what is wrong (Kafka is away), and not by its log."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert python(LISTENER, NOTHING_THERE, stderr=writing) == (3, "")
    finally:
        os.close(writing)


def test_a_process_ends_where_nobody_reads_its_stderr() -> None:
    """A pipe that is full from the start."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    try:
        assert python(LISTENER, NOTHING_THERE, stderr=writing) == (3, "")
    finally:
        os.close(reading)
        os.close(writing)


def test_the_line_of_a_failure_follows_the_log() -> None:
    """It is the last line, as it was before."""
    code, text = python(LISTENER, NOTHING_THERE)
    lines = text.splitlines()
    assert code == 3
    assert json.loads(lines[0])["event"] == "starting"
    assert lines[-1].startswith("mirror: Kafka at 127.0.0.1:1 cannot be used")


def test_a_line_has_the_part_of_its_logger() -> None:
    """Whatever fields a caller passes."""
    with log.capture_logs() as lines:
        log.logger("janitor").warning("waiting", part="zombies")
    assert lines == [{"event": "waiting", "part": "janitor", "log_level": "warning"}]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_no_event_has_a_field_that_each_line_has(package: str) -> None:
    """It would overwrite it, or be overwritten."""
    reserved = {"process", "part", "event", "level", "time"}
    assert [event for event in log_events(package) if reserved & set(event.fields)] == []
