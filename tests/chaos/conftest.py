"""One site for all trials, and the table of what came of them.

`make chaos` runs every fault once. `make chaos ARGS="--chaos-seconds=3600 --chaos-seed=7"` runs
faults at random from that seed for so long instead; without a seed one is drawn and printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.kafka import KafkaUnavailable
from harness.redis import RedisUnavailable
from tests.chaos.network import network
from tests.chaos.site import PLACES, Site
from tests.chaos.trial import Row, line, table
from tests.services.availability import unavailable

ROWS = pytest.StashKey[list[Row]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of the random run."""
    group = parser.getgroup("chaos")
    group.addoption("--chaos-seconds", type=float, default=0.0, help="Run random faults so long.")
    group.addoption("--chaos-seed", type=int, default=None, help="The seed of the random faults.")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the table."""
    config.stash[ROWS] = []


@pytest.fixture(scope="session")
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Shows a line at once, whatever is captured."""
    plugins = request.config.pluginmanager
    reporter, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")

    def write(text: str) -> None:
        if reporter is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                reporter.write_line(text)

    return write


@pytest.fixture(scope="session")
def enter(request: pytest.FixtureRequest, say: Callable[[str], None]) -> Callable[[Row], None]:
    """Puts a row into the table, and shows it."""
    rows = request.config.stash[ROWS]

    def put(row: Row) -> None:
        say("\n" + (line(row) if rows else table([row])))
        rows.append(row)

    return put


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Everything, running and under load."""
    folder: Path = tmp_path_factory.mktemp("chaos")
    try:
        built = Site(folder, network(PLACES))
    except (KafkaUnavailable, RedisUnavailable) as missing:
        unavailable(str(missing))
    try:
        running = built.__enter__()
    except (KafkaUnavailable, RedisUnavailable) as missing:
        unavailable(str(missing))
    try:
        yield running
    finally:
        running.__exit__(None, None, None)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    if found := config.stash.get(ROWS, []):
        terminalreporter.section("conservation")
        terminalreporter.write_line(table(found))
