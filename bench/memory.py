"""Memory that a conversation takes in a listener: `python -m bench.memory`.

Conversations in frames of 4.2 KB (`harness.traffic`, *changes*) go through the normaliser, or
through the native reader before it, each in a process of its own. Their records are dropped. The
figure is the growth of the resident memory, divided by the number of conversations. The pure reader
packs a conversation that has been quiet for half a minute, so it has two figures; the native reader
packs none.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

from bench.report import conditions, memory_mb, middle, table
from harness.instructions import Totals
from harness.traffic import CONVERSATIONS, LAP, RECEIVED_AT, build
from listeners.counters import Counters
from listeners.receive import native_reader
from listeners.receive.native import Native
from mirror.conversation.normaliser import Normaliser
from mirror.conversation.normaliser.memory import REST_AFTER_SECONDS
from mirror.kafka.record import Recorder

CASES: Final = ("pure", "pure, quiet", "native")
SIZE: Final = 4_200
WARM_LAPS: Final = 4
QUIET_SECONDS: Final = 2 * REST_AFTER_SECONDS
FOR_EVER: Final = 1e9

Read = Callable[[bytes, float], object]


def main() -> None:
    """Measure each case in processes of its own, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--laps", type=int, default=100, help="of 500 conversations each")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--case", choices=CASES, help="measure it here, and print bytes")
    options = parser.parse_args()
    if options.case:
        print(measure(options.case, options.laps))
        return
    print(conditions())
    rows = []
    for case in CASES:
        argv = [sys.executable, "-m", "bench.memory", "--case", case, "--laps", str(options.laps)]
        sizes = [
            float(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
            for _ in range(options.runs)
        ]
        rows.append((case, f"{middle(sizes) / 1024:.2f} KiB"))
    print(table(("reader", "memory a conversation"), rows))


def measure(case: str, laps: int) -> float:
    """Bytes a conversation."""
    lap = build("changes", SIZE)
    normaliser = Normaliser(grace=FOR_EVER)
    read = _native(normaliser) if case == "native" else _pure(normaliser)
    pause = QUIET_SECONDS if case == "pure, quiet" else 0.0
    before = 0.0
    for number in range(WARM_LAPS + laps):
        if number == WARM_LAPS:
            before = memory_mb(os.getpid())
        for payload in lap.payloads:
            read(payload.replace(LAP, b"%08x" % number), number * pause)
    return (memory_mb(os.getpid()) - before) * 2**20 / (laps * CONVERSATIONS)


def _pure(normaliser: Normaliser) -> Read:
    return lambda payload, now: normaliser.frame(payload, RECEIVED_AT, now)


def _native(normaliser: Normaliser) -> Read:
    module = native_reader.load("require")
    recorder = Recorder("genesys-interactions", "region", "json")
    native = Native(module, normaliser, recorder, Counters())
    channel: Any = Totals()

    def read(payload: bytes, now: float) -> None:
        for left in native.pass_by([payload], RECEIVED_AT, now, _drop, channel):
            assert isinstance(left, bytes)
            native.frame(left, RECEIVED_AT, now)

    return read


def _drop(_records: object) -> None:
    """Keep nothing."""


if __name__ == "__main__":
    main()
