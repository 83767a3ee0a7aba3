"""A CA's, certificate's or key's file that cannot be used now: an outage, and no wrong setting."""

from __future__ import annotations

import ast
import importlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from dashboard.reader.watch import Watch
from mirror.base.errors import KafkaUnavailable, SettingsError
from mirror.kafka.client import ClientLog, open_client
from mirror.kafka.config import admin_config
from mirror.runtime.startup import Startup
from mirror.settings import Settings, load

ROOT = Path(__file__).parents[3]
PACKAGES = ("console", "coordinator", "dashboard", "janitor", "listeners", "mirror", "projector")
CLIENTS = {kind.__name__ for kind in (AdminClient, Consumer, Producer)}


def settings_with(path: Path, property_name: str = "SSL_CA_LOCATION") -> Settings:
    """Settings that name a file."""
    return load(
        {
            "HOME": "/root",
            "KAFKA_SECURITY_PROTOCOL": "ssl",
            "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            f"KAFKA_CONF_{property_name}": str(path),
            "MIRROR_STARTUP_TIMEOUT": "3s",
        }
    )


def missing(path: Path) -> None:
    """Leave no file."""


def half(path: Path) -> None:
    """Leave the beginning of a certificate."""
    path.write_text("-----BEGIN CERTIFICATE-----\nMIIB\n", encoding="ascii")


def empty(path: Path) -> None:
    """Leave a file without content."""
    path.touch()


@pytest.mark.parametrize("make", [missing, half, empty])
@pytest.mark.parametrize(
    "name", ["SSL_CA_LOCATION", "SSL_CERTIFICATE_LOCATION", "SSL_KEY_LOCATION", "SSL_CRL_LOCATION"]
)
def test_a_file_that_cannot_be_used_is_an_outage(
    name: str, make: Callable[[Path], None], tmp_path: Path
) -> None:
    """One line names the variable and the file."""
    path = tmp_path / "file.pem"
    make(path)
    config = admin_config(settings_with(path, name))
    with pytest.raises(KafkaUnavailable) as raised:
        open_client(AdminClient, config, ClientLog("test"))
    said = str(raised.value)
    assert said.startswith(f"KAFKA_CONF_{name}")
    assert str(path) in said
    assert "\n" not in said


def test_a_missing_keystore_is_an_outage_and_a_missing_password_is_not(tmp_path: Path) -> None:
    """Waiting does not bring a password."""
    config = admin_config(settings_with(tmp_path / "none", "SSL_KEYSTORE_LOCATION"))
    with pytest.raises(SettingsError):
        open_client(AdminClient, config, ClientLog("test"))
    with pytest.raises(KafkaUnavailable, match="KAFKA_CONF_SSL_KEYSTORE_LOCATION"):
        open_client(AdminClient, {**config, "ssl.keystore.password": "p"}, ClientLog("test"))


def test_a_wrong_property_beside_a_missing_file_is_a_wrong_setting(tmp_path: Path) -> None:
    """The exit code stays that of a wrong setting."""
    config = {**admin_config(settings_with(tmp_path / "none")), "linger.ms": "abc"}
    with pytest.raises(SettingsError, match="KAFKA_CONF_LINGER_MS"):
        open_client(AdminClient, config, ClientLog("test"))


def test_a_start_waits_for_the_file(tmp_path: Path) -> None:
    """Up to its deadline, with the code of an unreachable dependency."""
    now = 100.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    startup = Startup(settings_with(tmp_path / "none"), clock=lambda: now, sleep=sleep)
    with pytest.raises(KafkaUnavailable, match="KAFKA_CONF_SSL_CA_LOCATION") as raised:
        startup.kafka()
    assert raised.value.exit_code == 3
    assert now > 101


def calls(tree: ast.AST) -> Iterator[str]:
    """The names of plain functions that a module calls."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


def modules() -> dict[str, set[str]]:
    """Module of the product → names that it calls."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = set(calls(tree))
    return found


MODULES = modules()
OPENERS = sorted(
    name
    for name, called in MODULES.items()
    if "open_client" in called and name != "mirror.kafka.client"
)


def test_each_client_of_kafka_is_opened_by_the_function_that_knows_files() -> None:
    """None is made directly."""
    assert {name: called & CLIENTS for name, called in MODULES.items() if called & CLIENTS} == {}


class Anything:
    """Stands for what a caller has beside its client."""

    def __getattr__(self, _name: str) -> Any:
        return lambda *_, **__: None


def looked(settings: Settings) -> str:
    """What the page's probe says of Kafka."""
    stand_in: Any = Anything()
    watch = Watch(settings, stand_in, stand_in, stand_in)
    return watch._look("kafka", watch.kafka, watch._probe).reason


def drawn(module: str, settings: Settings) -> object:
    """What comes out of a module's call of `open_client`, with a file that is away."""
    name = importlib.import_module(module)
    stop = threading.Event()
    match module:
        case "coordinator.tracker.service":
            tracker = name.Tracker(settings)
            tracker._log = Recorded(stop)
            opened = tracker._opened(stop)
            (reason,) = tracker.reasons
            assert reason.removeprefix("the tracker: ") in tracker._log.said
            return opened or tracker._log.said
        case "dashboard.reader.watch":
            return looked(settings)
        case "projector.loop":
            loop = name.Loop(settings, "t", partitions=1)
            loop._log = Recorded(stop)
            return loop._opened(stop) or loop.problem
        case "projector.writer":
            with pytest.raises(name.Aborted) as aborted:
                name.Writer(settings, "t").write([], [], None)
            assert aborted.value.is_everywhere
            return str(aborted.value)
        case "mirror.checks.kafka" | "mirror.checks.kafka_rights":
            checks = {"check_kafka": lambda: next(name.check_kafka(settings))}
            check = checks.get("check_" + module.rpartition(".")[2])
            finding = check() if check else name.check_idempotence(settings, 0.0)
            assert finding.exit_code == 2
            return finding.detail
        case "listeners.publish.producers":
            producers = name.Producers(settings, "listener")
            return producers.make(0.0, print, 1000, all_reports=False) or producers.reason
    raising: dict[str, Callable[[], object]] = {
        "dashboard.reader.views": lambda: name.read_views(settings, [0], 0, lambda: True),
        "janitor.producer": lambda: name.AckedProducer(settings)._make(),
        "mirror.checks.projector": lambda: name._transactions(settings),
        "mirror.kafka.admin": lambda: name.check(settings, 1.0),
        "mirror.kafka.consume": lambda: name.open_reader(settings, "t", "tail"),
        "mirror.kafka.projected": lambda: name.read_partitions(settings, 1, 1.0),
        "mirror.kafka.spread": lambda: name.await_spread(settings, ["127.0.0.1:1"], ["t"], 1.0),
        "projector.offsets": lambda: name.Offsets(settings).ends("t", [0]),
        "projector.rebuild": lambda: name.rebuild(settings),
        "projector.restore": lambda: name.Restore(settings, {}, {}),
    }
    with pytest.raises(KafkaUnavailable) as raised:
        raising[module]()
    return str(raised.value)


class Recorded:
    """A log that ends the waiting with its first line."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self.said = ""

    def warning(self, _event: str, **fields: Any) -> None:
        """Take a line."""
        self.said = str(fields)
        self._stop.set()


@pytest.mark.parametrize("module", OPENERS)
def test_no_caller_takes_a_file_that_is_away_for_a_bug(module: str, tmp_path: Path) -> None:
    """What runs waits and says why; what is asked once ends with the outage."""
    said = drawn(module, settings_with(tmp_path / "none"))
    assert "KAFKA_CONF_SSL_CA_LOCATION" in str(said)
