"""How soon a process works again under supervisord: `python -m bench.recovery`.

The sandbox on one machine (`mirror sandbox`: 60 users, 2 listeners, a coordinator, a janitor), its
conversations going on, under `deploy/supervisord.conf` and its watchdog with their defaults. One
process at a time is

- killed (SIGKILL): supervisord starts it again;
- frozen (SIGSTOP), as any hang: the watchdog kills it after `MIRROR_HANG_AFTER`;
- given up: a listener whose topics are missing ends at once until supervisord calls it FATAL, and
  a while later its topics come: the watchdog starts it again, ever more seldom.

Told is how long it takes from there until the process beats, and for those that others depend on
until a coordinator leads and every seat has a live channel. A strike comes at a random moment of
the watchdog's round.

Does not show: a host that is lost, or a listener with many channels.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bench.report import conditions, interleaved, middle, table
from harness.embedded import Scene
from harness.process import wait_until
from harness.sandbox import Sandbox
from harness.supervised import await_another, process_of, whole
from mirror.kafka.admin import ensure_topics
from mirror.settings import load
from mirror.settings.supervised import HANG_AFTER
from mirror.supervision import supervise

LISTENER, COORDINATOR, JANITOR = "listener-0", "coordinator-0", "janitor-0"
SUBJECTS: Final = (LISTENER, COORDINATOR, JANITOR)
#: A janitor holds no seat.
MATTERS: Final = frozenset({LISTENER, COORDINATOR})
DEADLINE_SECONDS: Final = 150.0
TICK_SECONDS: Final = 5.0  # of the watchdog
GIVEN_UP: Final = """\
[program:given-up-{number}]
command = %(ENV_MIRROR_PYTHON)s -m listeners
environment = MIRROR_STARTUP_TIMEOUT="0",MIRROR_METRICS_PORT="0",{own}
autostart = false
autorestart = unexpected
exitcodes = 2
startsecs = 20
startretries = 3
redirect_stderr = true
stdout_logfile = %(ENV_MIRROR_LOG_DIR)s/given-up-{number}.log
"""

Seconds = tuple[float, float | None]  # until it beats, and until all is whole


def main() -> None:
    """Run, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="of each row")
    parser.add_argument("--away", type=float, default=30.0, help="seconds given up before it mends")
    options = parser.parse_args()
    print(conditions(), flush=True)
    sandbox = Sandbox(Scene(rate=1.0))
    sandbox.environment["MIRROR_HANG_AFTER"] = HANG_AFTER
    _add_given_up(sandbox, options.runs)
    with sandbox:
        bench = Bench(sandbox)
        rows: list[tuple[str, list[Seconds]]] = []
        for harm, number in (("killed", signal.SIGKILL), ("frozen", signal.SIGSTOP)):
            results = interleaved(SUBJECTS, options.runs, bench.strike(number))
            rows += [(f"{name.partition('-')[0]} {harm}", results[name]) for name in SUBJECTS]
        given_up: list[Seconds] = [
            (bench.given_up(index, options.away), None) for index in range(options.runs)
        ]
    rows.append((f"listener given up {options.away:.0f} s ago, topics made", given_up))
    lease = sandbox.settings.lease
    print(f"MIRROR_HANG_AFTER={HANG_AFTER}, MIRROR_LEASE={lease:g}s, {options.runs} runs")
    print("seconds until it beats, and until every seat is live: median, least, most")
    print(table(("", "beats", "min", "max", "whole", "min", "max"), map(_row, rows)))


class Bench:
    """Strikes at processes of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._random = random.Random(7)

    def strike(self, number: signal.Signals) -> Callable[[str], Seconds]:
        """What sends a signal to a process and waits until it and all others work again."""

        def strike_once(name: str) -> Seconds:
            sandbox = self._sandbox
            wait_until(lambda: whole(sandbox), DEADLINE_SECONDS, "every seat is live")
            time.sleep(self._random.uniform(0, TICK_SECONDS))
            pid = process_of(sandbox.state, name).pid
            began = time.monotonic()
            os.kill(pid, number)
            until_beat = await_another(sandbox.state, name, pid, DEADLINE_SECONDS)
            if name not in MATTERS:
                return _told(number.name, name, until_beat, None)
            wait_until(lambda: whole(sandbox, (pid,)), DEADLINE_SECONDS, "every seat is live again")
            return _told(number.name, name, until_beat, time.monotonic() - began)

        return strike_once

    def given_up(self, number: int, away: float) -> float:
        """Seconds from the return of a dependency until the listener that lacked it beats."""
        sandbox, name = self._sandbox, f"given-up-{number}"
        subprocess.run(
            supervise.control("start", name),
            env=sandbox.environment,
            stdout=subprocess.DEVNULL,
            check=False,  # it cannot start, which is the point
        )

        def fatal() -> bool:
            return process_of(sandbox.state, name).state == "FATAL"

        wait_until(fatal, DEADLINE_SECONDS, f"{name} is given up")
        time.sleep(away + self._random.uniform(0, TICK_SECONDS))
        ensure_topics(load({**sandbox.environment, **_own(number)}))
        until_beat, _ = _told(
            "given up", name, await_another(sandbox.state, name, 0, DEADLINE_SECONDS), None
        )
        return until_beat


def _own(number: int) -> dict[str, str]:
    """What a listener that is to be given up has for itself: topics that are not there."""
    name = f"given-up-{number}"
    return {
        "MIRROR_TOPIC": name,
        "MIRROR_DEAD_LETTER_TOPIC": f"{name}.dlq",
        "MIRROR_NAMESPACE": name,
    }


def _add_given_up(sandbox: Sandbox, count: int) -> None:
    """Have supervisord know them, and start none."""
    include = Path(sandbox.state) / "given-up.conf"
    text = [
        GIVEN_UP.format(number=index, own=",".join(f'{k}="{v}"' for k, v in _own(index).items()))
        for index in range(count)
    ]
    include.write_text("\n".join(text), encoding="utf-8")
    sandbox.environment["MIRROR_SUPERVISOR_INCLUDE"] += f" {include}"


def _told(harm: str, name: str, until_beat: float, until_whole: float | None) -> Seconds:
    """Show that the run goes on: it takes a quarter of an hour."""
    rest = "" if until_whole is None else f", whole after {until_whole:.1f} s"
    print(f"{harm} {name}: beats after {until_beat:.1f} s{rest}", file=sys.stderr, flush=True)
    return until_beat, until_whole


def _row(row: tuple[str, list[Seconds]]) -> list[str]:
    name, runs = row
    cells = [name]
    for values in ([run for run, _ in runs], [two for _, two in runs if two is not None]):
        cells += [f"{f(values):.1f}" if values else "" for f in (middle, min, max)]
    return cells


if __name__ == "__main__":
    main()
