"""What is shipped to run the mirror elsewhere: held to the settings, the processes and each other.

No container engine and no cluster runs these here: the tests show that the files say what they
should, not that an engine takes them.
"""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from console import cli
from console.healthcheck import check
from harness.process import free_ports
from mirror.base.health import Health
from mirror.runtime.telemetry import Telemetry
from mirror.settings import load
from mirror.supervision import supervise
from tests.unit.deploy.expressions import DEPLOY

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
    """The same ones, listeners twice, and `init` before them; the web page is left to choice."""
    commands = sorted(service["command"][0] for service in OURS.values())
    assert commands == ["coordinator", "init", "janitor", "listener", "listener"]
    assert set(commands) - {"init"} == set(supervise.PROGRAMS) - {"dashboard"}
    assert set(COMPOSE["services"]) - set(OURS) == {"redis", "kafka", "prometheus", "grafana"}


def test_compose_sets_known_settings_and_lets_processes_drain() -> None:
    """A misspelt variable would silently be its default."""
    for name, service in OURS.items():
        assert set(service["environment"]) <= KNOWN, name
        assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN_SECONDS
        load({"HOME": "/root", **service["environment"]})


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
    assert {found["port"] for found in job["dns_sd_configs"]} == {9100}


def test_grafana_of_compose_is_pointed_at_the_dashboard() -> None:
    """Provisioning reads the folder that the dashboard is mounted in, from that Prometheus."""
    (provider,) = _yaml("grafana/provisioning/dashboards/mirror.yaml")[0]["providers"]
    mounts = COMPOSE["services"]["grafana"]["volumes"]
    assert any(f":{provider['options']['path']}/dashboard.json" in mount for mount in mounts)
    (source,) = _yaml("grafana/provisioning/datasources/prometheus.yaml")[0]["datasources"]
    assert source["url"] == "http://prometheus:9090"


# -- Kubernetes ------------------------------------------------------------------------------------

OBJECTS = _yaml("kubernetes/mirror.yaml")
WORKLOADS = [one for one in OBJECTS if one["kind"] in {"Deployment", "StatefulSet"}]


def test_kubernetes_runs_the_processes() -> None:
    """Each by its command; listeners with a disk."""
    kinds = {one["spec"]["template"]["metadata"]["labels"]["process"]: one for one in WORKLOADS}
    assert set(kinds) == set(supervise.PROGRAMS) - {"dashboard"}
    for process, one in kinds.items():
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert container["args"] == [process]
        assert container["args"][0] in cli.commands
    claims = kinds["listener"]["spec"]["volumeClaimTemplates"]
    (container,) = kinds["listener"]["spec"]["template"]["spec"]["containers"]
    (config,) = (one["data"] for one in OBJECTS if one["kind"] == "ConfigMap")
    (mount,) = container["volumeMounts"]
    assert mount == {"name": claims[0]["metadata"]["name"], "mountPath": config["MIRROR_SPOOL_DIR"]}


@pytest.mark.parametrize("one", WORKLOADS, ids=lambda one: str(one["metadata"]["name"]))
def test_kubernetes_probes_health_and_waits_for_the_end(one: dict[str, Any]) -> None:
    """Probes ask /healthz by a port that is there; a pod may drain; a budget covers it."""
    spec = one["spec"]["template"]["spec"]
    labels = one["spec"]["template"]["metadata"]["labels"]
    assert one["spec"]["selector"]["matchLabels"] == labels
    assert spec["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    assert spec["securityContext"]["runAsNonRoot"]
    (container,) = spec["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": 9100}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": "metrics"}
    budgets = [b for b in OBJECTS if b["kind"] == "PodDisruptionBudget"]
    assert [b["spec"]["maxUnavailable"] for b in budgets if _selects(b, labels)] == [1]


def _selects(budget: dict[str, Any], labels: dict[str, str]) -> bool:
    return bool(budget["spec"]["selector"]["matchLabels"] == labels)


def test_kubernetes_sets_known_settings() -> None:
    """Config map and containers name settings that there are, with values that parse."""
    (config,) = (one["data"] for one in OBJECTS if one["kind"] == "ConfigMap")
    assert set(config) <= KNOWN
    assert load({"HOME": "/root", **config}).metrics_port == 9100
    for one in (*WORKLOADS, *(o for o in OBJECTS if o["kind"] == "Job")):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        assert {entry["name"] for entry in container.get("env", ())} <= KNOWN


# -- systemd and the image -------------------------------------------------------------------------

UNIT = DEPLOY / "systemd" / "interaction-mirror.service"


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """`systemd-analyze verify` finds nothing, once the program is where the unit says."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze: part of systemd")
    program = tmp_path / "mirror"
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8").replace("/opt/mirror/bin/mirror", str(program))
    unit.write_text(text, encoding="utf-8")
    result = subprocess.run(
        [analyze, "verify", str(unit)], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_the_unit_waits_for_supervisord_and_leaves_a_bad_setting() -> None:
    """Stopping takes as long as supervisord's programs one after the other; 2 is no reason."""
    conf = configparser.RawConfigParser()
    conf.read(supervise.CONF)
    waits = [int(conf[s]["stopwaitsecs"]) for s in conf.sections() if s.startswith("program:")]
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # as its documentation has it
    unit.read(UNIT)
    service = unit["Service"]
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
    assert copied
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
