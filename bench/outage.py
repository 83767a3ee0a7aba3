"""Kafka away for long, and back: `python -m bench.outage --away 3600 --spool 64MiB`.

A whole mirror (simulator, Redis, Apache Kafka, two listeners, two coordinators, two janitors) under
a steady load. The broker is killed; the spools fill, and when they are full they keep the oldest
and refuse the newest. When the broker is back, the spools empty into it, and what was refused is a
gap that the janitors fill from REST.

Told is, for each listener, what it kept on disk and refused, and how many passes of its loop took
over 100 ms; then, against the simulator's ledger of truth, how many transitions are in Kafka as
they were received, how many by back-fill alone, and how many are missing: of what REST can tell,
and of what only frames told. The run fails where something that REST can tell is missing, or where
something was invented.

A shorter `--away` with a spool that is smaller by the same factor is the same outage in small.

Does not show: a broker that loses what it acknowledged, or a Genesys that forgets within the hour.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec
from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from bench.deployment import print_table, whole_mirror
from bench.report import where
from harness.deployment import Deployment
from harness.kafka import KafkaCluster
from harness.oracle import Name, Truth, name_of_event, name_of_truth, restorable
from mirror.conversation.event import Event
from mirror.fleet.gaps import list_gaps
from mirror.kafka.consume import open_reader, take
from mirror.kafka.record import EventReader

LISTENERS: Final = ("listeners-0", "listeners-1")
WARM_SECONDS: Final = 20.0
AFTER_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 1.0
TOLD_EVERY: Final = 60.0
QUIET_SECONDS: Final = 5.0
# Of a conversation of the simulator's usual mix of media.
EVENTS_EACH: Final = 10.0
LEDGER_PAGE: Final = 50_000
EXAMPLES: Final = 5
OVER: Final = {"hold": "resume", "park": "unpark"}
SETTINGS: Final = {
    "MIRROR_ANALYTICS_LAG": "5s",
    "MIRROR_JANITOR_INTERVAL": "10s",
    "MIRROR_ZOMBIE_AFTER": "24h",
    "MIRROR_LOG_LEVEL": "info",
}


class Facts(msgspec.Struct):
    """What was seen of the outage."""

    seconds: float = 0.0
    full_after: dict[str, float] = {}  # listener → seconds until its spool was full
    most_bytes: dict[str, float] = {}
    refused: dict[str, float] = {}
    drained_after: float = 0.0
    filled_after: float = 0.0


def main() -> None:
    """Run it, print what came of it, and end with 1 where something is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--away", type=float, default=3600.0, help="seconds without Kafka")
    parser.add_argument("--rate", type=float, default=200.0, help="transitions a second, about")
    parser.add_argument("--spool", default="64MiB", help="MIRROR_SPOOL_LIMIT of each listener")
    parser.add_argument("--speed", type=float, default=10.0, help="of conversations")
    parser.add_argument("--clients", type=int, default=8, help="OAuth clients: the REST budget")
    options = parser.parse_args()
    print(where(), flush=True)
    lived = options.away + WARM_SECONDS + AFTER_SECONDS
    conversations = round(2 * lived * options.rate / EVENTS_EACH)
    simulator = [
        *("--users", "400", "--queues", "20", "--speed", str(options.speed)),
        *("--rate", str(options.rate / EVENTS_EACH)),
        *("--retained", str(conversations), "--ledger", str(20 * conversations)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = SETTINGS | {"MIRROR_SPOOL_LIMIT": options.spool}
        with (
            KafkaCluster.to_measure(Path(folder) / "kafka") as kafka,
            whole_mirror(
                Path(folder), simulator, settings, clients=options.clients, kafka=kafka
            ) as built,
        ):
            facts = outage(built, kafka, options.away)
            good = judge(built, facts)
    sys.exit(0 if good else 1)


def outage(built: Deployment, kafka: KafkaCluster, away: float) -> Facts:
    """The course of it."""
    facts = Facts()
    built.control(action="start")
    time.sleep(WARM_SECONDS)
    say(built, "warm")
    kafka.kill()
    gone = told = time.monotonic()
    while (passed := time.monotonic() - gone) < away:
        look(built, facts, passed)
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            say(built, f"{passed:.0f} s without Kafka")
        time.sleep(LOOK_SECONDS)
    facts.seconds = time.monotonic() - gone
    look(built, facts, facts.seconds)
    for broker in kafka.brokers:
        broker.start()
    kafka.wait_ready()
    back = time.monotonic()
    say(built, "Kafka is back")
    wait(built, lambda: spooled(built) == 0, 600 + away, "the spools are empty")
    facts.drained_after = time.monotonic() - back
    say(built, "spools are empty")
    time.sleep(AFTER_SECONDS)
    built.control(action="drain")
    wait(built, lambda: all_over(built), 120.0, "all are over")
    wait(built, lambda: filled(built), 600 + 3 * away, "all gaps are filled")
    facts.filled_after = time.monotonic() - back
    say(built, "gaps are filled")
    return facts


def look(built: Deployment, facts: Facts, passed: float) -> None:
    """Note what the listeners tell now."""
    for name in LISTENERS:
        told = metrics(built, name)
        size = told["mirror_spool_bytes"]
        facts.most_bytes[name] = max(size, facts.most_bytes.get(name, 0.0))
        facts.refused[name] = told["mirror_records_lost_total"]
        if facts.refused[name] and name not in facts.full_after:
            facts.full_after[name] = passed


def say(built: Deployment, what: str) -> None:
    """A line of progress."""
    parts = []
    for name in LISTENERS:
        told = metrics(built, name)
        parts.append(
            f"{name} {told['mirror_spool_records']:,.0f} on disk "
            f"({told['mirror_spool_bytes'] / 2**20:.1f} MiB), "
            f"{told['mirror_records_lost_total']:,.0f} refused, "
            f"{told['mirror_loop_slow_passes_total']:.0f} slow passes, "
            f"{told['process_resident_memory_bytes'] / 2**20:.0f} MiB"
        )
    happened = built.stats()["ledger"]["last_seq"]
    print(f"{time.strftime('%H:%M:%S')} {what}: {happened:,} happened; {'; '.join(parts)}")
    sys.stdout.flush()


def wait(built: Deployment, done: Callable[[], bool], seconds: float, what: str) -> None:
    """Until `done`; what is not done in time is told, and judged all the same."""
    until = time.monotonic() + seconds
    told = time.monotonic()
    while not done():
        if time.monotonic() > until:
            print(f"not within {seconds:.0f} s: {what}", flush=True)
            return
        if time.monotonic() - told > TOLD_EVERY:
            told = time.monotonic()
            say(built, f"waiting until {what}")
        time.sleep(LOOK_SECONDS)


def metrics(built: Deployment, name: str) -> dict[str, float]:
    """What a process tells Prometheus: name with labels → value."""
    lines = built.http(name, "/metrics").decode().splitlines()
    told = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {key: float(value) for key, _, value in told}


def spooled(built: Deployment) -> float:
    """Records that wait on the disks of all listeners."""
    return sum(metrics(built, name)["mirror_spool_records"] for name in LISTENERS)


def all_over(built: Deployment) -> bool:
    """Whether no conversation goes on."""
    return not built.stats()["conversations"]["active"]


def filled(built: Deployment) -> bool:
    """Whether no gap is open."""
    return all(gap.state == "filled" for gap in list_gaps(built.redis, built.keys))


def judge(built: Deployment, facts: Facts) -> bool:
    """Hold Kafka against the ledger, and print both."""
    live: set[Name] = set()
    late: set[Name] = set()
    unknown: set[Name] = set()
    records = 0
    for event in read(built):
        records += 1
        name = name_of_event(event)
        (late if event.origin == "backfill" else live).add(name)
        # A first reading repeats a state and is no transition, and no source tells of `finalize`.
        if event.origin != "snapshot" and event.event_type != "finalize":
            unknown.add(name)
    happened = kept = restored = 0
    hole: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    # Without a queue and a user a conversation has no topic, so no frame and no gap tells of it.
    reachable = {
        truth.conversation_id for truth in ledger(built) if truth.queue_id or truth.agent_id
    }
    examples: list[Truth] = []
    for truth in ledger(built):
        name = name_of_truth(truth)
        happened += 1
        unknown.discard(name)
        if truth.event_type in OVER:  # what ended in truth with its leg may be told before
            over = msgspec.structs.replace(truth, event_type=OVER[truth.event_type])
            unknown.discard(name_of_truth(over))
        if name in live:
            kept += 1
        elif name in late:
            restored += 1
        elif truth.conversation_id in reachable:
            (hole if restorable(truth) else lost)[truth.event_type] += 1
            if restorable(truth) and len(examples) < EXAMPLES:
                examples.append(truth)
    gaps = [gap for gap in list_gaps(built.redis, built.keys) if gap.kind == "gap"]
    print_table(
        f"{facts.seconds:.0f} s without Kafka",
        {
            **{
                f"spool of {name}": f"{facts.most_bytes[name] / 2**20:.1f} MiB at most, "
                + (
                    f"full after {facts.full_after[name]:.0f} s, "
                    if name in facts.full_after
                    else "never full, "
                )
                + f"{facts.refused[name]:,.0f} records refused"
                for name in LISTENERS
            },
            "spools empty after": f"{facts.drained_after:.0f} s",
            "gaps filled after": f"{facts.filled_after:.0f} s "
            f"({len(gaps)} gaps, {sum(gap.events for gap in gaps):,} events)",
            "passes of loops over 100 ms": sum(
                int(metrics(built, name)["mirror_loop_slow_passes_total"]) for name in LISTENERS
            ),
            "records in Kafka": f"{records:,}",
            "transitions that happened": f"{happened:,}",
            "in Kafka as received": f"{kept:,}",
            "in Kafka by back-fill alone": f"{restored:,}",
            "missing, though REST tells of them": counted(hole),
            "missing, told by frames alone": counted(lost),
            "invented": len(unknown),
        },
    )
    for truth in examples:
        print("  missing:", truth)
    for name in list(unknown)[:EXAMPLES]:
        print("  invented:", name)
    return not hole and not unknown


def counted(kinds: Counter[str]) -> str:
    """How many of each kind, in words."""
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common()) or "none"


def read(built: Deployment) -> Iterator[Event]:
    """All events of the topic, one after another: an hour of them does not fit into memory."""
    decode = EventReader().decode
    topic = built.settings.topic
    consumer, partitions = open_reader(built.settings, topic, "outage")
    consumer.assign(
        [TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions]
    )
    quiet_since = time.monotonic()
    while time.monotonic() - quiet_since < QUIET_SECONDS:
        for message in take(consumer, 1_000, 1.0):
            quiet_since = time.monotonic()
            if message.error() is None:
                yield decode(message.value(), message.headers())
    consumer.close()


def ledger(built: Deployment) -> Iterator[Truth]:
    """Everything that truly happened, page by page."""
    since = 0
    while True:
        page = built.org.get(f"/_sim/ledger?since_seq={since}&limit={LEDGER_PAGE}")
        if since == 0 and page["dropped"]:
            print(f"the ledger has lost {page['dropped']:,} records", flush=True)
        yield from msgspec.convert(page["records"], list[Truth])
        if len(page["records"]) < LEDGER_PAGE:
            return
        since = page["next_seq"]


if __name__ == "__main__":
    main()
