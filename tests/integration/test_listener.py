"""A real listener process between the simulator, a real Redis and a real Kafka.

The test plays the leader: it writes shards and assignments where the coordinator would.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis

from harness.kafka_topics import read_topic
from harness.oracle import Verdict, judge
from harness.pages import fetch, health, samples
from harness.process import ManagedProcess, free_ports, wait_until
from harness.redis import RedisServer
from harness.simulated import Simulated, simulated
from listeners.channels.attempts import STABLE_AFTER_SECONDS
from listeners.channels.upkeep import COMPARE_SECONDS
from mirror.conversation.event import Event
from mirror.fleet.gaps import Gap, list_gaps
from mirror.fleet.words import Assignment, Beat, ChannelReport, Grant, Shard
from mirror.kafka.record import read_event
from mirror.redis.keys import Keys
from simulator.ledger import Truth

SECRET = "open-sesame-0123456789"
CLIENT = "listening-client"


class Scene:
    """A listener, and what is around it."""

    def __init__(
        self, org: Simulated, redis_url: str, kafka: str, topics: tuple[str, str], folder: Path
    ) -> None:
        self.org = org
        self.kafka = kafka
        self.topic, self.letters = topics
        self.keys = Keys("default")
        self.redis = redis.Redis.from_url(redis_url, decode_responses=True)
        (self.metrics_port,) = free_ports(1)
        self.env: dict[str, str | None] = {
            **org.env,
            "REDIS_URL": redis_url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_TOPIC": self.topic,
            "MIRROR_DEAD_LETTER_TOPIC": self.letters,
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_HEARTBEAT": "250ms",
            "MIRROR_LEASE": "2s",
            "MIRROR_SILENCE": "3s",
            "MIRROR_HOST": "here",
            "MIRROR_METRICS_PORT": str(self.metrics_port),
            "MIRROR_STARTUP_TIMEOUT": "5s",
        }
        self.process = ManagedProcess.python_module(
            "listeners", folder=folder, name="listener", env=self.env
        )
        self.version = 0
        self.listener = ""

    def start(self) -> None:
        """Start the listener and learn its id from its first beat."""
        self.process.start()
        self.process.wait_for(lambda: self.redis.zcard(self.keys.beats), 20.0, "the first beat")
        self.meet()

    def meet(self) -> None:
        """Learn the id of the listener that beats."""
        (self.listener,) = (str(name) for name in self.redis.zrange(self.keys.beats, 0, -1))

    def assign(self, *epochs: int, doubted_ms: int = 0) -> None:
        """Grant replica `a` of shard 1, all topics of the org, under these epochs (or none)."""
        shard = Shard("1", tuple(self.org.topics()), 1)
        self.redis.set(self.keys.shard("1"), msgspec.json.encode(shard))
        self.version += 1
        grants = tuple(Grant("1", "a", epoch, CLIENT, 1, doubted_ms=doubted_ms) for epoch in epochs)
        assignment = msgspec.json.encode(Assignment(self.version, grants))
        self.redis.set(self.keys.assignment(self.listener), assignment)

    def beat(self) -> Beat:
        """What the listener said last."""
        text = self.redis.get(self.keys.listener(self.listener))
        assert isinstance(text, str)
        return msgspec.json.decode(text, type=Beat)

    def reports(self) -> list[ChannelReport]:
        """Its channels."""
        return list(self.beat().channels)

    def until_live(self, epoch: int, other_than: str = "", timeout: float = 15.0) -> ChannelReport:
        """Wait for the seat to be live under this epoch, on another channel than the given one."""

        def live() -> list[ChannelReport]:
            return [
                report
                for report in self.reports()
                if report.epoch == epoch and report.state == "live" and report.channel != other_than
            ]

        self.process.wait_for(live, timeout, f"live under epoch {epoch}")
        return live()[0]

    def until_stable(self) -> None:
        """Wait until the channel's socket is old enough to be opened again if it is lost."""
        self.process.wait_for(
            lambda: (self.reports()[0].covered_ms or 0) > STABLE_AFTER_SECONDS * 1000,
            STABLE_AFTER_SECONDS + 10.0,
            "a stable socket",
        )

    def until_events(self, more: int = 30) -> None:
        """Wait until so many more events were read."""
        before = sum(report.events for report in self.reports())
        self.process.wait_for(
            lambda: sum(report.events for report in self.reports()) >= before + more,
            20.0,
            "events",
        )

    def channels(self) -> list[dict[str, Any]]:
        """The channels that Genesys knows."""
        found: list[dict[str, Any]] = self.org.get("/_sim/channels")["channels"]
        return found

    def events(self) -> list[Event]:
        """What is in Kafka."""
        return [read_event(record.value()) for record in read_topic(self.kafka, self.topic)]

    def verdict(self) -> Verdict:
        """Kafka against the simulator's ledger."""
        ledger = msgspec.convert(self.org.ledger(), list[Truth])
        return judge(ledger, self.events())


@pytest.fixture
def scene(
    tmp_path: Path, redis_url: str, kafka: str, make_topic: Callable[..., str]
) -> Iterator[Scene]:
    """A scene with a busy org and a listener that is not started yet."""
    options = ("--client", f"{CLIENT}:{SECRET}", "--users", "20", "--queues", "3")
    with simulated(
        tmp_path, *options, "--rate", "8", "--speed", "20", "--heartbeat", "1", login=False
    ) as org:
        org.client, org.secret = CLIENT, SECRET
        assert org.login().status == 200
        scene = Scene(org, redis_url, kafka, (make_topic(partitions=4), make_topic()), tmp_path)
        try:
            yield scene
        finally:
            if scene.process.running:
                scene.process.stop()


def test_events_flow_from_sockets_to_kafka_and_nothing_is_missing(scene: Scene) -> None:
    """Everything that was shown on the socket is in Kafka, once; then the listener ends well."""
    scene.org.post("/_sim/control", {"action": "stop"})
    scene.start()
    scene.assign(1)
    report = scene.until_live(1)
    assert report.topics == 23
    assert report.rejected == ()
    scene.org.post("/_sim/control", {"action": "start"})
    scene.until_events(300)
    scene.org.drain()
    time.sleep(0.5)  # frames that were sent last are on their way

    started = time.monotonic()
    scene.process.stop()
    assert time.monotonic() - started < 25.0
    assert scene.process.returncode == 0
    verdict = scene.verdict()
    assert verdict.missing == []
    assert verdict.invented == []
    assert verdict.repeats == 0
    assert scene.org.get("/_sim/violations")["counts"] == {}


def open_gaps(scene: Scene) -> list[Gap]:
    """The gap ledger."""
    return list_gaps(scene.redis, scene.keys)


@pytest.mark.parametrize("is_doubted", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_subscriptions_that_another_tool_took_away_are_set_again(
    scene: Scene, is_doubted: bool
) -> None:
    """The socket lives and heartbeats come. At once where the leader doubts the channel, else about
    a minute later the topics are there again, and a gap has all that was not heard."""
    scene.start()
    scene.assign(1)
    scene.until_live(1)
    scene.until_events()
    (channel,) = scene.channels()
    wiped_ms = time.time() * 1000
    assert scene.org.subscribe(channel["id"], []).status == 200
    time.sleep(1.0)
    if is_doubted:
        scene.assign(1, doubted_ms=1)
    seconds = 10.0 if is_doubted else COMPARE_SECONDS * 1.25 + 15.0
    scene.process.wait_for(lambda: scene.channels()[0]["topics"], seconds, "topics")
    back_ms = time.time() * 1000
    scene.process.wait_for(lambda: open_gaps(scene), 5.0, "a gap")
    scene.until_live(1)
    scene.until_events()
    (gap,) = open_gaps(scene)
    assert len(gap.topics) == 23
    assert gap.from_ms <= wiped_ms + 50
    assert back_ms - 1_000 < gap.to_ms <= back_ms + 50
    assert len(scene.channels()) == 1, "the channel is the same"


def test_the_end_gives_everything_back_and_tells_no_secret(scene: Scene) -> None:
    """The channel waits for the seat's next holder, no reservation is left, the log is clean."""
    scene.start()
    scene.assign(1)
    scene.until_live(1)
    scene.until_events()
    assert scene.redis.zcard(scene.keys.channels(CLIENT)) == 1
    scene.process.stop()

    (channel,) = scene.channels()
    released = scene.redis.hgetall(scene.keys.released)
    assert channel["id"] in released["1/a"]
    assert scene.redis.zcard(scene.keys.channels(CLIENT)) == 0
    assert scene.redis.zcard(scene.keys.beats) == 0
    for line in scene.process.stderr.splitlines():
        assert json.loads(line)["process"] == "listener"
    for secret in (SECRET, channel["id"]):
        assert secret not in scene.process.stderr


def test_metrics_and_health_are_told_on_a_port(scene: Scene) -> None:
    """The numbers of the stream for Prometheus, and `ok` for a health check."""
    port = scene.metrics_port
    scene.start()
    scene.assign(1)
    scene.until_live(1)
    scene.until_events()
    page = health(port)
    assert (page["health"], page["reasons"]) == ("ok", [])
    checked = {check["check"]: check["ok"] for check in page["checks"]}
    assert {"spool", "redis", "redis.memory", "redis.rights", "clock"} <= checked.keys()
    assert all(checked.values())
    told = samples(fetch(port, "/metrics")[1])
    assert told["mirror_events_total"] >= 30
    assert told["mirror_received_bytes_total"] > told["mirror_frames_total"] > 0
    assert told['mirror_channels{state="live"}'] == 1.0
    assert told['mirror_channels{state="lost"}'] == 0.0
    scene.process.stop()
    assert scene.process.returncode == 0


def test_a_new_epoch_is_made_before_the_old_one_breaks(scene: Scene) -> None:
    """Rotation under load: both channels overlap, and nothing is missing."""
    scene.org.post("/_sim/control", {"action": "stop"})
    scene.start()
    scene.assign(1)
    first = scene.until_live(1)
    scene.org.post("/_sim/control", {"action": "start"})
    scene.until_events()
    scene.assign(2)
    second = scene.until_live(2)
    assert second.channel != first.channel
    scene.until_events()
    scene.process.wait_for(lambda: len(scene.reports()) == 1, 20.0, "the old one to be closed")
    assert sum(channel["connected"] for channel in scene.channels()) == 1
    scene.org.drain()
    time.sleep(0.5)
    scene.process.stop()
    verdict = scene.verdict()
    assert verdict.missing == []
    assert verdict.invented == []


def test_a_dropped_socket_is_opened_again_on_the_same_channel(scene: Scene) -> None:
    """One channel throughout, and what it covers starts anew."""
    scene.start()
    scene.assign(1)
    first = scene.until_live(1)
    scene.until_stable()
    scene.org.fault(fault="drop")
    scene.process.wait_for(
        lambda: (scene.reports()[0].covered_ms or 99_999) < 4_000, 10.0, "fresh coverage"
    )
    again = scene.until_live(1)
    assert again.channel == first.channel
    assert len(scene.channels()) == 1
    scene.until_events()


def test_an_evicted_channel_is_replaced(scene: Scene) -> None:
    """The channel is gone at Genesys: a new one, within seconds."""
    scene.start()
    scene.assign(1)
    first = scene.until_live(1)
    (channel,) = scene.channels()
    scene.org.fault(fault="evict", channel=channel["id"])
    scene.until_live(1, other_than=first.channel)
    scene.until_events()


def test_a_stalled_socket_is_found_silent(scene: Scene) -> None:
    """Nothing arrives and nothing closes: the watchdog acts after MIRROR_SILENCE."""
    scene.start()
    scene.assign(1)
    scene.until_live(1)
    scene.until_stable()
    scene.org.fault(fault="stall")
    scene.process.wait_for(
        lambda: scene.reports()[0].state == "lost" or (scene.reports()[0].covered_ms or 0) < 2_000,
        15.0,
        "the loss to be noticed",
    )


def test_without_redis_the_listener_goes_on(
    tmp_path: Path,
    redis_server_factory: Callable[..., RedisServer],
    kafka: str,
    make_topic: Callable[..., str],
    scene: Scene,
) -> None:
    """Redis is killed: frames still become events in Kafka (I8)."""
    server = redis_server_factory()
    other = Scene(
        scene.org, server.url, kafka, (make_topic(partitions=4), make_topic()), tmp_path / "other"
    )
    with other.process:
        other.process.wait_for(lambda: other.redis.zcard(other.keys.beats), 20.0, "the first beat")
        other.meet()
        other.assign(1)
        other.until_live(1)
        server.kill()
        before = len(other.events())
        other.process.wait_for(lambda: len(other.events()) > before + 100, 20.0, "events")
        assert "redis_unavailable" in other.process.stderr
        assert "Redis has not answered for" in str(health(other.metrics_port)["reasons"])


def test_garbage_becomes_dead_letters_and_the_stream_goes_on(scene: Scene) -> None:
    """What cannot be read is kept with its reason, and health says so."""
    scene.start()
    scene.assign(1)
    scene.until_live(1)

    def buried(count: int) -> bool:
        return scene.reports()[0].dead_letters >= count

    for count in (5, 10, 15, 20):
        # One after the other: each brings a frame of 5 MB, and who is slow to read them is cut off.
        scene.org.fault(fault="garbage")
        scene.process.wait_for(partial(buried, count), 10.0, "dead letters")
    scene.until_events()
    scene.process.stop()
    letters = read_topic(scene.kafka, scene.letters)
    assert len(letters) >= 20
    stages = {dict(letter.headers() or [])["mirror.errors.stage"] for letter in letters}
    assert b"decode" in stages


def run_to_the_end(scene: Scene, **env: str) -> tuple[int, str]:
    """Exit code and last line of stderr of a listener that cannot start."""
    process = ManagedProcess.python_module(
        "listeners", folder=scene.process.stderr_path.parent, name="failing", env=scene.env | env
    )
    with process:
        code = process.wait(20.0)
    return code, process.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}, "Kafka at 127.0.0.1:9"),
        ({"REDIS_URL": "redis://127.0.0.1:9/0"}, "Redis at redis://127.0.0.1:9/0"),
        ({"GENESYS_CLIENT_SECRET": "wrong"}, "GENESYS_CLIENT_SECRET"),
        ({"GENESYS_API_URL": "http://127.0.0.1:9"}, "127.0.0.1:9"),
        ({"MIRROR_TOPIC": "nowhere"}, "mirror init"),
    ],
)
def test_a_missing_dependency_ends_the_start_with_one_line(
    scene: Scene, env: dict[str, str], words: str
) -> None:
    """Exit code 3 after MIRROR_STARTUP_TIMEOUT, and a line that names what to look at."""
    code, line = run_to_the_end(scene, MIRROR_STARTUP_TIMEOUT="1s", **env)
    assert code == 3
    assert words in line
    assert "Traceback" not in line


def test_a_spool_directory_that_cannot_be_is_a_wrong_setting(scene: Scene) -> None:
    """Exit code 2, at which a supervisor leaves it, and the line names the variable."""
    code, line = run_to_the_end(scene, MIRROR_SPOOL_DIR="/proc/nope")
    assert code == 2
    assert line.startswith("mirror: MIRROR_SPOOL_DIR is '/proc/nope', which cannot be made ")


def test_a_second_signal_ends_it_at_once(scene: Scene) -> None:
    """The first one drains, the second one does not wait."""
    scene.start()
    scene.assign(1)
    scene.until_live(1)
    scene.process.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in scene.process.stderr, 5.0, "the first signal to be taken")
    scene.process.send(signal.SIGTERM)
    started = time.monotonic()
    scene.process.wait(3.0)
    assert time.monotonic() - started < 1.0
    assert scene.process.returncode == -signal.SIGTERM


def test_no_other_thread_touches_the_session(scene: Scene, tmp_path: Path) -> None:
    """What belongs to the loop's thread is asked of its snapshots: beats, health, metrics, end."""
    scene.process = ManagedProcess.python_module(
        "tests.integration.guarded", folder=tmp_path, name="guarded", env=scene.env
    )
    scene.start()
    scene.assign(1)
    scene.until_live(1)
    scene.until_events()
    for page in ("/healthz", "/metrics"):
        assert fetch(scene.metrics_port, page)[0] == 200
    scene.process.stop()
    assert "foreign access" not in scene.process.stderr
    assert scene.process.returncode == 0
    assert scene.redis.zcard(scene.keys.channels(CLIENT)) == 0
