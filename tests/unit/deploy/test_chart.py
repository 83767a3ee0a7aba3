"""The Helm chart, rendered by Helm itself: it is what the plain manifest is made from.

`MIRROR_WRITE_GOLDEN=1` writes the manifest from the chart.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services import helm
from tests.services.availability import unavailable
from tests.unit.deploy.expressions import ALERTS, DEPLOY
from tests.unit.deploy.test_files import CURE

CHART = DEPLOY / "helm" / "interaction-mirror"
MANIFEST = DEPLOY / "kubernetes" / "mirror.yaml"
HEAD = """\
# The mirror on Kubernetes, without Helm: what `helm template` makes of
# deploy/helm/interaction-mirror. Redis and Kafka are elsewhere; put in their addresses and the
# image.
#     kubectl create secret generic interaction-mirror \\
#         --from-literal=GENESYS_CLIENT_ID=… --from-literal=GENESYS_CLIENT_SECRET=… \\
#         --from-literal=MIRROR_DASHBOARD_TOKEN=…
#     kubectl delete job interaction-mirror-init-1 --ignore-not-found   # a Job cannot be changed
#     kubectl apply -f deploy/kubernetes/mirror.yaml
"""
OPERATOR = "monitoring.coreos.com/v1"

Render = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """Renders the chart with values that differ from its own; objects in Helm's order."""
    try:
        helm.find()
    except helm.HelmUnavailable as missing:
        unavailable(str(missing))

    def objects(**values: Any) -> list[dict[str, Any]]:
        return [document for document in yaml.safe_load_all(template(tmp_path, values)) if document]

    return objects


def template(folder: Path, values: dict[str, Any]) -> str:
    """What `helm template` prints; Helm's complaint where it takes no chart."""
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    words = ("interaction-mirror", CHART, "--kube-version", helm.KUBERNETES, "--values", path)
    result = helm.helm("template", *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.usefixtures("render")
def test_the_manifest_is_the_chart(tmp_path: Path) -> None:
    """With the chart's own values; so one of them cannot be forgotten."""
    rendered = re.sub(r"^# Source: .*\n", "", template(tmp_path, {}), flags=re.MULTILINE)
    wanted = HEAD + re.sub(r"[ ]+$", "", rendered, flags=re.MULTILINE)
    if os.environ.get("MIRROR_WRITE_GOLDEN") == "1":
        MANIFEST.write_text(wanted, encoding="utf-8")
    assert MANIFEST.read_text(encoding="utf-8") == wanted


@pytest.mark.usefixtures("render")
def test_helm_finds_nothing_to_complain_of() -> None:
    """`helm lint --strict`."""
    result = helm.helm("lint", "--strict", CHART)
    assert result.returncode == 0, result.stdout


def test_every_value_reaches_an_object(render: Render) -> None:
    """Values of somebody's own: names, nodes, disks, peers, processes; valid for Kubernetes."""
    spool = {"spool": {"size": "20Gi", "storageClassName": "fast"}, "replicas": 4}
    objects = render(
        image={"repository": "registry.example/mirror", "tag": "2.0"},
        imagePullSecrets=[{"name": "pull"}],
        secretName="vault",
        settings={"MIRROR_METRICS_PORT": "9999", "GENESYS_REGION": "usw2.pure.cloud"},
        processes={"listener": spool, "dashboard": {"env": [{"name": "A", "value": "b"}]}},
        antiAffinity="required",
        nodeSelector={"pool": "mirror"},
        tolerations=[{"key": "dedicated", "operator": "Exists"}],
        networkPolicy={"egressPorts": [443, 6380, 9093]},
    )
    text = yaml.safe_dump_all(objects)
    for word in ("registry.example/mirror:2.0", "name: pull", "name: vault", "storage: 20Gi"):
        assert word in text
    (listener,) = (resource for resource in objects if resource["kind"] == "StatefulSet")
    assert listener["spec"]["replicas"] == 4
    assert listener["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"] == "fast"
    pod = listener["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {"pool": "mirror"}
    assert pod["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
    assert "requiredDuringSchedulingIgnoredDuringExecution" in pod["affinity"]["podAntiAffinity"]
    assert pod["containers"][0]["ports"] == [{"name": "metrics", "containerPort": 9999}]
    assert {"name": "A", "value": "b"} in next(
        resource["spec"]["template"]["spec"]["containers"][0]["env"]
        for resource in objects
        if resource["metadata"]["name"].endswith("-dashboard") and resource["kind"] == "Deployment"
    )
    assert "port: 9093" in text
    if importlib.util.find_spec("kubernetes_validate") is None:
        unavailable(f"no kubernetes-validate: {CURE}")
    import kubernetes_validate

    for resource in objects:
        kubernetes_validate.validate(resource, kubernetes_validate.latest_version(), strict=True)


def test_a_process_without_replicas_and_a_network_without_policy(render: Render) -> None:
    """What is switched off is not there, and nothing else goes with it."""
    objects = render(networkPolicy={"enabled": False}, processes={"dashboard": {"replicas": 0}})
    assert not [resource for resource in objects if resource["kind"] == "NetworkPolicy"]
    (page,) = (
        resource
        for resource in objects
        if resource["metadata"]["name"].endswith("-dashboard") and resource["kind"] == "Deployment"
    )
    assert page["spec"]["replicas"] == 0


def test_the_operator_gets_the_job_and_the_alerts(render: Render) -> None:
    """The job's name is the one that alerts ask for; the rules are those of alerts.yaml."""
    labels = {"release": "prometheus"}
    objects = render(
        podMonitor={"enabled": True, "labels": labels}, alerts={"enabled": True, "labels": labels}
    )
    ours = {
        resource["kind"]: resource for resource in objects if resource["apiVersion"] == OPERATOR
    }
    assert {resource["metadata"]["labels"]["release"] for resource in ours.values()} == {
        "prometheus"
    }
    (endpoint,) = ours["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"] == [{"targetLabel": "job", "replacement": "mirror"}]
    assert endpoint["port"] == "metrics"
    assert ours["PrometheusRule"]["spec"] == yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    assert not [resource for resource in render() if resource["apiVersion"] == OPERATOR]


def test_alerts_lead_to_the_runbook_that_somebody_serves(render: Render) -> None:
    """`runbook_url` is what Alertmanager and Grafana make a link of."""
    address = "https://docs.example/runbook/"
    objects = render(alerts={"enabled": True, "runbookUrl": address})
    (rules,) = (resource for resource in objects if resource["kind"] == "PrometheusRule")
    annotations = [rule["annotations"] for rule in rules["spec"]["groups"][0]["rules"]]
    assert annotations
    assert all(notes["runbook_url"].startswith(f"{address}#mirror") for notes in annotations)
    assert not any("runbook" in notes for notes in annotations)
