"""The watchdog's rules: who is killed, who is started again, who is left."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from supervisor.states import ProcessStates

from mirror.base.errors import SettingsError
from mirror.supervision.heartbeat_file import Heartbeat
from mirror.supervision.watchdog import (
    ASLEEP_SECONDS,
    RETRY_FIRST_SECONDS,
    RETRY_LAST_SECONDS,
    Action,
    Memory,
    Process,
    Watchdog,
    hang_after,
    judge,
    serve,
)

HANG_SECONDS = 20.0


def _process(
    heartbeat: Heartbeat | None = None, state: int = ProcessStates.RUNNING, pid: int = 7
) -> Process:
    return Process("listener", "listener-0", state, pid, heartbeat)


def _replay(history: list[tuple[float, Process]]) -> list[tuple[float, str]]:
    """What is done at which time."""
    memory = Memory(looked_at=history[0][0])
    return [
        (now, action.kind)
        for now, process in history
        for action in judge([process], memory, now, HANG_SECONDS)
    ]


def test_a_process_that_stops_beating_is_killed_once() -> None:
    """It has beaten, then does not for longer than it may: one kill, however long it takes."""
    heartbeat = Heartbeat(pid=7, written=1)
    assert _replay([(t, _process(heartbeat)) for t in range(0, 40, 5)]) == [(20, "kill")]


def test_a_process_that_beats_is_left_alone() -> None:
    """Each beat begins the wait anew, whatever the wall clock that stamps it says."""
    assert _replay([(t, _process(Heartbeat(7, written=-t))) for t in range(0, 200, 5)]) == []


def test_a_process_is_judged_from_its_first_beat_on() -> None:
    """One that waits for its dependencies beats not yet; a dead predecessor's file is not its."""
    assert _replay([(t, _process(None)) for t in range(0, 200, 5)]) == []
    assert _replay([(t, _process(Heartbeat(6, 1))) for t in range(0, 200, 5)]) == []


def test_a_process_that_is_being_stopped_is_left_alone() -> None:
    """Draining takes longer than a hang may; supervisord has its own wait for it."""
    history = [(0.0, _process(Heartbeat(7, 1)))]
    history += [(t, _process(Heartbeat(7, 1), ProcessStates.STOPPING)) for t in range(5, 60, 5)]
    assert _replay(history) == []


def test_a_watchdog_that_slept_kills_nobody() -> None:
    """After a suspended machine every process gets its full time again."""
    heartbeat = Heartbeat(7, 1)
    wakes = 5 + ASLEEP_SECONDS + 1
    history = [(0.0, _process(heartbeat)), (5.0, _process(heartbeat)), (wakes, _process(heartbeat))]
    history += [(wakes + t, _process(heartbeat)) for t in (5, 10, 15)]
    assert _replay(history) == []
    assert _replay([*history, (wakes + HANG_SECONDS, _process(heartbeat))]) == [
        (wakes + HANG_SECONDS, "kill")
    ]


def test_what_was_given_up_is_started_again_ever_more_slowly() -> None:
    """The first try comes soon, later ones with longer pauses up to a minute, without end."""
    fatal = _process(None, ProcessStates.FATAL, pid=0)
    tries = [now for now, action in _replay([(t, fatal) for t in range(0, 600, 5)]) if action]
    pauses = [b - a for a, b in pairwise(tries)]
    assert tries[0] == RETRY_FIRST_SECONDS
    assert pauses[:4] == [10, 20, 40, 60]
    assert set(pauses[4:]) == {RETRY_LAST_SECONDS}


def test_pauses_begin_anew_after_a_process_stayed() -> None:
    """A later trouble is another one."""
    memory = Memory(looked_at=0.0)
    fatal = _process(None, ProcessStates.FATAL, pid=0)
    for now in range(0, 60, 5):
        judge([fatal], memory, now, HANG_SECONDS)
    judge([_process()], memory, 60, HANG_SECONDS)
    assert judge([fatal], memory, 65, HANG_SECONDS) == []
    assert [a.kind for a in judge([fatal], memory, 65 + RETRY_FIRST_SECONDS, HANG_SECONDS)] == [
        "start"
    ]


def test_a_wrong_setting_is_not_tried_again() -> None:
    """Exit code 2 is told once and left; other codes are tried."""
    wrong = _process(Heartbeat(5, 1, exit_code=2), ProcessStates.FATAL, pid=0)
    assert _replay([(t, wrong) for t in range(0, 300, 5)]) == [(0, "leave")]
    missing = _process(Heartbeat(5, 1, exit_code=3), ProcessStates.FATAL, pid=0)
    assert (5, "start") in _replay([(t, missing) for t in range(0, 20, 5)])


@pytest.mark.parametrize("text", ["soon", "0", "-1s"])
def test_a_bad_patience_is_a_setting_error(text: str) -> None:
    """It names the variable and what it takes."""
    with pytest.raises(SettingsError, match="MIRROR_HANG_AFTER"):
        hang_after({"MIRROR_HANG_AFTER": text})


class _Refusing:
    """A supervisord that is going away."""

    supervisor: Any

    def __init__(self) -> None:
        self.supervisor = self

    def getAllProcessInfo(self) -> list[dict[str, Any]]:  # noqa: N802 - supervisord's name
        raise ConnectionRefusedError


def test_every_event_is_answered_and_the_end_of_input_is_the_end(tmp_path: Path) -> None:
    """supervisord's protocol: READY, an event, OK, also where a look fails."""
    watchdog = Watchdog(_Refusing(), tmp_path, HANG_SECONDS)
    out = io.StringIO()
    event = "ver:3.0 server:supervisor serial:1 pool:watchdog poolserial:1 eventname:TICK_5 len:6\n"
    serve(watchdog, io.StringIO(event + "when:1"), out)
    assert out.getvalue() == "READY\nRESULT 2\nOKREADY\n"


def test_an_action_names_its_process_as_supervisorctl_does() -> None:
    """`group:name` is what supervisord takes."""
    assert Action("kill", _process(), "reason").process.full_name == "listener:listener-0"
