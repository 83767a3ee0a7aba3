"""Starts the sandbox under one supervisord, waits until it runs, and stops all of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import urllib3

from harness.embedded import (
    LOOPBACK,
    Scene,
    Services,
    choose_ports,
    in_use,
    is_free,
    supervisor_programs,
)
from mirror.base.errors import DependencyError, MirrorError
from mirror.settings import Settings, load
from mirror.supervision import supervise

READY_WITHIN_SECONDS: Final = 60.0  # seconds; a cold start on a slow machine takes about ten
STOPPED_WITHIN_SECONDS: Final = 20.0  # longer than the guard takes to kill processes
KILLED_WITHIN_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.1
# The embedded broker keeps the first member of a group waiting for half of its session's time-out.
SESSION_TIMEOUT_MS: Final = "6000"
GUARD: Final = "harness.guard"


class Sandbox:
    """One running sandbox. Use as a context manager: leaving it stops everything."""

    def __init__(self, scene: Scene, listeners: int = 2) -> None:
        self.services: Services = choose_ports()
        self.scene = scene
        self.state = _state_directory()
        self.environment = supervise.environment(
            {
                **os.environ,
                **self.services.environment(),
                "MIRROR_LISTENERS": str(listeners),
                "MIRROR_DASHBOARD_HOST": LOOPBACK,
                "MIRROR_DASHBOARD_PORT": str(self.services.dashboard_port),
                "MIRROR_RUN_DIR": str(self.state),
                "MIRROR_LOG_DIR": str(self.state / "log"),
                "MIRROR_SPOOL_DIR": str(self.state / "spool"),
                "MIRROR_AUTOSTART": "false",
                "MIRROR_STARTSECS": "2",  # their services run, and each start is waited for
                "KAFKA_CONF_SESSION_TIMEOUT_MS": SESSION_TIMEOUT_MS,
                "MIRROR_SUPERVISOR_INCLUDE": str(self.state / "services.conf"),
            }
        )
        self.settings: Settings = load(self.environment)
        self._supervisord: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Sandbox:
        """Start everything and return once the processes of the mirror run."""
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def logs(self) -> Path:
        """The folder of the log files."""
        return self.state / "log"

    def directions(self) -> str:
        """The addresses of everything, and how a second terminal finds them."""
        services = self.services
        lines = [
            "",
            f"  Redis      127.0.0.1:{services.redis_port}",
            f"  Kafka      127.0.0.1:{services.kafka_port}   topic {self.settings.topic}",
            f"  Simulator  {services.simulator_url}",
            f"  Logs       {self.logs}",
        ]
        if self.environment["MIRROR_DASHBOARDS"] != "0":
            lines.insert(1, f"  Dashboard  {services.dashboard_url}")
        lines.append("  In a second terminal:")
        if not services.on_default_ports:
            lines += [f"    export {k}={v}" for k, v in services.environment().items()]
        mirror = command_here(Path(sys.executable).with_name("mirror"))
        lines += [f"    {mirror} status", f"    {mirror} tail --dedupe", ""]
        return "\n".join(lines)

    def wait(self) -> None:
        """Return on Ctrl-C. Raises `MirrorError` if supervisord ends before."""
        assert self._supervisord is not None
        try:
            code = self._supervisord.wait()
        except KeyboardInterrupt:
            return
        raise MirrorError(f"supervisord ended with exit code {code}{self._hint()}")

    def _start(self) -> None:
        from mirror.kafka.admin import ensure_topics

        programs = supervisor_programs(self.services, self.scene, self.state)
        (self.state / "services.conf").write_text(programs, encoding="utf-8")
        # A session of its own: Ctrl-C in the terminal reaches only us, and we stop the others in
        # order. If we are killed instead, the pipe to the guard ends, and the guard stops them.
        with (self.logs / "supervisord.out").open("wb") as out:
            self._supervisord = subprocess.Popen(
                [sys.executable, "-m", GUARD, str(self.state), *supervise.command()],
                env=self.environment,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._until("Redis", self._redis_answers)
        self._until("the simulator", self._simulator_answers)
        self._until("the broker", self._broker_answers)
        ensure_topics(self.settings)
        self._control("start", "all")

    def stop(self) -> None:
        """Stop everything. A second Ctrl-C meanwhile kills it at once."""
        process = self._supervisord
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOPPED_WITHIN_SECONDS)
            except (subprocess.TimeoutExpired, KeyboardInterrupt):
                self._kill(process)
        if process is not None and process.stdin is not None:
            process.stdin.close()
        shutil.rmtree(self.state, ignore_errors=True)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()  # the second one: the guard kills everything
        try:
            process.wait(KILLED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _control(self, *arguments: str) -> None:
        result = subprocess.run(
            supervise.control(*arguments),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=READY_WITHIN_SECONDS,
            check=False,
        )
        if result.returncode:
            said = (result.stdout + result.stderr).splitlines()
            told = "; ".join(line for line in said if not line.endswith(": started"))
            program = told.partition(":")[0]  # "dashboard:dashboard-1: ERROR (spawn error)"
            port = self.services.dashboard_port
            if program == "dashboard" and not is_free(port):
                again = "which was free a moment ago: start the sandbox again, it takes another"
                raise DependencyError(in_use(port, again))
            raise MirrorError(
                f"supervisord could not {' '.join(arguments)}: {told}{self._hint(program)}"
            )

    def _until(self, goal: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not ready():
            assert self._supervisord is not None
            if self._supervisord.poll() is not None:
                raise DependencyError(f"supervisord ended while {goal} started{self._hint()}")
            if time.monotonic() > deadline:
                raise DependencyError(
                    f"{goal} did not answer in {READY_WITHIN_SECONDS:.0f} s{self._hint()}"
                )
            time.sleep(_POLL_SECONDS)

    def _hint(self, program: str = "") -> str:
        """The last lines of the logs, because the logs are removed with the sandbox."""
        lines = [
            line.strip()
            for path in sorted(self.logs.glob(f"{program}*.*"))
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[-2:]
        ]
        return f" ({' | '.join(lines)[-600:]})" if lines else ""

    def _redis_answers(self) -> bool:
        import redis

        try:
            with redis.Redis.from_url(self.settings.redis_url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _broker_answers(self) -> bool:
        from mirror.kafka.admin import check

        try:
            check(self.settings, timeout=1.0)
        except DependencyError:
            return False
        return True

    def _simulator_answers(self) -> bool:
        try:
            url = f"{self.services.simulator_url}/_sim/stats"
            return urllib3.request("GET", url, timeout=1.0, retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            return False


def command_here(own: Path, path: str | None = None) -> str:
    """How a shell with this PATH (the default is ours) runs the console script `own`."""
    found = shutil.which(own.name, path=path)
    is_found = found is not None and Path(found).resolve() == own.resolve()
    return own.name if is_found or not own.exists() else shlex.quote(str(own))


def _state_directory() -> Path:
    """A new directory with a path short enough for the name of a socket.

    On some systems the path of a Unix socket has at most 104 bytes, and TMPDIR may be long.
    """
    state = Path(tempfile.mkdtemp(prefix="mirror-sandbox-"))
    if len(str(state)) <= supervise.LONGEST_RUN_DIR:
        return state
    state.rmdir()
    return Path(tempfile.mkdtemp(prefix="mirror-sandbox-", dir="/tmp"))
