"""Kafka away for long, and back: `python -m bench.outage --away 3600 --spool 64MiB`.

A whole mirror (simulator, Redis, Apache Kafka, two listeners, two coordinators, two janitors) under
a steady load. The broker is killed; the spools fill, and when they are full they keep the oldest
and refuse the newest. When the broker is back, the spools empty into it, and what was refused is a
gap that the janitors fill from REST.

Every stage, and every minute between, prints a line of JSON: what happened, what each listener has
in its spool and refused, how long passes of its loop took, and the resident memory of each process.
From the first stage with Kafka on, the simulator's ledger of truth is held against the topic, as
far as both were read: how many transitions are in Kafka as they were received, how many by
back-fill alone, how many are missing of what REST can tell and of what frames alone told, and what
was invented, by event type. So what breaks off late has told what it counted. The last line is a
table. The run fails where something that REST can tell is missing, where something was invented, or
where a stage was not reached in time.

Ledger and topic are read in pages, as they grow, into a file (`harness.account`). A machine
that is busy with other work makes the run longer, not wrong: what asks a process asks it again.
SIGTERM and SIGINT end the run in order, with what was counted until then.

A shorter `--away` with a spool that is smaller by the same factor is the same outage in small.

Does not show: a broker that loses what it acknowledged, or a Genesys that forgets within the hour.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from math import inf
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
from redis.exceptions import RedisError

from bench.deployment import print_table, whole_mirror
from bench.parts.growing import GrowingTopic
from bench.report import conditions, memory_mb
from harness import ledger
from harness.account import Account, Balance
from harness.deployment import Deployment
from harness.kafka import KafkaCluster
from harness.pages import samples
from harness.process import ServiceError
from mirror.base.errors import MirrorError
from mirror.fleet.gaps import list_gaps

OVER_STATES: Final = frozenset({"filled", "unfillable"})
LISTENERS: Final = ("listeners-0", "listeners-1")
WARM_SECONDS: Final = 20.0
AFTER_SECONDS: Final = 20.0
LOOK_SECONDS: Final = 1.0
REPORT_SECONDS: Final = 60.0
FOLLOW_SECONDS: Final = 15.0  # between two readings of the ledger
COUNT_SECONDS: Final = 300.0  # between two readings of the topic, while Kafka fills
# What a busy machine may add to the course: Genesys forgets no conversation of it meanwhile.
SLACK_SECONDS: Final = 1_800.0
# Of a conversation of the simulator's usual mix of media.
EVENTS_EACH: Final = 16.0
LEDGER_RECORDS: Final = 500_000  # that the simulator keeps: half an hour of them
LEDGER_PAGE: Final = 5_000
# A process may be slow to answer on a busy machine, and is asked again until so long.
ANSWER_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 900.0
RETRY_SECONDS: Final = 2.0
KAFKA_SECONDS: Final = 900.0
OVER_SECONDS: Final = 900.0
SETTINGS: Final = {
    "MIRROR_ANALYTICS_LAG": "5s",
    "MIRROR_JANITOR_INTERVAL": "10s",
    "MIRROR_ZOMBIE_AFTER": "24h",
    "MIRROR_LOG_LEVEL": "info",
    "MIRROR_STARTUP_TIMEOUT": "300s",
}

Result = TypeVar("Result")


class Facts(msgspec.Struct):
    """What was seen of the outage. Times are seconds."""

    away: float = 0.0
    full_after: dict[str, float] = {}  # listener → until its spool was full
    most_bytes: dict[str, float] = {}
    most_records: dict[str, float] = {}
    refused: dict[str, float] = {}
    most_memory: dict[str, float] = {}  # process → MiB
    drained_after: float | None = None
    filled_after: float | None = None
    late: list[str] = []  # stages that were not reached in time


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
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    print(conditions(), flush=True)
    conversations = round((2 * options.away + SLACK_SECONDS) * options.rate / EVENTS_EACH)
    simulator = [
        *("--users", "400", "--queues", "20", "--speed", str(options.speed)),
        *("--rate", str(options.rate / EVENTS_EACH)),
        *("--retained", str(conversations), "--ledger", str(LEDGER_RECORDS)),
    ]
    with tempfile.TemporaryDirectory() as folder:
        settings = SETTINGS | {"MIRROR_SPOOL_LIMIT": options.spool}
        with (
            KafkaCluster.to_measure(Path(folder) / "kafka") as kafka,
            whole_mirror(
                Path(folder), simulator, settings, clients=options.clients, kafka=kafka
            ) as built,
            all_at_once(built),
        ):
            built.org.answer_seconds = built.http_seconds = ANSWER_SECONDS
            run = Run(built, kafka, Path(folder) / "account.sqlite")
            try:
                run.outage(options.away)
            except SystemExit:
                run.judge(is_whole=False)
                raise
            except BaseException:
                run.judge()
                raise
            good = run.judge()
    sys.exit(0 if good else 1)


def _end(number: int, _frame: object) -> None:
    """End in order, once: what follows is not to break off the end."""
    for caught in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(caught, signal.SIG_IGN)
    raise SystemExit(128 + number)


@contextmanager
def all_at_once(built: Deployment) -> Iterator[None]:
    """Have all processes of the mirror end at the same time, before each is waited for."""
    try:
        yield
    finally:
        for process in built.processes.values():
            process.send(signal.SIGTERM)


class Run:
    """One outage: what is seen of it, and what it comes to."""

    def __init__(self, built: Deployment, kafka: KafkaCluster, account: Path) -> None:
        self.facts = Facts()
        self._built = built
        self._kafka = kafka
        self._account = Account(account)
        self._topic = GrowingTopic(built.settings)
        self._report_at = self._follow_at = 0.0
        self._count_at = inf  # without Kafka there is nothing to count

    # --- the course of it ---------------------------------------------------------------------

    def outage(self, away: float) -> None:
        """All stages, each with a line of its own."""
        built, facts = self._built, self.facts
        built.control(action="start")
        self._until(lambda: False, WARM_SECONDS, "", "warming up")
        self._read_topic()
        self._report("warm", counted=True)
        self._kafka.kill()
        gone = time.monotonic()

        def note() -> bool:
            self._note(time.monotonic() - gone)
            return False

        self._until(note, away, "", "without Kafka")
        facts.away = time.monotonic() - gone
        self._note(facts.away)
        self._report("Kafka comes back", counted=True)
        for broker in self._kafka.brokers:
            broker.start()
        self._kafka.wait_ready(KAFKA_SECONDS)
        back = time.monotonic()
        self._report("Kafka is back")
        self._count_at = back + COUNT_SECONDS
        drained = self._until(
            lambda: self._spooled() == 0, 1800 + 2 * away, "spools are empty", "draining"
        )
        if drained:
            facts.drained_after = time.monotonic() - back
        self._read_topic()
        self._report("spools are empty" if drained else "spools are not empty", counted=True)
        self._until(lambda: False, AFTER_SECONDS, "", "live again")
        patiently(lambda: built.control(action="drain"))
        self._until(self._all_over, OVER_SECONDS, "conversations are over", "conversations end")
        filled = self._until(self._filled, 1800 + 4 * away, "gaps are filled", "back-filling")
        if filled:
            facts.filled_after = time.monotonic() - back
        self._report("gaps are filled" if filled else "gaps are not filled")

    def _until(self, done: Callable[[], bool], seconds: float, goal: str, meanwhile: str) -> bool:
        """Until `done`, following the ledger; what is not done in time is noted as late."""
        until = time.monotonic() + seconds
        while not done():
            now = time.monotonic()
            if now >= until:
                if goal:
                    self.facts.late.append(f"{goal}: not within {seconds:.0f} s")
                return False
            if now >= self._follow_at:
                self._follow()
            if now >= self._count_at:
                patiently(self._read_topic)
                self._report(meanwhile, counted=True)
            elif now >= self._report_at:
                self._report(meanwhile)
            time.sleep(min(LOOK_SECONDS, max(0.0, until - time.monotonic())))
        return True

    def _spooled(self) -> float:
        """Records that wait on the disks of all listeners."""
        return sum(self._metrics(name)["mirror_spool_records"] for name in LISTENERS)

    def _all_over(self) -> bool:
        stats = patiently(self._built.stats)
        return not stats["conversations"]["active"]

    def _filled(self) -> bool:
        """Whether every seat receives again, and what was refused is a gap that is filled, or that
        nobody can fill."""
        gaps = self._gaps()
        is_filed = not any(self.facts.refused.values()) or any(gap.kind == "gap" for gap in gaps)
        is_well = patiently(self._built.status).health == "ok"
        return is_filed and is_well and all(gap.state in OVER_STATES for gap in gaps)

    def _gaps(self) -> list[Any]:
        return list(patiently(lambda: list_gaps(self._built.redis, self._built.keys)))

    # --- what is seen -------------------------------------------------------------------------

    def _metrics(self, name: str) -> dict[str, float]:
        """What a process tells Prometheus: name with labels → value.

        Raises `ServiceError` where it has ended.
        """
        process = self._built.processes[name]
        if not process.running:
            raise ServiceError(process.describe(f"{name} ended with {process.returncode}"))
        return samples(patiently(lambda: self._built.http(name, "/metrics")))

    def _note(self, passed: float) -> None:
        """What the listeners have in their spools after so many seconds."""
        facts = self.facts
        for name in LISTENERS:
            told = self._metrics(name)
            for most, metric in (
                (facts.most_bytes, "mirror_spool_bytes"),
                (facts.most_records, "mirror_spool_records"),
            ):
                most[name] = max(told[metric], most.get(name, 0.0))
            self._note_refused(name, told)
            if facts.refused[name] and name not in facts.full_after:
                facts.full_after[name] = passed

    def _note_refused(self, name: str, told: dict[str, float]) -> None:
        self.facts.refused[name] = told["mirror_records_lost_total"]

    def _memory(self) -> dict[str, float]:
        """MiB of each process, and the most of each so far."""
        built = self._built
        pids = {name: process.pid for name, process in built.processes.items() if process.running}
        pids["simulator"] = built.org.process.pid
        pids["redis"] = patiently(lambda: built.redis.info("server"))["process_id"]
        for broker in self._kafka.brokers:
            if broker.running:
                pids[f"kafka-{broker.node}"] = broker.process.pid
        found = {name: round(memory_mb(pid), 1) for name, pid in pids.items()}
        most = self.facts.most_memory
        for name, size in found.items():
            most[name] = max(size, most.get(name, 0.0))
        return found

    def longest_pass(self, name: str, told: dict[str, float]) -> str:
        """Of a listener's loop: it logs those of over a second, and counts those of over 0.1 s."""
        seconds = [
            float(line["seconds"])
            for _, line in self._built.logged(name)
            if line.get("event") == "loop_stalled"
        ]
        if seconds:
            return f"{max(seconds):.2f} s"
        return "0.1 to 1 s" if told["mirror_loop_slow_passes_total"] else "under 0.1 s"

    def _follow(self) -> None:
        """Read what the ledger has got since the last time."""
        self._follow_at = time.monotonic() + FOLLOW_SECONDS
        for page in ledger.pages(self._get, self._account.last_seq, LEDGER_PAGE):
            self._account.happen(page)

    def _get(self, path: str) -> Any:
        return patiently(lambda: self._built.org.get(path))

    def _read_topic(self) -> None:
        """Read what the topic has got since the last time."""
        for events in self._topic.read():
            self._account.tell(events)
            if time.monotonic() >= self._report_at:
                self._report("reading the topic")

    # --- what it comes to ---------------------------------------------------------------------

    def _report(self, stage: str, *, counted: bool = False) -> None:
        """A line of JSON: how things stand; `counted`: and what both sides come to."""
        self._report_at = time.monotonic() + REPORT_SECONDS
        listeners = {}
        for name in LISTENERS:
            told = self._metrics(name)
            self._note_refused(name, told)
            listeners[name] = {
                "spool_records": round(told["mirror_spool_records"]),
                "spool_bytes": round(told["mirror_spool_bytes"]),
                "refused": round(told["mirror_records_lost_total"]),
                "slow_passes": round(told["mirror_loop_slow_passes_total"]),
                "stalls": round(told["mirror_loop_stalls_total"]),
            }
        states: dict[str, int] = {}
        for gap in self._gaps():
            states[gap.state] = states.get(gap.state, 0) + 1
        line: dict[str, Any] = {
            "at": time.strftime("%H:%M:%S"),
            "stage": stage,
            "happened": patiently(self._built.stats)["ledger"]["last_seq"],
            "gaps": states,
            **listeners,
            "memory_mib": self._memory(),
        }
        if counted:
            self._follow()
            if self._count_at < inf:
                self._count_at = time.monotonic() + COUNT_SECONDS
            line["balance"] = msgspec.to_builtins(self._account.balance())
        print(json.dumps(line), flush=True)

    def judge(self, *, is_whole: bool = True) -> bool:
        """Print what it comes to and whether that is good.

        Reads on to the ends first where it `is_whole`, as far as that can be.
        """
        for step in (self._follow, self._read_topic) if is_whole else ():
            try:
                step()
            except (MirrorError, OSError, HTTPException, AssertionError) as error:
                self.facts.late.append(f"{step.__name__.strip('_')}: {error}")
        balance = self._account.balance()
        facts = self.facts
        print(
            json.dumps({"stage": "end", **msgspec.to_builtins(facts)})[:-1]
            + f', "balance": {json.dumps(msgspec.to_builtins(balance))}}}',
            flush=True,
        )
        print_table(f"{facts.away:.0f} s without Kafka", self._rows(balance))
        for name in balance.missing_examples:
            print("  missing:", name)
        for name in balance.invented_examples:
            print("  invented:", name)
        self._account.close()
        self._topic.close()
        is_complete = not (balance.unread or facts.late or self._topic.unreadable)
        return is_complete and not (balance.missing or balance.invented)

    def _rows(self, balance: Balance) -> dict[str, object]:
        facts = self.facts
        rows: dict[str, object] = {}
        for name, most in facts.most_bytes.items():
            full = facts.full_after.get(name)
            rows[f"spool of {name}"] = (
                f"{most / 2**20:.1f} MiB and {facts.most_records[name]:,.0f} records at most, "
                + (f"full after {full:.0f} s, " if full is not None else "never full, ")
                + f"{facts.refused[name]:,.0f} records refused"
            )
            if not self._built.processes[name].running:
                facts.late.append(f"{name} ended by itself")
                continue
            told = self._metrics(name)
            slow = round(told["mirror_loop_slow_passes_total"])
            rows[f"longest pass of {name}"] = f"{self.longest_pass(name, told)}, {slow} over 0.1 s"
        gaps = [gap for gap in self._gaps() if gap.kind == "gap"]
        return rows | {
            "spools empty after": _seconds(facts.drained_after),
            "gaps filled after": f"{_seconds(facts.filled_after)} "
            f"({len(gaps)} gaps, {sum(gap.events for gap in gaps):,} events)",
            "most memory": ", ".join(
                f"{name} {size:.0f} MiB" for name, size in facts.most_memory.items()
            ),
            "records in Kafka": f"{balance.records:,}",
            "transitions that happened": f"{balance.happened:,}"
            + (f" and {balance.unread:,} that nobody read" if balance.unread else ""),
            "in Kafka as received": f"{balance.kept:,}",
            "in Kafka by back-fill alone": _counted(balance.restored_kinds),
            "missing, though REST tells of them": _counted(balance.missing_kinds),
            "missing, told by frames alone": _counted(balance.untold_kinds),
            "invented": _counted(balance.invented_kinds),
            "unreadable records": self._topic.unreadable,
            "not in time": "; ".join(facts.late) or "nothing",
        }


def patiently(ask: Callable[[], Result]) -> Result:
    """What `ask` returns, asked again while a busy process does not answer."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return ask()
        except (OSError, HTTPException, MirrorError, RedisError) as error:
            if time.monotonic() > until:
                raise
            print(json.dumps({"stage": "asking again", "error": str(error)}), flush=True)
            time.sleep(RETRY_SECONDS)


def _seconds(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.0f} s"


def _counted(kinds: dict[str, int]) -> str:
    """How many of each kind, in words."""
    found = sorted(kinds.items(), key=lambda item: -item[1])
    total = f"{sum(kinds.values()):,}: " if len(found) > 1 else ""
    return total + ", ".join(f"{count:,} {kind}" for kind, count in found) or "none"


if __name__ == "__main__":
    main()
