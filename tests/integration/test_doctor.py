"""`mirror doctor` against real services: well where they are, and each fault provoked is named."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined] # not in its `__all__`
    AclBinding,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from harness.kafka import KafkaCluster
from harness.kafka_topics import create_topic
from harness.process import wait_until
from harness.redis import RedisServer
from harness.simulated import Simulated, simulated
from mirror.base.errors import EXIT_DEPENDENCY, EXIT_DONE, EXIT_FAILED, EXIT_USAGE
from mirror.checks.finding import CHECKS, Finding
from mirror.checks.genesys import check_genesys
from mirror.checks.kafka import check_kafka
from mirror.checks.machine import check_machine
from mirror.checks.projector import check_projector
from mirror.checks.redis import check_redis
from mirror.fleet.names import slice_of
from mirror.redis.keys import Keys
from mirror.redis.rate import RateBudget
from mirror.settings import load
from tests.integration.secure_support import guarded_redis

NOBODY = "127.0.0.1:1"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A broker that lets everybody do what no ACL speaks of."""
    properties: dict[str, object] = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    with KafkaCluster(tmp_path_factory.mktemp("kafka"), properties=properties) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A quiet org with many clients, one for each test that spoils one."""
    names = ("sandbox", "crowded", "lacking", "spent")
    clients = [word for name in names for word in ("--client", f"{name}:sandbox")]
    with simulated(tmp_path_factory.mktemp("sim"), "--no-autostart", *clients) as sim:
        yield sim


@pytest.fixture
def env(cluster: KafkaCluster, redis_url: str, sim: Simulated, tmp_path: Path) -> dict[str, str]:
    """Settings under which all is well, once `topics` are made."""
    return {
        "HOME": str(tmp_path),
        "REDIS_URL": redis_url,
        "KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers,
        "GENESYS_API_URL": sim.url,
        "GENESYS_CLIENTS": "sandbox:sandbox",
        "MIRROR_NAMESPACE": tmp_path.name,
        "MIRROR_TOPIC": f"{tmp_path.name}",
        "MIRROR_DEAD_LETTER_TOPIC": f"{tmp_path.name}.dlq",
        "MIRROR_ONCE_TOPIC": f"{tmp_path.name}.once",
        "MIRROR_CONVERSATIONS_TOPIC": f"{tmp_path.name}.conversations",
        "MIRROR_PARTITIONS": "3",
        "MIRROR_SPOOL_LIMIT": "1MiB",
        "MIRROR_RUN_DIR": str(tmp_path / "run"),
    }


@pytest.fixture
def topics(cluster: KafkaCluster, env: dict[str, str]) -> None:
    """The mirror's topics, as they should be."""
    servers = cluster.bootstrap_servers
    for name in ("MIRROR_TOPIC", "MIRROR_DEAD_LETTER_TOPIC", "MIRROR_ONCE_TOPIC"):
        create_topic(servers, env[name], partitions=3)
    compacted = {"cleanup.policy": "compact"}
    create_topic(servers, env["MIRROR_CONVERSATIONS_TOPIC"], partitions=3, config=compacted)


def _ill(findings: Iterator[Finding], check: str, level: str = "bad") -> Finding:
    """The one finding of that check, which must be of that level, with its cure."""
    found = [finding for finding in findings if (finding.check, finding.level) == (check, level)]
    assert len(found) == 1, found
    assert found[0].cure
    return found[0]


def _doctor(
    env: Mapping[str, str], *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from console import main; main()", "doctor", *arguments],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **env, **(environ or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("topics")
def test_all_is_well_where_it_is(env: dict[str, str]) -> None:
    """Each line begins with its mark; nothing is ✗; exit code 0; `--json` says the same."""
    text = _doctor(env)
    assert text.returncode == EXIT_DONE, text.stdout + text.stderr
    assert "✗" not in text.stdout
    assert all(line[0] in "✓! " for line in text.stdout.splitlines())
    document = json.loads(_doctor(env, "--json").stdout)
    findings: list[dict[str, Any]] = document["findings"]
    assert {finding["check"] for finding in findings} <= set(CHECKS)
    doubtful = {finding["check"] for finding in findings if finding["level"] != "good"}
    assert doubtful == {"kafka.replication"}  # one broker, as the test has it
    looked_at = {finding["check"].partition(".")[0] for finding in findings}
    assert looked_at == {
        *("settings", "personal", "redis", "clock", "kafka", "genesys", "supervisord", "spool"),
    }


def test_the_exit_code_is_that_of_the_worst_line(env: dict[str, str]) -> None:
    """1 where something must be done, 3 where a service is away, 2 for a setting; never a trace."""
    assert _doctor(env).returncode == EXIT_FAILED  # the topics are missing
    away = _doctor(env, environ={"REDIS_URL": f"redis://{NOBODY}/0"})
    assert away.returncode == EXIT_DEPENDENCY
    assert "✗ Redis: " in away.stdout
    assert "  → " in away.stdout
    (line,) = away.stderr.splitlines()
    assert line.startswith("mirror: ")
    assert "the worst: Redis: " in line
    wrong = _doctor(env, environ={"MIRROR_REPLICAS": "many"})
    assert wrong.returncode == EXIT_USAGE
    assert len(wrong.stderr.splitlines()) == 1


def test_redis_away(env: dict[str, str]) -> None:
    """Nobody listens: one finding, exit code 3."""
    found = list(check_redis(load(env | {"REDIS_URL": f"redis://{NOBODY}/0"})))
    assert [(finding.check, finding.exit_code) for finding in found] == [("redis", EXIT_DEPENDENCY)]


def test_redis_that_evicts(
    env: dict[str, str], redis_server_factory: Callable[..., RedisServer]
) -> None:
    """A policy that drops keys is named with the command that mends it."""
    server = redis_server_factory()
    with server.client() as client:
        client.config_set("maxmemory", "100mb")
        client.config_set("maxmemory-policy", "allkeys-lru")
    found = _ill(check_redis(load(env | {"REDIS_URL": server.url})), "redis.memory")
    assert "noeviction" in found.cure


def test_a_redis_user_that_may_only_read(env: dict[str, str], tmp_path: Path) -> None:
    """What is refused is named; the same server's other user may do all of it."""
    with guarded_redis(tmp_path / "redis", "s3cret-0123456789", "redis") as guarded:
        settings = env | {"MIRROR_NAMESPACE": "default"}
        reader = load(settings | {"REDIS_URL": guarded.url("mirror-reader")})
        assert "zadd" in _ill(check_redis(reader), "redis.rights").detail
        worker = load(settings | {"REDIS_URL": guarded.url("mirror")})
        assert all(finding.level == "good" for finding in check_redis(worker))


def test_partitions_that_take_nothing(
    env: dict[str, str], kafka_cluster_factory: Callable[[int], KafkaCluster]
) -> None:
    """Brokers answer and the topics exist, but a broker is away: a partition has no leader, another
    one too few replicas in sync."""
    cluster = kafka_cluster_factory(3)
    settings = load(env | {"KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap_servers})
    admin = cluster.admin()
    both = {"min.insync.replicas": "2"}
    for topic in (
        NewTopic(settings.topic, 3, replica_assignment=[[1], [2], [3]]),
        NewTopic(settings.dead_letter_topic, 1, replica_assignment=[[1, 3]], config=both),
    ):
        admin.create_topics([topic])[topic.topic].result(20)
    cluster.brokers[2].kill()

    def told() -> set[str]:
        found = [finding for finding in check_kafka(settings) if not finding.ok]
        return {f"{finding.subject}: {finding.detail}" for finding in found}

    dead = (
        f"topic {settings.topic}: 1 partition (2) without a leader: nothing can be written or read "
        "there"
    )
    few = (
        f"topic {settings.dead_letter_topic}: a partition has 1 replica in sync, fewer than "
        "min.insync.replicas: it takes no records now"
    )
    wait_until(lambda: {dead, few} <= told(), 60, "both are told")


def test_kafka_away(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """No broker answers: one finding, exit code 3."""
    monkeypatch.setattr("mirror.checks.kafka.TIMEOUT_SECONDS", 1.0)
    found = list(check_kafka(load(env | {"KAFKA_BOOTSTRAP_SERVERS": NOBODY})))
    assert [(finding.check, finding.exit_code) for finding in found] == [("kafka", EXIT_DEPENDENCY)]


def test_topics_that_are_missing(env: dict[str, str]) -> None:
    """Each is named, and `mirror init` is the cure."""
    found = [finding for finding in check_kafka(load(env)) if finding.check == "kafka.topic"]
    assert [finding.level for finding in found] == ["bad", "bad"]
    assert all("mirror init" in finding.cure for finding in found)


@pytest.mark.parametrize(
    ("config", "check", "level"),
    [
        ({"cleanup.policy": "compact"}, "kafka.retention", "bad"),
        ({"retention.ms": "60000"}, "kafka.retention", "bad"),
        ({"min.insync.replicas": "2"}, "kafka.min_insync", "bad"),
        ({}, "kafka.partitions", "doubtful"),
    ],
)
def test_topics_that_are_wrong(
    cluster: KafkaCluster, env: dict[str, str], config: dict[str, str], check: str, level: str
) -> None:
    """Compacted, short-lived, never writable, too few partitions: the broker's word is read."""
    servers = cluster.bootstrap_servers
    partitions = 3 if config else 2
    create_topic(servers, env["MIRROR_TOPIC"], partitions=partitions, config=config)
    create_topic(servers, env["MIRROR_DEAD_LETTER_TOPIC"], partitions=3)
    assert env["MIRROR_TOPIC"] in _ill(check_kafka(load(env)), check, level).subject


def test_topics_of_the_projector_that_are_wrong(cluster: KafkaCluster, env: dict[str, str]) -> None:
    """Views that are not compacted, more partitions than the source has, none at all."""
    servers = cluster.bootstrap_servers
    create_topic(servers, env["MIRROR_TOPIC"], partitions=3)
    create_topic(servers, env["MIRROR_CONVERSATIONS_TOPIC"], partitions=4)
    found = list(check_projector(load(env), tries=True))
    assert _ill(iter(found), "kafka.compaction").subject.endswith(".conversations")
    assert _ill(iter(found), "kafka.projector").detail.startswith("4 partitions, but ")
    assert _ill(iter(found), "kafka.topic").subject.endswith(".once")
    assert [finding.level for finding in found if finding.check == "kafka.transactions"] == ["good"]


@pytest.mark.usefixtures("topics")
def test_a_kafka_user_that_may_not_write_by_transactions(
    cluster: KafkaCluster, env: dict[str, str]
) -> None:
    """Rights to topics are not enough for a projector; the ids are named, with the cure."""
    identities = f"mirror-{env['MIRROR_NAMESPACE']}-projector-"
    rule = AclBinding(
        ResourceType.TRANSACTIONAL_ID,
        identities,
        ResourcePatternType.PREFIXED,
        "User:somebody-else",
        "*",
        AclOperation.WRITE,
        AclPermissionType.ALLOW,
    )
    admin = cluster.admin()
    for answer in admin.create_acls([rule]).values():
        answer.result(10)
    found = _ill(check_projector(load(env), tries=True), "kafka.transactions")
    assert "TRANSACTIONAL_ID_AUTHORIZATION_FAILED" in found.detail
    assert identities in found.cure


@pytest.mark.usefixtures("topics")
def test_a_kafka_user_that_may_not_write(cluster: KafkaCluster, env: dict[str, str]) -> None:
    """The operation and the topic are named."""
    rules = [
        AclBinding(
            ResourceType.TOPIC,
            env["MIRROR_TOPIC"],
            ResourcePatternType.LITERAL,
            "User:ANONYMOUS",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for operation in (AclOperation.READ, AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
    ]
    admin = cluster.admin()
    for answer in admin.create_acls(rules).values():
        answer.result(10)
    found = _ill(check_kafka(load(env)), "kafka.rights")
    assert found.detail == f"lacks WRITE on {env['MIRROR_TOPIC']}"


def test_no_oauth_client(env: dict[str, str]) -> None:
    """A setting, so exit code 2."""
    found = _ill(check_genesys(load(env | {"GENESYS_CLIENTS": ""})), "genesys.client")
    assert found.exit_code == EXIT_USAGE


def test_a_wrong_secret(env: dict[str, str]) -> None:
    """The client is named, the secret is not."""
    found = _ill(check_genesys(load(env | {"GENESYS_CLIENTS": "sandbox:wr0ng"})), "genesys.token")
    assert found.exit_code == EXIT_DEPENDENCY
    assert "wr0ng" not in found.detail + found.cure


def test_a_crowded_client(env: dict[str, str], sim: Simulated) -> None:
    """Channels of others are noticed, and when none is left for rotation."""
    other = Simulated(sim.url, sim.process, client="crowded")
    other.login()
    settings = load(env | {"GENESYS_CLIENTS": "crowded:sandbox", "MIRROR_CHANNELS_PER_CLIENT": "3"})
    other.channel()
    assert "1 of them not" in _ill(check_genesys(settings), "genesys.channels", "doubtful").detail
    for _ in range(3):
        other.channel()
    assert "4 of 3" in _ill(check_genesys(settings), "genesys.channels").detail


@pytest.mark.parametrize(
    ("path", "call"),
    [
        ("/api/v2/routing/queues*", "queues"),
        ("/api/v2/analytics/*", "analytics"),
        ("/api/v2/conversations/*", "conversations"),
    ],
)
def test_a_role_that_lacks_a_permission(
    env: dict[str, str], sim: Simulated, path: str, call: str
) -> None:
    """Each kind of call is tried; the one that Genesys refuses is named with the role's cure."""
    fault = sim.fault(fault="rest", client="lacking", path=path, status=403)
    try:
        settings = load(env | {"GENESYS_CLIENTS": "lacking:sandbox"})
        found = _ill(check_genesys(settings), "genesys.permissions")
    finally:
        sim.call("DELETE", f"/_sim/faults/{fault['id']}")
    assert found.subject.endswith(call)
    assert "Conversation > Communication > View" in found.cure


def test_topics_that_genesys_refused(
    env: dict[str, str], redis_server: RedisServer, tmp_path: Path
) -> None:
    """Doctor shows the note of a running mirror's leader, with the name of the queue."""
    keys, topic = Keys(tmp_path.name), "v2.routing.queues.q1.conversations"
    with redis_server.client() as client:
        client.hset(keys.rejected, topic, "no permission")
        client.hset(keys.names_of("queues", slice_of("q1")), "q1", "Support")
    found = _ill(check_genesys(load(env)), "genesys.topics")
    assert "first queue Support (q1): no permission" in found.detail


def test_a_spent_budget(env: dict[str, str], redis_server: RedisServer, tmp_path: Path) -> None:
    """After a 429 every process waits, and doctor says for how long."""
    settings = load(env | {"GENESYS_CLIENTS": "spent:sandbox"})
    with redis_server.client() as client:
        found = list(check_genesys(settings))
        assert [finding.level for finding in found if finding.check == "genesys.rate"] == ["good"]
        RateBudget(client, Keys(tmp_path.name), "spent").push(2.4)
    assert "wait 2 s" in _ill(check_genesys(settings), "genesys.rate", "doubtful").detail


def test_a_spool_that_cannot_be_written_or_is_too_small(
    env: dict[str, str], tmp_path: Path
) -> None:
    """A file in its place, and a limit beyond the disk."""
    (tmp_path / "file").touch()
    blocked = load(env | {"MIRROR_SPOOL_DIR": str(tmp_path / "file" / "spool")})
    assert "cannot be written" in _ill(check_machine(blocked, env), "spool").detail
    small = load(env | {"MIRROR_SPOOL_LIMIT": "1000TiB"})
    assert "less than MIRROR_SPOOL_LIMIT" in _ill(check_machine(small, env), "spool").detail


def test_a_supervisord_that_does_not_answer(env: dict[str, str], tmp_path: Path) -> None:
    """Its socket is there and nobody is behind it."""
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(run_dir / "supervisor.sock"))
    found = _ill(check_machine(load(env), env), "supervisord")
    assert "no answer" in found.detail
