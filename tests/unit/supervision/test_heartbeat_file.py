"""The heartbeat file: it is touched, holds who touches it, and needs no room on the disk."""

from __future__ import annotations

import os
from pathlib import Path

from mirror.supervision.heartbeat_file import HeartbeatFile, read_heartbeat


class Clock:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _heartbeat_file(folder: Path, clock: Clock) -> HeartbeatFile:
    return HeartbeatFile(folder / "heartbeats" / "listener-0", clock)


def test_a_beat_names_the_process_and_moves_the_time(tmp_path: Path) -> None:
    """Whoever reads sees whose beat it is, and each beat as a change."""
    clock = Clock()
    heartbeat_file = _heartbeat_file(tmp_path, clock)
    heartbeat_file.touch()
    first = read_heartbeat(tmp_path, "listener-0")
    assert first is not None
    assert (first.pid, first.exit_code) == (os.getpid(), None)
    os.utime(tmp_path / "heartbeats" / "listener-0", (1, 1))
    clock.now += 2
    heartbeat_file.touch()
    second = read_heartbeat(tmp_path, "listener-0")
    assert second is not None
    assert second.written > 10**9 * 10


def test_beats_within_a_second_are_one(tmp_path: Path) -> None:
    """A loop that turns quickly writes once a second."""
    clock = Clock()
    heartbeat_file = _heartbeat_file(tmp_path, clock)
    heartbeat_file.touch()
    os.utime(tmp_path / "heartbeats" / "listener-0", (1, 1))
    clock.now += 0.5
    heartbeat_file.touch()
    sign = read_heartbeat(tmp_path, "listener-0")
    assert sign is not None
    assert sign.written == 10**9


def test_a_file_that_was_taken_away_comes_back(tmp_path: Path) -> None:
    """Clearing the run directory does not silence a process."""
    clock = Clock()
    heartbeat_file = _heartbeat_file(tmp_path, clock)
    heartbeat_file.touch()
    (tmp_path / "heartbeats" / "listener-0").unlink()
    clock.now += 2
    heartbeat_file.touch()
    assert read_heartbeat(tmp_path, "listener-0") is not None


def test_the_exit_code_is_the_last_word(tmp_path: Path) -> None:
    """A process that cannot start says with which code it ends."""
    _heartbeat_file(tmp_path, Clock()).ended(2)
    sign = read_heartbeat(tmp_path, "listener-0")
    assert sign is not None
    assert sign.exit_code == 2


def test_without_supervisord_nothing_is_written(tmp_path: Path) -> None:
    """A process in a container or a terminal leaves no file."""
    heartbeat_file = HeartbeatFile.of({"MIRROR_RUN_DIR": str(tmp_path)})
    heartbeat_file.touch()
    heartbeat_file.ended(2)
    assert list(tmp_path.iterdir()) == []
    assert read_heartbeat(tmp_path, "listener-0") is None


def test_a_folder_that_cannot_be_written_ends_no_process(tmp_path: Path) -> None:
    """A beat that fails is no error; without a file a process is not judged."""
    heartbeat_file = _heartbeat_file(tmp_path / "missing", Clock())
    heartbeat_file.touch()
    heartbeat_file.ended(3)
    assert read_heartbeat(tmp_path / "missing", "listener-0") is None
