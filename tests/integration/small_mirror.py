"""A small mirror on the run's Kafka, at log level `debug`, and all that it leaves behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis

from harness.deployment import Deployment, deployed
from harness.kafka_topics import create_topic
from harness.redis import RedisServer
from harness.simulated import simulated

CLIENT, SECRET = "small-client", "small-secret"
HOSTS = ("north", "south")
GROUP_OFFSETS = "__consumer_offsets"  # what consumer groups tell Kafka is in Kafka too


def traces(mirror: Deployment) -> Iterator[tuple[str, bytes]]:
    """Every byte that the mirror left: where, and what. Values of dead letters are left out."""
    settings = mirror.settings
    for topic in (settings.topic, settings.agents_topic, settings.dead_letter_topic, GROUP_OFFSETS):
        for record in mirror.records(topic):
            yield f"key in {topic}", record.key() or b""
            for name, content in headers_of(record).items():
                yield f"header {name} in {topic}", name.encode() + b"=" + content
            if topic != settings.dead_letter_topic:
                yield f"value in {topic}", record.value() or b""
    with redis.Redis.from_url(mirror.env["REDIS_URL"]) as client:
        for key in client.scan_iter():
            yield f"Redis {key!r}", bytes(key) + b"=" + _value(client, bytes(key))
    for name, process in mirror.processes.items():
        yield f"log of {name}", process.stderr_path.read_bytes()
        yield f"output of {name}", process.stdout_path.read_bytes()
        for path in ("/metrics", "/healthz"):
            yield f"{path} of {name}", mirror.http(name, path)


def headers_of(record: Any) -> dict[str, bytes]:
    """The headers of a record that was read."""
    return dict(record.headers() or ())


def _value(client: redis.Redis, key: bytes) -> bytes:
    """All that a key of any type holds."""
    kind = client.type(key)
    held: Any = None
    if kind == b"string":
        held = client.get(key)
    elif kind == b"hash":
        held = client.hgetall(key)
    elif kind == b"set":
        held = client.smembers(key)
    elif kind == b"zset":
        held = client.zrange(key, 0, -1, withscores=True)
    elif kind == b"list":
        held = client.lrange(key, 0, -1)
    elif kind == b"stream":
        held = client.xrange(key)
    elif kind != b"none":  # gone meanwhile
        raise AssertionError(f"{key!r} is a {kind!r}, which nobody looks into")
    return repr(held).encode()


@contextmanager
def small_mirror(
    folder: Path, kafka: str, settings: Mapping[str, str], *options: str
) -> Iterator[Deployment]:
    """A mirror with these settings and these options of the simulator; two channels have topics."""
    with ExitStack() as stack:
        store = stack.enter_context(RedisServer(folder / "redis"))
        arguments = ["--client", f"{CLIENT}:{SECRET}", "--users", "12", "--queues", "2"]
        arguments += ["--heartbeat", "1", "--rate-limit", "0", "--no-autostart", *options]
        org = stack.enter_context(simulated(folder, *arguments, login=False))
        org.client, org.secret = CLIENT, SECRET
        assert org.login().status == 200
        name = f"small-{folder.name}"
        env = {
            **org.env,
            "REDIS_URL": store.url,
            "KAFKA_BOOTSTRAP_SERVERS": kafka,
            "MIRROR_NAMESPACE": name,
            "MIRROR_TOPIC": create_topic(kafka, name, partitions=3),
            "MIRROR_AGENTS_TOPIC": create_topic(kafka, f"{name}.agents"),
            "MIRROR_DEAD_LETTER_TOPIC": create_topic(kafka, f"{name}.dlq"),
            "MIRROR_ONCE_TOPIC": create_topic(kafka, f"{name}.once", partitions=3),
            "MIRROR_CONVERSATIONS_TOPIC": create_topic(
                kafka,
                f"{name}.conversations",
                partitions=3,
                config={"cleanup.policy": "compact"},
            ),
            "MIRROR_SPOOL_DIR": str(folder / "spool"),
            "MIRROR_HEARTBEAT": "500ms",
            "MIRROR_LEASE": "2s",
            "MIRROR_ZOMBIE_AFTER": "2s",
            "MIRROR_JANITOR_INTERVAL": "1s",
            "MIRROR_ANALYTICS_LAG": "1s",
            "MIRROR_STARTUP_TIMEOUT": "10s",
            "MIRROR_LOG_LEVEL": "debug",
            **settings,
        }
        mirror = stack.enter_context(deployed(folder, org, env))
        mirror.until_subscribed(len(HOSTS))
        yield mirror
