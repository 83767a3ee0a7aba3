"""Variables as Heroku sets them, against a real broker with mutual TLS and a Redis of its own kind.

Heroku's Kafka: PEM in variables, certificates of a CA made for the one cluster that do not name
their hosts, a prefix that topics and groups must start with. Heroku's Redis: TLS under a
self-signed certificate. The platform itself is not here: no dyno, no router.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from harness.kafka import KafkaCluster
from harness.kafka_topics import read_topic
from harness.pages import ask
from harness.process import ManagedProcess, free_ports, wait_until
from harness.simulated import simulated
from tests.integration.secure_support import run_mirror, secure_redis
from tests.services.certificates import Authority

ROOT = Path(__file__).parents[2]
PREFIX = "columbia-68051."
APP = "app-of-the-tenant"
DYNO_TERM_SECONDS = 30.0


class Platform(NamedTuple):
    """What a dyno finds in its environment, and the cluster for the test's own eyes."""

    env: dict[str, str | None]
    kafka: KafkaCluster


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, secure_cluster: KafkaCluster
) -> Iterator[Platform]:
    """The add-ons, and an org behind a plain URL in the place of Genesys."""
    folder = tmp_path_factory.mktemp("heroku")
    nobody, kafka = Authority(folder / "pem", "self"), secure_cluster
    client = authority.client(APP)
    _permit(kafka)
    with ExitStack() as stack:
        address = stack.enter_context(
            secure_redis(folder / "redis", nobody, nobody.server("ec2.example"), client_auth=False)
        )
        options = ("--users", "5", "--queues", "1", "--rate", "5", "--speed", "20")
        org = stack.enter_context(simulated(folder / "org", *options, "--heartbeat", "1"))
        # `localhost`: the broker's certificate names 127.0.0.1 only, as Heroku's name no host.
        brokers = kafka.servers["MTLS"].replace("127.0.0.1", "localhost")
        env: dict[str, str | None] = {
            "SSL_CERT_FILE": None,
            "KAFKA_URL": ",".join(f"kafka+ssl://{broker}" for broker in brokers.split(",")),
            "KAFKA_TRUSTED_CERT": authority.pem,
            "KAFKA_CLIENT_CERT": client.cert_pem,
            "KAFKA_CLIENT_CERT_KEY": client.key_pem,
            "KAFKA_PREFIX": PREFIX,
            "REDIS_URL": f"rediss://{address}",
            "REDIS_TLS_VERIFY": "none",
            **org.env,
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_STARTUP_TIMEOUT": "10s",
            "MIRROR_PARTITIONS": "2",
        }
        yield Platform(env, kafka)


def _permit(kafka: KafkaCluster) -> None:
    """What a tenant of a shared cluster may: everything under its prefix, and nothing else."""
    bindings = [
        AclBinding(
            kind,
            PREFIX,
            ResourcePatternType.PREFIXED,
            f"User:{APP}",
            "*",
            AclOperation.ALL,
            AclPermissionType.ALLOW,
        )
        for kind in (ResourceType.TOPIC, ResourceType.GROUP)
    ]
    admin = kafka.admin()
    for done in admin.create_acls(bindings).values():
        done.result(10)


def release() -> list[str]:
    """The arguments of the release phase in the Procfile."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    (command,) = (line.partition(":")[2].split() for line in lines if line.startswith("release"))
    assert command[0] == "mirror"
    return command[1:]


def test_a_release_and_its_dynos(platform: Platform, tmp_path: Path) -> None:
    """The release phase makes the prefixed topics, dynos mirror, SIGTERM ends them within 30 s.

    Group names carry the prefix too, or the broker would refuse the tracker its group.
    """
    for outcome in ("created", "is there"):  # each deploy runs it again
        code, stdout, stderr = run_mirror(tmp_path, platform.env, *release())
        assert code == 0, stderr
        assert f"{PREFIX}genesys-interactions {outcome}" in stdout
    topic = f"{PREFIX}genesys-interactions"
    (port,) = free_ports(1)
    with ExitStack() as stack:

        def dyno(module: str, **more: str) -> ManagedProcess:
            env = platform.env | more
            return stack.enter_context(
                ManagedProcess.python_module(module, folder=tmp_path, env=env)
            )

        dynos = [dyno("coordinator"), dyno("listeners", PORT=str(port)), dyno("janitor")]
        servers = platform.kafka.bootstrap_servers
        wait_until(lambda: len(read_topic(servers, topic)) > 20, 40.0, "events", interval=0.5)

        def tracked() -> bool:
            code, stdout, _ = run_mirror(tmp_path, platform.env, "conversations")
            return code == 0 and len(stdout.splitlines()) > 1

        wait_until(tracked, 40.0, "conversations by a group of the prefix", interval=1.0)
        code, stdout, stderr = run_mirror(tmp_path, platform.env, "status", "--json")
        assert code == 0, stderr
        for started in dynos:
            started.send(signal.SIGTERM)
        began = time.monotonic()
        assert [dyno.wait(DYNO_TERM_SECONDS) for dyno in dynos] == [0, 0, 0]
        assert time.monotonic() - began < DYNO_TERM_SECONDS - 5.0
    assert not any("AUTHORIZATION" in dyno.stderr for dyno in dynos)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"KAFKA_URL": "kafka+ssl://127.0.0.1:9"}, 3, "cannot be used"),
        ({"KAFKA_URL": "http://somewhere"}, 2, "KAFKA_URL"),
        ({"KAFKA_CLIENT_CERT_KEY": "no PEM"}, 2, "KAFKA_CLIENT_CERT_KEY"),
        ({"KAFKA_PREFIX": "tenant-of-others."}, 3, "KAFKA_"),
        ({"KAFKA_CLIENT_CERT": None, "KAFKA_CLIENT_CERT_KEY": None}, 3, "client certificate"),
    ],
)
def test_a_release_that_fails_says_why(
    platform: Platform, tmp_path: Path, change: dict[str, str | None], code: int, words: str
) -> None:
    """An exit code other than 0 keeps the old release running; the line is in its log."""
    env = platform.env | {"MIRROR_STARTUP_TIMEOUT": "1s"} | change
    ended, _, stderr = run_mirror(tmp_path, env, *release())
    (line,) = stderr.splitlines()
    assert (ended, words in line) == (code, True), line


def test_the_host_name_is_given_up_for_kafka_url_alone(platform: Platform, tmp_path: Path) -> None:
    """The CA is still the cluster's own, and brokers set by hand are held to their names."""
    other = Authority(tmp_path / "other")
    quick = platform.env | {"MIRROR_STARTUP_TIMEOUT": "1s"}
    code, _, stderr = run_mirror(tmp_path, quick | {"KAFKA_TRUSTED_CERT": other.pem}, "init")
    assert (code, "certificate is not accepted" in stderr) == (3, True)
    by_hand = {
        "KAFKA_BOOTSTRAP_SERVERS": str(platform.env["KAFKA_URL"]).rpartition("/")[2],
        "KAFKA_URL": None,
    }
    code, _, stderr = run_mirror(tmp_path, quick | by_hand, "init")
    assert (code, "certificate is not accepted" in stderr) == (3, True)


def test_self_signed_redis_needs_the_word(platform: Platform, tmp_path: Path) -> None:
    """Without REDIS_TLS_VERIFY=none it is refused, and the line names the setting."""
    code, _, stderr = run_mirror(tmp_path, platform.env | {"REDIS_TLS_VERIFY": None}, "status")
    assert code == 3
    assert "REDIS_TLS_VERIFY" in stderr


def test_health_is_told_on_the_port_of_the_dyno(platform: Platform, tmp_path: Path) -> None:
    """`MIRROR_METRICS_PORT=$PORT`, as the documentation says, answers on all addresses."""
    (port,) = free_ports(1)
    env = platform.env | {"MIRROR_METRICS_PORT": str(port)}
    assert run_mirror(tmp_path, platform.env, *release())[0] == 0
    with ManagedProcess.python_module("janitor", folder=tmp_path, env=env) as process:
        process.wait_for(lambda: "mirror_" in ask(port, "/metrics")[1], 20.0, "metrics")
