"""A process that waits for its end by `mirror.signals`, stopped and continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

WAITS = 0.2
PROGRAM = f"""
from mirror import signals
signals.block()
print("waits", flush=True)
while (name := signals.wait({WAITS})) is None:
    pass
print(name, flush=True)
"""


def test_a_stop_and_a_continue_end_nothing() -> None:
    """Also where the stop lasts longer than a wait; a signal then still ends it in order."""
    argv = [sys.executable, "-c", PROGRAM]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            time.sleep(2 * WAITS)
            process.send_signal(signal.SIGCONT)
            os.waitid(os.P_PID, process.pid, os.WCONTINUED)
        process.terminate()
        assert process.stdout.read() == "SIGTERM\n"
    assert process.returncode == 0
