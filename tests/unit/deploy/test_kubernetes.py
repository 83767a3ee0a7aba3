"""The manifest for Kubernetes: held to the settings, the processes, and the schemas of Kubernetes.

No cluster runs it here. It is made from the chart (test_chart.py).
"""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest
import yaml

from console import cli
from mirror.settings import load
from mirror.supervision import supervise
from tests.services.availability import unavailable
from tests.unit.deploy.expressions import DEPLOY
from tests.unit.deploy.test_files import CURE, DRAIN_SECONDS, KNOWN

METRICS_PORT = 19100
OBJECTS: list[dict[str, Any]] = list(
    yaml.safe_load_all((DEPLOY / "kubernetes" / "mirror.yaml").read_text(encoding="utf-8"))
)
WORKLOADS = [resource for resource in OBJECTS if resource["kind"] in {"Deployment", "StatefulSet"}]
JOBS = [resource for resource in OBJECTS if resource["kind"] == "Job"]


def name_of(resource: dict[str, Any]) -> str:
    """Kind and name, for the ids of tests."""
    return f"{resource['kind']} {resource['metadata']['name']}"


def of_kind(kind: str) -> list[dict[str, Any]]:
    """The objects of a kind."""
    return [resource for resource in OBJECTS if resource["kind"] == kind]


@pytest.mark.parametrize("resource", OBJECTS, ids=name_of)
def test_kubernetes_takes_each_object(resource: dict[str, Any]) -> None:
    """By the strict schemas of the newest release that kubernetes-validate carries."""
    if importlib.util.find_spec("kubernetes_validate") is None:
        unavailable(f"no kubernetes-validate: {CURE}")
    import kubernetes_validate

    kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_it_runs_the_processes() -> None:
    """Each by its command; listeners with a disk."""
    kinds = {
        workload["spec"]["template"]["metadata"]["labels"]["process"]: workload
        for workload in WORKLOADS
    }
    assert set(kinds) == set(supervise.PROGRAMS)
    for process, workload in kinds.items():
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert container["args"] == [process]
        assert container["args"][0] in cli.commands
    claims = kinds["listener"]["spec"]["volumeClaimTemplates"]
    (container,) = kinds["listener"]["spec"]["template"]["spec"]["containers"]
    (config,) = (resource["data"] for resource in of_kind("ConfigMap"))
    (mount,) = container["volumeMounts"]
    assert mount == {"name": claims[0]["metadata"]["name"], "mountPath": config["MIRROR_SPOOL_DIR"]}


@pytest.mark.parametrize("resource", WORKLOADS, ids=name_of)
def test_probes_ask_for_health_and_pods_may_drain(resource: dict[str, Any]) -> None:
    """A pod is restarted by /livez, and gets requests by /healthz; a budget covers the pods."""
    spec = resource["spec"]["template"]["spec"]
    labels = resource["spec"]["template"]["metadata"]["labels"]
    assert resource["spec"]["selector"]["matchLabels"] == labels
    assert spec["terminationGracePeriodSeconds"] > DRAIN_SECONDS
    (container,) = spec["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == METRICS_PORT
    for probe, path in (("startup", "/livez"), ("liveness", "/livez"), ("readiness", "/healthz")):
        assert container[f"{probe}Probe"]["httpGet"] == {"path": path, "port": "metrics"}
    budgets = [b for b in of_kind("PodDisruptionBudget") if selects(b["spec"]["selector"], labels)]
    assert [budget["spec"]["maxUnavailable"] for budget in budgets] == [1]


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether a selector by labels alone takes a pod of these labels."""
    return all(labels.get(name) == wanted for name, wanted in selector["matchLabels"].items())


@pytest.mark.parametrize("resource", [*WORKLOADS, *JOBS], ids=name_of)
def test_pods_are_restricted(resource: dict[str, Any]) -> None:
    """What the Pod Security Standard `restricted` asks for, no token, resources, no service links.

    Service links would set variables such as `MIRROR_DASHBOARD_PORT=tcp://…`, which are settings.
    """
    spec = resource["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for volume in spec.get("volumes", ()):
        assert "hostPath" not in volume
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("resource", WORKLOADS, ids=name_of)
def test_pods_of_a_process_go_to_different_nodes(resource: dict[str, Any]) -> None:
    """Two coordinators on one node would leave none when it is lost."""
    labels = resource["spec"]["template"]["metadata"]["labels"]
    affinity = resource["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]
    (term,) = affinity["preferredDuringSchedulingIgnoredDuringExecution"]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert term["podAffinityTerm"]["labelSelector"]["matchLabels"] == labels


def test_the_network_is_closed_but_for_what_is_named() -> None:
    """Every pod is covered both ways; what goes out are the ports of the settings."""
    for workload in [*WORKLOADS, *JOBS]:
        labels = workload["spec"]["template"]["metadata"]["labels"]
        covering = [
            p for p in of_kind("NetworkPolicy") if selects(p["spec"]["podSelector"], labels)
        ]
        assert {way for p in covering for way in p["spec"]["policyTypes"]} == {"Ingress", "Egress"}
    (policy,) = (p for p in of_kind("NetworkPolicy") if "egress" in p["spec"])
    (rule,) = policy["spec"]["egress"]
    assert {entry["port"] for entry in rule["ports"]} == {53, 443, 6379, 9092}
    assert policy["spec"]["ingress"][0]["ports"] == [{"protocol": "TCP", "port": METRICS_PORT}]


def test_the_page_has_a_service_and_listens_beyond_loopback() -> None:
    """Its port is the one that the service leads to."""
    (page,) = (workload for workload in WORKLOADS if "dashboard" in workload["metadata"]["name"])
    (container,) = page["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["MIRROR_DASHBOARD_HOST"] == "::"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = load({"HOME": "/root", "MIRROR_DASHBOARD_TOKEN": "0123456789abcdef"})
    assert ports["page"] == settings.dashboard_port
    (service,) = (
        resource for resource in of_kind("Service") if "dashboard" in resource["metadata"]["name"]
    )
    assert [entry["targetPort"] for entry in service["spec"]["ports"]] == ["page"]


def test_it_sets_known_settings() -> None:
    """Config map and containers name settings that there are, with values that parse."""
    (config,) = (resource["data"] for resource in of_kind("ConfigMap"))
    assert set(config) <= KNOWN
    assert load({"HOME": "/root", **config}).metrics_port == METRICS_PORT
    for workload in (*WORKLOADS, *JOBS):
        (container,) = workload["spec"]["template"]["spec"]["containers"]
        assert {entry["name"] for entry in container.get("env", ())} <= KNOWN
