"""One 'host' of the mirror: `deploy/supervisord.conf` under a supervisord in its own namespace."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from harness.process import ManagedProcess, ServiceError, tail, wait_until
from mirror.supervision import supervise

READY_SECONDS = 40.0
# A program that supervisord may start through a wrapper: the clock trial swaps the file's text.
WRAPPER = """#!/bin/sh
[ -e "{flag}" ] && . "{flag}"
exec {python} "$@"
"""


class Host:
    """Listeners, a coordinator, a janitor and a projector under one supervisord; ends them."""

    def __init__(
        self,
        name: str,
        folder: Path,
        environment: Mapping[str, str],
        *,
        prefix: list[str],
        listeners: int = 2,
        coordinators: int = 1,
        janitors: int = 1,
        projectors: int = 1,
    ) -> None:
        self.name = name
        self.folder = folder
        self.spool = folder / "spool"
        self.extra = folder / "environment.sh"  # sourced by each process that starts, if it exists
        self.spool.mkdir(parents=True)
        wrapper = folder / "python"
        wrapper.write_text(WRAPPER.format(flag=self.extra, python=sys.executable))
        wrapper.chmod(0o755)
        self._environment = supervise.environment(
            {
                **os.environ,
                **environment,
                "MIRROR_HOST": name,
                "MIRROR_SPOOL_DIR": str(self.spool),
                "MIRROR_RUN_DIR": str(folder / "run"),
                "MIRROR_LOG_DIR": str(folder / "log"),
                "MIRROR_LISTENERS": str(listeners),
                "MIRROR_COORDINATORS": str(coordinators),
                "MIRROR_JANITORS": str(janitors),
                "MIRROR_PROJECTORS": str(projectors),
                # It only reads, and hosts that share one address would fight for its port.
                "MIRROR_DASHBOARDS": "0",
                "MIRROR_PYTHON": str(wrapper),
            }
        )
        self._supervisord = ManagedProcess(
            [*prefix, *supervise.command()],
            folder,
            name="supervisord",
            env={**self._environment},
        )
        self._socket = f"unix://{folder / 'run' / 'supervisor.sock'}"

    def start(self) -> Self:
        """Start supervisord, and through it the processes; returns when all run."""
        self._supervisord.start()
        try:
            self._supervisord.wait_for(self._all_run, READY_SECONDS, "all processes run")
        except BaseException:
            self.kill()
            raise
        return self

    @property
    def supervisor_pid(self) -> int:
        """The pid of supervisord itself."""
        return self._supervisord.pid

    def pids(self) -> dict[str, int]:
        """Process name (`listener-0`) → its pid; only of those that run."""
        return {
            str(info["name"]): int(info["pid"])
            for info in self._ask("getAllProcessInfo")
            if info["pid"]
        }

    def pid(self, program: str) -> int:
        """The pid of a process that runs."""
        return self.pids()[program]

    def owner(self, pid: int) -> str | None:
        """The name of the process with that pid, None where it is none of ours."""
        return next((name for name, known in self.pids().items() if known == pid), None)

    def stop(self, program: str) -> None:
        """Stop it as `supervisorctl stop` does; it stays so."""
        self._ask("stopProcess", _full(program), already=Faults.NOT_RUNNING)

    def start_again(self, program: str) -> None:
        """Start what was stopped."""
        self._ask("startProcess", _full(program), already=Faults.ALREADY_STARTED)

    def restart(self, program: str) -> None:
        """Stop it as `supervisorctl restart` does, and start it again."""
        # The watchdog restarts too: what it was quicker at needs no second call.
        self.stop(program)
        self.start_again(program)

    def kill(self) -> None:
        """SIGKILL for everything at once, as when the power fails."""
        children = self._children()
        if self._supervisord.running:
            os.kill(self._supervisord.pid, signal.SIGSTOP)  # it must not start them again
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        self._supervisord.kill()

    def log(self, program: str) -> str:
        """The end of a process' log."""
        return tail(self.folder / "log" / f"{program}.log", 30)

    def _children(self) -> list[int]:
        if not self._supervisord.running:
            return []
        pid = self._supervisord.pid
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in text.split()]

    def _all_run(self) -> bool:
        try:
            states = [info["statename"] for info in self._ask("getAllProcessInfo")]
        except OSError:
            return False
        return bool(states) and all(state == "RUNNING" for state in states)

    def _ask(self, method: str, *arguments: object, already: int | None = None) -> Any:
        """One call of supervisord's XML-RPC; the refusal `already` counts as done."""
        transport = SupervisorTransport(serverurl=self._socket)
        try:
            proxy = ServerProxy("http://localhost", transport=transport)
            return getattr(proxy.supervisor, method)(*arguments)
        except Fault as fault:
            if fault.faultCode == already:
                return None
            words = " ".join(map(str, arguments))
            raise ServiceError(f"{self.name}: {method} {words}: {fault.faultString}") from fault
        finally:
            transport.close()

    def until_running(self) -> None:
        """Wait until supervisord has everything running again."""
        wait_until(self._all_run, READY_SECONDS, f"all processes of {self.name} run", interval=0.2)

    def __enter__(self) -> Self:
        return self if self._supervisord.running else self.start()

    def __exit__(self, *_: object) -> None:
        self.kill()


def _full(program: str) -> str:
    """The name of a process, with its group, as supervisord takes it."""
    return f"{program.partition('-')[0]}:{program}"
