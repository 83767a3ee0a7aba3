"""deploy/redis.acl at work: enough for a whole mirror, too little for anything else."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from harness.kafka_topics import read_topic
from harness.process import ManagedProcess, free_ports, wait_until
from harness.redis import RedisServer, RedisUnavailable
from harness.simulated import Simulated, simulated
from tests.integration.secure_support import ACL, Guarded, guarded_redis, run_mirror
from tests.services.availability import unavailable

PASSWORD = "acl-S3cret-0123456789"
READING = ("status", "listeners", "shards", "channels", "topics", "conversations", "gaps")


@pytest.fixture(params=["redis", "valkey"])
def guarded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guarded]:
    """A server that loads the file as it is, but for passwords and a user for the test."""
    with guarded_redis(tmp_path / "redis", PASSWORD, request.param) as guarded:
        yield guarded


@pytest.fixture
def org(tmp_path: Path) -> Iterator[Simulated]:
    """A busy org."""
    options = ("--users", "10", "--queues", "2", "--rate", "8", "--speed", "20")
    with simulated(tmp_path / "org", *options, "--heartbeat", "1") as org:
        yield org


@pytest.mark.timeout(400)
@pytest.mark.parametrize("guarded", ["redis"], indirect=True)
def test_a_whole_mirror_needs_no_more(
    guarded: Guarded, org: Simulated, kafka: str, make_topic: Callable[..., str], tmp_path: Path
) -> None:
    """Processes, dashboard and every command work; Redis refuses nothing.

    Does not show each path of the janitor: what its scripts call is granted by the same list.
    """
    topic = make_topic(partitions=2)
    env: dict[str, str | None] = {
        **org.env,
        "REDIS_URL": guarded.url("mirror"),
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "MIRROR_TOPIC": topic,
        "MIRROR_DEAD_LETTER_TOPIC": make_topic(),
        "MIRROR_ONCE_TOPIC": make_topic(partitions=2),
        "MIRROR_CONVERSATIONS_TOPIC": make_topic(
            partitions=2, config={"cleanup.policy": "compact"}
        ),
        "MIRROR_SPOOL_DIR": str(tmp_path / "spool"),
        "MIRROR_STARTUP_TIMEOUT": "10s",
        "MIRROR_HEARTBEAT": "500ms",
        "MIRROR_LEASE": "2s",
        "MIRROR_JANITOR_INTERVAL": "1s",
        "MIRROR_ZOMBIE_AFTER": "1s",
        "MIRROR_ANALYTICS_LAG": "1s",
        "MIRROR_PARTITIONS": "2",
    }

    def run(*arguments: str, user: str = "mirror") -> str:
        settings = env | {"REDIS_URL": guarded.url(user)}
        code, stdout, stderr = run_mirror(tmp_path / "-".join(arguments[:1]), settings, *arguments)
        assert code == 0, f"{code}\n{stdout}\n{stderr}"
        return stdout

    with ExitStack() as stack:
        (port,) = free_ports(1)
        page = {"REDIS_URL": guarded.url("mirror-reader"), "MIRROR_DASHBOARD_PORT": str(port)}
        processes = [
            stack.enter_context(
                ManagedProcess.python_module(module, folder=tmp_path, env=env | more)
            )
            for module, more in (
                ("coordinator", {}),
                ("listeners", {}),
                ("janitor", {}),
                ("dashboard", page),
            )
        ]
        wait_until(lambda: len(read_topic(kafka, topic)) > 50, 30.0, "events", interval=0.5)
        wait_until(
            lambda: json.loads(run("status", "--json"))["conversations"]["active"] > 0,
            30.0,
            "conversations",
            interval=0.5,
        )
        for name in READING:
            run(name, "--json", user="mirror-reader")
        (channel, *_) = json.loads(run("channels", "--json"))["channels"]
        run("rotate", channel["channel"])
        run("rebalance")
        run("backfill", "--since", "5m", "--no-wait")
        run("doctor")
        wait_until(
            lambda: json.loads(run("status", "--json"))["gaps"]["filled"] > 0,
            30.0,
            "a gap filled",
            interval=0.5,
        )
        (listener, *_) = json.loads(run("listeners", "--json"))["listeners"]
        run("drain", listener["id"])
        for process in processes:
            assert process.stop() == 0
            assert "NOPERM" not in process.stderr
            assert "redis.acl" not in process.stderr
    assert guarded.refused() == []


def test_the_command_of_the_documentation_makes_a_file_that_redis_takes(tmp_path: Path) -> None:
    """docs/tls.md: passwords of one's own, and another namespace."""
    text = (ACL.parents[1] / "docs" / "tls.md").read_text()
    (block,) = (
        fenced for fenced in re.findall(r"```sh\n(.*?)```", text, re.DOTALL) if ".acl" in fenced
    )
    users = tmp_path / "users.acl"
    command = block.replace("/etc/redis/users.acl", str(users))
    subprocess.run(["sh", "-euc", command], cwd=ACL.parents[1], check=True, timeout=20)
    lines = {line.split()[1]: line for line in users.read_text().splitlines()}
    (password,) = re.findall(r">([0-9a-f]{48}) ", lines["mirror"])
    (other,) = re.findall(r">([0-9a-f]{48}) ", lines["mirror-reader"])
    assert password != other
    try:
        server = RedisServer(tmp_path / "redis", choice="redis", arguments=("--aclfile", users))
    except RedisUnavailable as missing:
        unavailable(str(missing))
    with server.process:
        said = "Ready to accept connections"
        server.process.wait_for(lambda: said in server.process.stdout, 10.0, said)
        env: dict[str, str | None] = {
            "REDIS_URL": f"redis://mirror-reader:{other}@127.0.0.1:{server.port}/0",
            "MIRROR_NAMESPACE": "contact-centre",
        }
        assert run_mirror(tmp_path, env, "status")[0] == 0


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("mirror", ("FLUSHALL",)),
        ("mirror", ("CONFIG", "GET", "*")),
        ("mirror", ("KEYS", "*")),
        ("mirror", ("EVAL", "return 1", "0")),
        ("mirror", ("CLIENT", "LIST")),
        ("mirror", ("ACL", "LIST")),
        ("mirror", ("MONITOR",)),
        ("mirror", ("SHUTDOWN",)),
        ("mirror", ("GET", "another:key")),
        ("mirror", ("SET", "mirror:{other}:leader", "x")),
        ("mirror", ("PUBLISH", "channel", "x")),
        ("mirror-reader", ("SET", "mirror:{default}:leader", "x")),
        ("mirror-reader", ("EVALSHA", "0" * 40, "0")),
    ],
)
def test_the_users_may_do_nothing_else(
    guarded: Guarded, user: str, command: tuple[str, ...]
) -> None:
    """Other keys, other namespaces, and what administers a server are refused."""
    client = redis.Redis.from_url(guarded.url(user))
    with pytest.raises(redis.ResponseError, match=r"(?i)no permissions|NOPERM"):
        client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py leaves it so
    client.close()


def test_without_a_password_of_its_own_the_file_lets_nobody_in(
    tmp_path: Path,
) -> None:
    """Taken over unread, the example opens no door."""
    server = RedisServer(tmp_path / "redis", arguments=("--aclfile", ACL))
    with server.process:
        said = "Ready to accept connections"
        server.process.wait_for(lambda: said in server.process.stdout, 10.0, said)
        for user, password in ((None, None), ("mirror", "resetpass"), ("mirror", "mirror")):
            once = Retry(NoBackoff(), 0)
            client = redis.Redis(port=server.port, username=user, password=password, retry=once)
            with pytest.raises(redis.AuthenticationError):
                client.ping()


def test_a_missing_right_is_told_with_its_cure(guarded: Guarded, tmp_path: Path) -> None:
    """Another namespace than the file's: exit code 3 and one line, for commands and doctor."""
    env: dict[str, str | None] = {
        "REDIS_URL": guarded.url("mirror"),
        "MIRROR_NAMESPACE": "other",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "MIRROR_STARTUP_TIMEOUT": "1s",
    }
    code, _, stderr = run_mirror(tmp_path, env, "status")
    (line,) = stderr.splitlines()
    assert code == 3
    assert "deploy/redis.acl for this MIRROR_NAMESPACE" in line
    assert PASSWORD not in line
    (tmp_path / "again").mkdir()
    code, _, stderr = run_mirror(tmp_path / "again", env, "rebalance")
    assert (code, stderr.count("\n")) == (3, 1)
    assert "deploy/redis.acl" in stderr
