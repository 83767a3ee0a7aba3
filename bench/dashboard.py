"""What the dashboard costs and how fast it is, in a real browser: `python -m bench.dashboard`.

A Redis, an Apache Kafka and a dashboard process are started; events are written to Kafka as
listeners do. First: how long a dashboard takes to open with `--open` active conversations, with
those that a projector keeps and by folding the stream. Then, in Chromium: from the address to the
first paint and to the right figures, with `--conversations` active; from an event's `received_at`
to the figure on the page. Then how much CPU the dashboard takes under `--rate` events a second with
no stream, one, and `--streams` of them, read by a process of its own; and what a snapshot and a
second of changes weigh.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaException, Producer

from bench.report import conditions, cpu_seconds
from harness.browser import Browser
from harness.dashboard import Dashboard, conversation, dashboard, produce, until_shown
from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import ManagedProcess, wait_until
from harness.redis import RedisServer
from mirror.base.errors import KafkaUnavailable
from mirror.conversation.event import Event
from mirror.kafka.config import committed_reader_config, producer_config
from mirror.kafka.record import Recorder
from mirror.settings import Settings
from mirror.settings import load as load_settings
from projector.offsets import Offsets

MIXED: Final = 5_000  # conversations whose events are mixed
COURSES: Final = ("waiting", "talking", "talking", "held", "talking")

PAINT: Final = """
const paint = performance.getEntriesByName('first-contentful-paint')[0];
return [paint ? paint.startTime : null, performance.now()];
"""
# Notes when the figure of waiting conversations changes, by the page's own clock.
WATCH: Final = """
window.seen = [];
const figure = document.querySelector('[data-figure=waiting]');
new MutationObserver(() => window.seen.push([Date.now(), figure.textContent]))
  .observe(figure, {childList: true, characterData: true, subtree: true});
"""
READER: Final = """
import socket, sys, threading, time
port, streams, seconds = map(int, sys.argv[1:])
ends = time.monotonic() + seconds
got = [0] * streams
def read(number):
    with socket.create_connection(("127.0.0.1", port)) as one:
        request = f"GET /stream?view=floor HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n"
        one.sendall(request.encode())
        one.settimeout(1.0)
        while time.monotonic() < ends:
            try:
                data = one.recv(65536)
            except TimeoutError:
                continue
            if not data:
                break
            got[number] += len(data)
threads = [threading.Thread(target=read, args=(n,)) for n in range(streams)]
[t.start() for t in threads]; [t.join() for t in threads]
print(sum(got), min(got) if got else 0)
"""


@contextmanager
def load(settings: Settings, rate: float) -> Iterator[None]:
    """So many events a second while the block runs, of calls that come and go; each twice."""
    stop = threading.Event()

    def flow() -> Iterator[Event]:
        for number in count(10_000_000):
            yield from conversation(number, "over", since=0.0)

    def write() -> None:
        producer = Producer(producer_config(settings, "bench"))
        recorder = Recorder(settings.topic, settings.region, settings.encoding)
        began, written = time.monotonic(), 0
        events = flow()
        while not stop.is_set():
            due = int((time.monotonic() - began) * rate) - written
            for event in islice(events, due):
                record = recorder.record(event)
                for _ in range(2):  # as two replicas do
                    producer.produce(
                        record.topic, key=record.key, value=record.value, headers=record.headers
                    )
            written += due
            producer.poll(0)
            stop.wait(0.02)
        producer.flush(10)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(15)


def await_projected(settings: Settings, name: str) -> None:
    """Wait until a projector has written all."""
    offsets, numbers = Offsets(settings), range(12)
    member = Consumer(committed_reader_config(settings, "bench", f"mirror-{name}-projector"))

    def is_done() -> bool:
        try:
            ends = offsets.ends(settings.topic, numbers)
            return offsets.committed(member, numbers) == {n: end for n, end in ends.items() if end}
        except (KafkaException, KafkaUnavailable):
            return False  # the group is being made

    wait_until(is_done, 600, "all is projected", interval=1.0)
    member.close()


def until_log_says(page: Dashboard, event: str) -> None:
    """Wait as long as it takes on a machine with other work."""
    page.process.wait_for(lambda: f'"{event}"' in page.process.stderr, 300, event)


def opened(folder: Path, env: dict[str, Any], number: int, bootstrap: str) -> None:
    """Print how long a dashboard takes to know so many active conversations, both ways.

    Events of five thousand conversations are mixed, each told twice: a projector writes a view for
    about every second event, and none is compacted yet.
    """
    name = f"open-{number}"
    topics = {
        "MIRROR_NAMESPACE": name,
        "MIRROR_TOPIC": create_topic(bootstrap, name, partitions=12),
        "MIRROR_ONCE_TOPIC": create_topic(bootstrap, f"{name}.once", partitions=12),
        "MIRROR_CONVERSATIONS_TOPIC": create_topic(
            bootstrap, f"{name}.views", partitions=12, config={"cleanup.policy": "compact"}
        ),
    }
    env = env | topics
    settings = load_settings(env)
    producer = Producer(producer_config(settings, "bench"))
    for start in range(0, number, MIXED):
        mixed = [
            list(conversation(n, COURSES[n % len(COURSES)]))
            for n in range(start, min(number, start + MIXED))
        ]
        for place in range(max(map(len, mixed))):
            produce(
                settings,
                (history[place] for history in mixed if place < len(history) for _ in range(2)),
                producer,
            )
    projector = ManagedProcess.python_module("projector", folder=folder, env=env, name=name)
    with projector:
        await_projected(settings, name)
        for way, topic in (
            ("with conversations", topics["MIRROR_CONVERSATIONS_TOPIC"]),
            ("by folding", "none"),
        ):
            for run in range(3):
                named = f"{name}-{way.replace(' ', '-')}-{run}"
                page = dashboard(folder, env | {"MIRROR_CONVERSATIONS_TOPIC": topic}, named)
                with page.process:
                    page.until_listening()
                    until_log_says(page, "backlog_read")
                    used = cpu_seconds(page.process.pid)
                    told = [json.loads(line) for line in page.process.stderr.splitlines()]
                (line,) = (entry for entry in told if entry["event"] == "backlog_read")
                records = sum(entry.get("records", 0) for entry in told)
                print(
                    f"  {number:,} {way}: {line['seconds']:.2f} s, {used:.2f} s of CPU since "
                    f"the process began, {line['conversations']:,} known"
                    + (f", {records:,} views read" if records else "")
                )


def opening(browser: Browser, page: Dashboard, runs: int, **wanted: int) -> None:
    """Print how long a browser takes from the address to paint and figures."""
    paints, shown = [], []
    for _ in range(runs):
        browser.open(page.url + "/")
        until_shown(browser, 20.0, **wanted)
        paint, now = browser.run(PAINT)
        if paint is not None:
            paints.append(paint)
        shown.append(now)
    print(f"opening with {wanted['live']:,} active conversations, {runs} times:")
    print(f"  first paint   median {statistics.median(paints):.0f} ms, max {max(paints):.0f} ms")
    print(f"  right figures median {statistics.median(shown):.0f} ms, max {max(shown):.0f} ms")


def updates(browser: Browser, page: Dashboard, number: int, waiting: int) -> None:
    """Print how long it takes from `received_at` of an event to the page."""
    browser.run(WATCH)
    producer = Producer(producer_config(page.settings, "bench"))
    produce(page.settings, conversation(999_999, "talking"), producer)  # connects it
    sent: list[float] = []
    for index in range(number):
        events = conversation(1_000_000 + index, "waiting", since=0.0)
        sent.append(time.time() * 1000)
        produce(page.settings, events, producer)
        time.sleep(random.uniform(0.25, 0.45))
    last = f"{waiting + number:,}"
    wait_until(lambda: browser.text("[data-figure=waiting]") == last, 10, "the last one is shown")
    seen = {int(text.replace(",", "")): at for at, text in browser.run("return window.seen")}
    found = sorted(
        seen[waiting + place + 1] - began
        for place, began in enumerate(sent)
        if waiting + place + 1 in seen
    )
    p95 = found[int(0.95 * (len(found) - 1))]
    print(
        f"from the listener's event to the page, {len(found)} events: "
        f"median {statistics.median(found):.0f} ms, p95 {p95:.0f} ms, max {found[-1]:.0f} ms"
    )


def streams(page: Dashboard, rate: float, numbers: tuple[int, ...], seconds: int) -> None:
    """Print what so many streams cost the dashboard under load."""
    port = page.url.rpartition(":")[2]
    with load(page.settings, rate):
        time.sleep(2.0)
        for number in numbers:
            reader = subprocess.Popen(
                [sys.executable, "-c", READER, port, str(number), str(seconds + 1)],
                stdout=subprocess.PIPE,
                text=True,
            )
            time.sleep(1.0)
            before, began = cpu_seconds(page.process.pid), time.monotonic()
            time.sleep(seconds - 1)
            used = cpu_seconds(page.process.pid) - before
            took = time.monotonic() - began
            total, least = map(int, reader.communicate(timeout=30)[0].split())
            speed = f", {total / number / (seconds + 1) / 1000:.1f} kB/s each" if number else ""
            print(
                f"  {number:3} streams: {100 * used / took:.1f} % of a core{speed}"
                f"{'' if not number or least else ', one got nothing'}"
            )


def main() -> None:
    """Run all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--conversations", type=int, default=5_000)
    parser.add_argument("--open", type=int, nargs="*", default=[5_000, 50_000])
    parser.add_argument("--no-browser", action="store_true", help="only how long opening takes")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--updates", type=int, default=60)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--streams", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=12)
    options = parser.parse_args()
    print(conditions())
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = stack.enter_context(RedisServer(folder / "redis"))
        cluster = stack.enter_context(KafkaCluster.to_measure(folder / "kafka"))
        env: dict[str, Any] = {
            "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
            "REDIS_URL": redis.url,
            "MIRROR_TOPIC": create_topic(cluster.bootstrap_servers, "bench", partitions=12),
            "MIRROR_DEAD_LETTER_TOPIC": create_topic(cluster.bootstrap_servers, "bench.dlq"),
        }
        print("a dashboard's reading, from its start to the first whole picture:")
        for number in options.open:
            opened(folder, env, number, cluster.bootstrap_servers)
        if options.no_browser:
            return
        page = dashboard(folder, env)
        number = options.conversations
        produce(
            page.settings,
            (e for n in range(number) for e in conversation(n, COURSES[n % len(COURSES)])),
        )
        began = time.monotonic()
        stack.enter_context(page.process)
        page.until_listening().until_open()
        print(f"the server knows them {time.monotonic() - began:.1f} s after its start")
        waiting = sum(COURSES[n % len(COURSES)] == "waiting" for n in range(number))
        with Browser() as browser:
            opening(browser, page, options.runs, live=number, waiting=waiting)
            updates(browser, page, options.updates, waiting)
        print(f"CPU of the dashboard under {options.rate:g} events/s, each twice:")
        streams(page, options.rate, (0, 1, options.streams), options.seconds)


if __name__ == "__main__":
    main()
