"""The readers that `bench.listener` compares, each in a process of its own.

    python -m bench.parts.contenders NAME

A contender is any program that keeps to this: it finds a `Task` as JSON in `BENCH_TASK`, opens its
connections, sends one byte on each, which starts the source; takes `frames` frames, produces what
it makes of them to `topic`, waits for the last acknowledgement, and prints one `Outcome` as JSON.
Ours stand here; the peers need not be Python.

`ours`   the listener's own loop, normaliser and publisher
`native` the same, with the native reader before the normaliser, where it is built
`raw`    the same reading and cutting, but every frame produced as it is: passthrough
`floor`  bytes are taken from the socket, and that is all
"""

from __future__ import annotations

import os
import resource
import socket
import ssl
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import Mock

import msgspec
from confluent_kafka import Producer

from listeners import gc_tuning as collector
from listeners.channels.channel import Channel
from listeners.channels.session import HeldSeat, Session, Step
from listeners.counters import Counters
from listeners.publish.publisher import Publisher
from listeners.receive import native_reader
from listeners.receive.frames import FrameParser
from listeners.receive.loop import READ_BUFFER_BYTES, Loop
from listeners.receive.native import Native
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.words import Grant
from mirror.genesys.handles import Handle
from mirror.genesys.sockets import open_socket, tls_context
from mirror.kafka.config import producer_config
from mirror.settings import Settings, load

FLUSH_SECONDS: Final = 30.0


class Task(msgspec.Struct):
    """What a contender is to do. `ca` is the file of the CA to trust, empty for plain sockets."""

    uri: str
    connections: int
    frames: int
    kafka: str
    topic: str
    ca: str = ""


class Outcome(msgspec.Struct):
    """What it took, from the first byte asked for to the last acknowledgement.

    `cpu` is of the whole process, all threads; `records` what was acknowledged.
    """

    frames: int
    seconds: float
    cpu: float
    records: int
    peak_mb: float
    rss_mb: float

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.frames / self.seconds

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU a frame."""
        return self.cpu / self.frames * 1e6


class Watch:
    """Wall and CPU time since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def outcome(self, frames: int, records: int) -> Outcome:
        """What has passed, and how large the process is now."""
        seconds = time.perf_counter() - self._wall
        cpu = time.process_time() - self._cpu
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return Outcome(
            frames,
            seconds,
            cpu,
            records,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            pages * os.sysconf("SC_PAGESIZE") / 2**20,
        )


def connect(task: Task) -> list[socket.socket]:
    """All sockets of a task, by the product's own means."""
    context = tls_context()
    if task.ca:
        context.load_verify_locations(task.ca)
    return [open_socket(task.uri, context, "bench") for _ in range(task.connections)]


def floor(task: Task) -> Outcome:
    """Take bytes from one socket as they come, in large reads."""
    (sock,) = connect(task)
    sock.setblocking(True)
    view = memoryview(bytearray(READ_BUFFER_BYTES))
    sock.send(b"x")
    watch = Watch()
    while sock.recv_into(view):
        pass
    return watch.outcome(task.frames, 0)


def raw(task: Task) -> Outcome:
    """Produce each frame as it is, without a key and without headers."""
    (sock,) = connect(task)
    sock.setblocking(True)
    parser = FrameParser()
    producer = Producer(producer_config(_settings(task, ""), "listener"))
    produce, topic = producer.produce, task.topic
    view = memoryview(bytearray(READ_BUFFER_BYTES))
    sock.send(b"x")
    watch = Watch()
    frames = 0
    with suppress(EOFError, ssl.SSLEOFError):
        while frames < task.frames:
            items, _, _ = _read(sock, parser, view)
            for item in items:
                try:
                    produce(topic, item)
                except BufferError:
                    producer.flush(FLUSH_SECONDS)
                    produce(topic, item)
            frames += len(items)
            producer.poll(0)
    left = producer.flush(FLUSH_SECONDS)
    return watch.outcome(frames, frames - left)


def _read(
    sock: socket.socket, parser: FrameParser, view: memoryview
) -> tuple[list[Any], int, bool]:
    """One read that waits; the product's own reading is for sockets that do not."""
    start = parser.restore(view)
    count = sock.recv_into(view[start:])
    if not count:
        raise EOFError
    return parser.cut(view, start + count), count, False


def native(task: Task) -> Outcome:
    """As `ours`, with the native reader before the normaliser."""
    return ours(task, native_reader.load("require"))


def ours(task: Task, module: Any = None) -> Outcome:
    """The listener's loop with everything behind it, but for its beats and workers."""
    sockets = connect(task)
    with TemporaryDirectory() as folder:
        counters = Counters()
        publisher = Publisher(_settings(task, folder), "bench", counters)
        session = Session("bench", silence=3600.0, rng=Random(1))
        normaliser = Normaliser()
        reader = module and Native(module, normaliser, publisher.recorder, counters)
        loop = Loop(session, normaliser, publisher, counters, native=reader)
        loop.executor = Mock()  # the end of a stream is a loss, which nothing is done about
        for number, sock in enumerate(sockets):
            _open(loop, session, sock, number, task.uri)
        done = _Done(loop, counters, publisher, task.frames)
        session.tick = done  # type: ignore[assignment,method-assign]  # called every pass
        for sock in sockets:
            sock.send(b"x")
        collector.tune()
        watch = Watch()
        loop.run()
        outcome = watch.outcome(counters.frames, counters.delivered)
        loop.close()
        publisher.stop(FLUSH_SECONDS)
        return outcome


def _open(loop: Loop, session: Session, sock: socket.socket, number: int, uri: str) -> None:
    grant = Grant(str(number), "a", 1, "client", 1)
    channel = Channel(grant, (), time.monotonic(), holder="bench", silence=3600.0, rng=Random(1))
    channel.handle = Handle(f"streaming-0-{number}", uri)
    channel.phase = "connecting"
    session.seats[grant.seat] = HeldSeat(channel)
    loop.opened(channel, sock, 0)
    channel.phase = "live"


class _Done:
    """Stands in for the session's tick: stops the loop when all is read and acknowledged."""

    def __init__(self, loop: Loop, counters: Counters, publisher: Publisher, frames: int) -> None:
        self._loop, self._counters = loop, counters
        self._publisher, self._frames = publisher, frames

    def __call__(self, _now: float) -> list[Step]:
        if self._counters.frames >= self._frames and not self._publisher.pending:
            self._loop.stop()
        return []


def _settings(task: Task, folder: str) -> Settings:
    environment = {name: value for name, value in os.environ.items() if "KAFKA_CONF" in name}
    environment |= {
        "KAFKA_BOOTSTRAP_SERVERS": task.kafka,
        "MIRROR_SPOOL_DIR": f"{folder}/spool",
        "MIRROR_TOPIC": task.topic,
        "MIRROR_DEAD_LETTER_TOPIC": f"{task.topic}.dlq",
    }
    return load(environment)


OURS: Final[dict[str, Callable[[Task], Outcome]]] = {"ours": ours, "raw": raw, "floor": floor}
if native_reader.load("auto") is not None:
    OURS["native"] = native


def main() -> None:
    """Be the contender that is named."""
    task = msgspec.json.decode(os.environ["BENCH_TASK"], type=Task)
    print(msgspec.json.encode(OURS[sys.argv[1]](task)).decode())


if __name__ == "__main__":
    main()
