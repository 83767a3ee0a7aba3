"""Counts the machine instructions that a frame costs a listener: `python -m bench.instructions`.

The times of the other benchmarks depend on the machine and the day. The number of instructions does
not: it is the same wherever the same Python runs the same code. So a build can be held to it
(`tests/integration/test_cost.py`). It needs valgrind (Debian: `valgrind`).

`decode` is the least cost: it cuts frames out of the stream and decodes them into typed structs.
`listener` does all that a listener's loop does between socket and librdkafka's queue: cut,
normalise, encode, headers, partition, `produce`. There is no broker, and only the loop's thread is
counted: librdkafka's threads work by the clock, so on a busy machine they do more. `native` is the
same with the native reader, if it is built. Ratios compare `listener` to `decode` for the same
frames.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from harness.traffic import RECEIVED_AT, Kind, Lap, build

Stage = Literal["decode", "listener", "native"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)
CONVERSATIONS: Final = 80
SIZE: Final = 4_200
RUN_SECONDS: Final = 300.0
READ_BYTES: Final = 64 * 1024  # a read of the socket
NOWHERE: Final = "127.0.0.1:1"
PARTITIONS: Final = 12
# valgrind counts `rep movsb` once for each byte. The C library copies with it what is large; with
# this it copies 32 bytes at once, as it does what is small.
_TUNABLES: Final = ":".join(
    f"glibc.cpu.x86_rep_{name}_threshold={1 << 30}" for name in ("movsb", "stosb")
)
_TOTALS: Final = re.compile(rb"^(?:totals|summary): (\d+)", re.MULTILINE)


class Cost(msgspec.Struct, frozen=True):
    """Instructions a frame."""

    traffic: Kind
    decode: float
    listener: float
    native: float | None = None

    @property
    def ratio(self) -> float:
        """The cost of `listener` divided by that of `decode`."""
        return self.listener / self.decode


def is_possible() -> bool:
    """Whether instructions can be counted here."""
    return shutil.which("valgrind") is not None


def has_native() -> bool:
    """Whether the native reader is built."""
    from listeners.receive import native_reader

    return native_reader.load("auto") is not None


def costs(kinds: Sequence[Kind], conversations: int = CONVERSATIONS) -> list[Cost]:
    """The costs of each kind of traffic, over the whole lives of this many conversations.

    Raises `OSError` without valgrind.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        for kind in kinds:
            lap = build(kind, SIZE, conversations)
            path = Path(folder, kind)
            lap.write(path)
            stages = STAGES if has_native() else STAGES[:2]
            asked = [pool.submit(count, stage, path) for stage in stages]
            found.append((kind, len(lap.payloads), asked))
        return [
            Cost(kind, *(future.result() / frames for future in asked))
            for kind, frames, asked in found
        ]


def count(stage: Stage, lap: Path) -> int:
    """The instructions that `stage` takes for a lap, in a process of its own."""
    profile = lap.with_suffix(f".{stage}.profile")
    argv = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}"]
    argv += ["--instr-atstart=no", "--separate-threads=yes"]
    argv += [sys.executable, "-m", "harness.instructions", stage, str(lap)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "GLIBC_TUNABLES": _TUNABLES}
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, env=environment, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has imported and built everything
        subprocess.run(
            ["callgrind_control", "--instr=on", str(process.pid)], check=True, capture_output=True
        )
        _, told = process.communicate(b"go\n", timeout=RUN_SECONDS)
    first = Path(f"{profile}-01")  # the loop's thread
    found = _TOTALS.search(first.read_bytes()) if first.exists() else None
    if found is None:
        raise OSError(f"valgrind counted nothing: {told[-500:].decode(errors='replace')}")
    return int(found[1])


def work(stage: Stage, lap: Path) -> None:
    """The counted code: a lap goes through `stage`, as a stream in reads of a usual size."""
    from listeners import gc_tuning
    from listeners.receive import native_reader
    from listeners.receive.frames import FrameParser
    from simulator.frames import ws_frame

    spool = lap.with_suffix(f".{stage}")
    take = _decoder() if stage == "decode" else _listener(spool, native=stage == "native")
    stream = b"".join(map(ws_frame, Lap.read(lap).payloads))
    parser = FrameParser()
    gc_tuning.tune()
    if stage == "native":
        parser.texts = native_reader.load("require").texts
    print("ready", flush=True)
    sys.stdin.readline()
    for start in range(0, len(stream), READ_BYTES):
        take(parser.feed(stream[start : start + READ_BYTES]))


def _decoder() -> Callable[[list[Any]], None]:
    from mirror.conversation.normaliser.bodies import Frame

    decode = msgspec.json.Decoder(Frame).decode

    def take(messages: list[Any]) -> None:
        for raw in messages:
            decode(raw)

    return take


class Totals(msgspec.Struct):
    """The counters of a channel."""

    frames: int = 0
    events: int = 0


def _listener(spool: Path, *, native: bool) -> Callable[[list[Any]], None]:
    from listeners.counters import Counters
    from listeners.publish.publisher import Publisher
    from listeners.receive import native_reader
    from listeners.receive.native import Native
    from mirror.conversation.normaliser import Normaliser
    from mirror.settings import load

    settings = load({"KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "MIRROR_SPOOL_DIR": str(spool)})
    counters = Counters()
    partitions = {settings.topic: PARTITIONS}
    publisher = Publisher(settings, "bench", counters, partitions=partitions)
    publish, records = publisher.events, publisher.records
    normaliser = Normaliser()
    reader = None
    if native:
        module = native_reader.load("require")
        reader = Native(module, normaliser, publisher.recorder, counters)
    normalise = (reader or normaliser).frame
    channel: Any = Totals()

    def take(messages: list[Any]) -> None:
        left: Iterable[Any] = messages
        if reader is not None:
            left = reader.pass_by(messages, RECEIVED_AT, 0.0, records, channel)
        for raw in left:
            reading = normalise(raw, RECEIVED_AT, 0.0)
            if reading.events:
                publish(reading.events)

    return take


if __name__ == "__main__":
    work(msgspec.convert(sys.argv[1], Stage), Path(sys.argv[2]))
    os._exit(0)  # nothing is delivered, so do not wait for the queue
