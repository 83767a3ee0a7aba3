"""What is shipped to run the mirror elsewhere: held to the settings, the processes and each other.

No container engine and no cluster runs these here: the tests show that the files say what they
should, not that an engine takes them.
"""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from console.healthcheck import check
from harness.process import free_ports
from mirror.base.health import Health
from mirror.runtime.telemetry import Telemetry
from mirror.settings import load
from mirror.supervision import supervise
from tests.services.availability import unavailable
from tests.unit.deploy.expressions import DEPLOY, alerts

CURE = "pip install -c constraints.txt -e '.[platforms]'"
DRAIN_SECONDS = 25  # what the contract allows a process for its end
ENV_LINE = re.compile(r"^#?([A-Z_]+)=(.*)$", re.MULTILINE)
KNOWN = {name for name, _ in ENV_LINE.findall((DEPLOY / "mirror.env.example").read_text())}


def _yaml(path: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / path).read_text(encoding="utf-8")))


def test_the_env_example_has_every_setting_that_is_read() -> None:
    """And its values, uncommented, are what is in force without them."""
    text = (DEPLOY / "mirror.env.example").read_text(encoding="utf-8")
    values = {name: value for name, value in ENV_LINE.findall(text) if value}
    bare = load({"HOME": "/root"}).environment
    assert set(bare) - KNOWN <= {"PORT", "SSL_CERT_FILE"}
    assert load({"HOME": "/root", **values}).environment == bare


# -- compose ---------------------------------------------------------------------------------------

COMPOSE = _yaml("compose.yaml")[0]
OURS = {
    name: service
    for name, service in COMPOSE["services"].items()
    if service["image"] == "interaction-mirror"
}


def test_compose_runs_the_processes_of_supervisord() -> None:
    """The same ones, listeners twice, and `init` before them."""
    commands = [service["command"][0] for service in OURS.values()]
    assert sorted({*commands}) == sorted({"init", *supervise.PROGRAMS})
    assert [command for command in commands if commands.count(command) > 1] == [
        "listener",
        "listener",
    ]
    assert set(COMPOSE["services"]) - set(OURS) == {"redis", "kafka", "prometheus", "grafana"}


def test_compose_sets_known_settings_and_lets_processes_drain() -> None:
    """A misspelt variable would silently be its default."""
    for name, service in OURS.items():
        assert set(service["environment"]) <= KNOWN, name
        assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS
        given = {
            key: re.sub(r"\$\{.*\}", "0123456789abcdef", value)
            for key, value in service["environment"].items()
        }
        load({"HOME": "/root", **given})


def test_compose_mounts_files_and_volumes_that_there_are() -> None:
    """Every path exists, every volume is declared, every listener has a spool of its own."""
    spools = []
    for service in COMPOSE["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert (DEPLOY / source).exists() if source[0] == "." else source in COMPOSE["volumes"]
            spools += [source] if "/spool" in mount else []
    assert sorted(spools) == ["spool-1", "spool-2"]
    dockerfile = Path(COMPOSE["x-mirror"]["build"]["dockerfile"])
    assert (DEPLOY.parent / dockerfile).exists()


def test_compose_publishes_on_loopback_alone() -> None:
    """Nothing of it is open to the network without somebody deciding so."""
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_of_compose_scrapes_every_process() -> None:
    """By the names of the services, under the job that alerts ask for."""
    job = _yaml("prometheus/prometheus.compose.yaml")[0]["scrape_configs"][0]
    scraped = {name for found in job["dns_sd_configs"] for name in found["names"]}
    assert (job["job_name"], scraped) == ("mirror", set(OURS) - {"init"})
    assert {found["port"] for found in job["dns_sd_configs"]} == {19100}


def test_grafana_of_compose_is_pointed_at_the_dashboard() -> None:
    """Provisioning reads the folder that the dashboard is mounted in, from that Prometheus."""
    (provider,) = _yaml("grafana/provisioning/dashboards/mirror.yaml")[0]["providers"]
    mounts = COMPOSE["services"]["grafana"]["volumes"]
    assert any(f":{provider['options']['path']}/dashboard.json" in mount for mount in mounts)
    (source,) = _yaml("grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_the_page_of_compose_asks_for_a_token() -> None:
    """It is refused where mirror.env has none: the page listens beyond loopback there."""
    environment = OURS["dashboard"]["environment"]
    assert environment["MIRROR_DASHBOARD_TOKEN"].startswith("${MIRROR_DASHBOARD_TOKEN:?")
    assert OURS["dashboard"]["ports"] == ["127.0.0.1:8080:8080"]


def test_others_take_the_compose_file() -> None:
    """The Compose specification's own schema, as check-jsonschema carries it."""
    if importlib.util.find_spec("check_jsonschema") is None:
        unavailable(f"no check-jsonschema: {CURE}")
    words = ["--builtin-schema", "vendor.compose-spec", str(DEPLOY / "compose.yaml")]
    result = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", sorted((DEPLOY / "prometheus").glob("prometheus*.yaml")), ids=str)
def test_every_scrape_is_the_job_that_alerts_ask_for(path: Path) -> None:
    """A job of another name would never fire MirrorProcessUnreachable, and all would seem well."""
    (job,) = yaml.safe_load(path.read_text(encoding="utf-8"))["scrape_configs"]
    asked = {word for rule in alerts().values() for word in re.findall('job="(.+?)"', rule["expr"])}
    assert asked == {job["job_name"]}


def test_example_ports_are_nobody_elses() -> None:
    """9100 is the node exporter's, 9200 and 9300 are Elasticsearch's, 9400 is a GPU exporter's."""
    for path in (path for path in DEPLOY.rglob("*") if path.suffix in {".yaml", ".service", ""}):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.findall(r"(?<![\d.])9[1-4]00(?!\d)", text), path


def test_prometheus_of_a_host_scrapes_what_supervisord_starts() -> None:
    """One port for each process of `mirror up`, by the offsets of supervisord.conf."""
    (job,) = _yaml("prometheus/prometheus.yaml")[0]["scrape_configs"]
    first = int(job["static_configs"][0]["targets"][0].rpartition(":")[2])
    scraped = {
        group["labels"]["process"]: [int(t.rpartition(":")[2]) - first for t in group["targets"]]
        for group in job["static_configs"]
    }
    conf = configparser.RawConfigParser()
    conf.read(supervise.CONF)
    wanted = {}
    for name in supervise.PROGRAMS:
        found = re.search(r'OFFSET="(\d)%', conf[f"program:{name}"]["environment"])
        assert found
        count = 2 if name == "listener" else 1
        wanted[name] = [100 * int(found[1]) + number for number in range(count)]
    assert scraped == wanted


# -- systemd and the image -------------------------------------------------------------------------

UNIT = DEPLOY / "systemd" / "interaction-mirror.service"
TEMPLATE = DEPLOY / "systemd" / "interaction-mirror@.service"


def read_unit(path: Path) -> configparser.RawConfigParser:
    """A unit's sections; of a key that is there several times, the last."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # as its documentation has it
    unit.read(path)
    return unit


@pytest.mark.parametrize(
    ("source", "name"),
    [(UNIT, UNIT.name), (TEMPLATE, "interaction-mirror@listener.service")],
    ids=("supervisord", "one process"),
)
def test_systemd_takes_the_unit(tmp_path: Path, source: Path, name: str) -> None:
    """`systemd-analyze verify` finds nothing, once the program is where the unit says."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze: part of systemd")
    program = tmp_path / "mirror"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    unit = tmp_path / name
    text = source.read_text(encoding="utf-8").replace("/opt/mirror/bin/mirror", str(program))
    unit.write_text(text, encoding="utf-8")
    result = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_unit_of_one_process_lets_it_drain_and_leaves_a_bad_setting() -> None:
    """As the other unit; the instance is the name of the command."""
    service = read_unit(TEMPLATE)["Service"]
    assert int(service["TimeoutStopSec"]) > DRAIN_SECONDS
    assert service["RestartPreventExitStatus"] == "2"
    assert service["ExecStart"].split()[1:] == ["%i"]
    text = TEMPLATE.read_text(encoding="utf-8")
    assert set(re.findall(r"^Environment=(\w+)=", text, re.MULTILINE)) <= KNOWN
    assert hardening(TEMPLATE) == hardening(UNIT)


def hardening(path: Path) -> dict[str, str]:
    """What a unit takes away from its processes."""
    kinds = ("Protect", "RestrictA", "RestrictN", "Private", "NoNew", "Capability", "Lock", "UMask")
    held = read_unit(path)["Service"].items()
    return {key: value for key, value in held if key.startswith(kinds)}


def test_the_unit_waits_for_supervisord_and_leaves_a_bad_setting() -> None:
    """Stopping takes as long as supervisord's programs one after the other; 2 is no reason."""
    conf = configparser.RawConfigParser()
    conf.read(supervise.CONF)
    waits = [int(conf[s]["stopwaitsecs"]) for s in conf.sections() if s.startswith("program:")]
    service = read_unit(UNIT)["Service"]
    assert int(service["TimeoutStopSec"]) >= sum(waits)
    assert service["RestartPreventExitStatus"] == "2"
    assert service["ExecStart"].split()[1:] == ["up"]
    named = set(re.findall(r"^Environment=(\w+)=", UNIT.read_text(), re.MULTILINE))
    assert named <= KNOWN | {"MIRROR_RUN_DIR", "MIRROR_LOG_DIR"}


def test_the_image_is_small_unprivileged_and_watched() -> None:
    """Two stages, the second without sources; a numeric user; a health check; what is copied is."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    build, image = text.split("\nFROM ")[1:]
    assert "AS build" in build.splitlines()[0]
    assert re.search(r"^USER \d+$", image, re.MULTILINE)
    assert "HEALTHCHECK" in image
    assert '-m", "console.healthcheck' in image
    lines = re.findall(r"^COPY (?!--)(.*) \S+$", build, re.MULTILINE)
    copied = [word for line in lines for word in line.split()]
    setup = configparser.ConfigParser()
    setup.read(DEPLOY.parent / "setup.cfg")
    packages = setup["options.packages.find"]["include"].split()
    assert {name for name in packages if "." not in name} <= set(copied)
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    for name in copied:
        assert (DEPLOY.parent / name).exists()
        assert f"!{name}" in allowed
    assert not re.findall(r"^COPY (?!--from)", image, re.MULTILINE)
    assert set(re.findall(r"\b(MIRROR_[A-Z_]+)=", image)) <= KNOWN


@pytest.fixture
def served() -> Iterator[tuple[int, list[Health]]]:
    """A process' health on a port; the list's last entry is its state."""
    (port,) = free_ports(1)
    states = [Health("ok")]
    telemetry = Telemetry(port, CollectorRegistry(), lambda: states[-1])
    assert threading.active_count() > 1
    yield port, states
    telemetry.close()


def test_the_health_check_asks_the_process(served: tuple[int, list[Health]]) -> None:
    """Well and degraded are 0, down is 1, nobody there is 1."""
    port, states = served
    environ = {"MIRROR_METRICS_PORT": str(port)}
    assert check(environ)[0] == 0
    states.append(Health("degraded", ("the spool holds records",)))
    code, text = check(environ)
    assert (code, json.loads(text)["reasons"]) == (0, ["the spool holds records"])
    states.append(Health("down", ("the loop hangs",)))
    assert check(environ)[0] == 1
    assert check({})[0] == 1
    assert check({"MIRROR_METRICS_PORT": "1"})[0] == 1
