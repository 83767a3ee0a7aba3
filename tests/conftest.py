"""Fixtures that every test may use: real Redis and Kafka, names of one's own, our processes.

A service that cannot be had skips the test with the cure, and fails it in CI. Servers start with
the first test that asks for them and serve the whole run; a test that breaks servers takes
`redis_server_factory` or `kafka_cluster_factory` and gets its own.
"""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import hypothesis
import pytest

from harness.kafka import KafkaCluster, KafkaUnavailable
from harness.kafka_topics import create_topic
from harness.process import ManagedProcess
from harness.redis import RedisServer, RedisUnavailable
from tests.services.availability import not_run, unavailable

FOLDER_MARKERS = ("integration", "chaos")
FIXTURE_MARKERS = {
    "redis_server": "redis",
    "redis_server_factory": "redis",
    "kafka": "kafka",
    "kafka_cluster_factory": "kafka",
}

FUZZ_EXAMPLES = 5000


def pytest_configure(config: pytest.Config) -> None:
    """End in order on SIGTERM, and choose how property tests run.

    A build that is stopped must not leave servers behind: SIGTERM is taken like Ctrl-C, on which
    fixtures are torn down. `--hypothesis-profile` overrules the choice. No deadline an example:
    machines are shared. In CI the examples are the same in every build, so that a build fails for
    what changed; `make fuzz` and laptops look for new ones.
    """
    # pytest-xdist sets the size of a terminal for its workers, and commands would wrap their lines.
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A run in the background ignores Ctrl-C, and so would every process that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    hypothesis.settings.register_profile("laptop", deadline=None)
    hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, database=None)
    hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=FUZZ_EXAMPLES)
    if not config.getoption("--hypothesis-profile", default=None):
        in_ci = os.environ.get("CI") == "true"
        hypothesis.settings.load_profile("ci" if in_ci else "laptop")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, their kind and the services they ask for."""
    root = Path(__file__).parent
    for item in items:
        room = item.path.relative_to(root).parts[0]
        if room in FOLDER_MARKERS:
            item.add_marker(room)
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("fuzz")
        names = getattr(item, "fixturenames", ())
        for marker in {FIXTURE_MARKERS[name] for name in names if name in FIXTURE_MARKERS}:
            item.add_marker(marker)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which tests did not run for want of what: one line a reason, and the count."""
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.section(f"{len(skipped)} tests did not run")
        for line in not_run(str(report.longrepr[2]) for report in skipped):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """The run's Redis (or Valkey, by `MIRROR_TEST_REDIS`); take `redis_url` for an empty one."""
    try:
        server = RedisServer(tmp_path_factory.mktemp("redis"))
    except RedisUnavailable as missing:
        unavailable(str(missing))
    with server:
        yield server


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """URL of the run's Redis, emptied for this test."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def redis_server_factory(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Makes Redis servers of this test's own, running, to stop and start at will.

    `choice="redis"` or `"valkey"` asks for one kind, whatever the run uses.
    """
    with ExitStack() as stack:

        def make(choice: str | None = None) -> RedisServer:
            folder = tmp_path / f"redis-{uuid.uuid4().hex[:8]}"
            try:
                server = RedisServer(folder, choice=choice)
            except RedisUnavailable as missing:
                unavailable(str(missing))
            return stack.enter_context(server)

        yield make


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of the run's Apache Kafka: one broker, topics created by hand only."""
    try:
        cluster = KafkaCluster(tmp_path_factory.mktemp("kafka"))
    except KafkaUnavailable as missing:
        unavailable(str(missing))
    with cluster:
        yield cluster.bootstrap_servers


@pytest.fixture
def kafka_cluster_factory(tmp_path: Path) -> Iterator[Callable[[int], KafkaCluster]]:
    """Makes Kafka clusters of this test's own, of as many brokers as asked for, running."""
    with ExitStack() as stack:

        def make(size: int) -> KafkaCluster:
            folder = tmp_path / f"kafka-{uuid.uuid4().hex[:8]}"
            try:
                cluster = KafkaCluster(folder, size=size)
            except KafkaUnavailable as missing:
                unavailable(str(missing))
            return stack.enter_context(cluster)

        yield make


@pytest.fixture
def topic_name() -> str:
    """A topic name that no other test has; nothing is created."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def make_topic(kafka: str) -> Callable[..., str]:
    """Makes topics of this test's own on the run's Kafka; `partitions=` and `config=` as given."""

    def make(partitions: int = 1, config: dict[str, str] | None = None) -> str:
        name = f"test-{uuid.uuid4().hex}"
        return create_topic(kafka, name, partitions=partitions, config=config)

    return make


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[[ManagedProcess], ManagedProcess]]:
    """Starts processes and ends them after the test, the last one first."""
    with ExitStack() as stack:
        yield stack.enter_context
