"""The rules of `mirror doctor`: what is ill, what is only doubtful, each with its cure."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined] # its documented home

from mirror.base.errors import GenesysError
from mirror.checks.finding import CHECKS, Finding
from mirror.checks.genesys import cure_of
from mirror.checks.genesys_rules import (
    Lists,
    alone,
    channels,
    filters,
    rate,
    rejected,
    topics,
    visible,
)
from mirror.checks.kafka import check_kafka, durability, shape, single
from mirror.checks.kafka_rights import group, idempotence, rights
from mirror.checks.machine import room, supervised, unread_settings
from mirror.checks.redis import check_redis, clock, latency, memory, version
from mirror.genesys.refusals import Answer, call_error, login_error
from mirror.genesys.shapes import AvailableTopic, Entity
from mirror.kafka.admin import Cluster
from mirror.settings import Unread, load
from mirror.supervision.supervisord import ProcessInfo

SETTINGS = load({"HOME": "/home/mirror"})
MIB = 1 << 20
KEPT = {"retention.ms": "604800000", "cleanup.policy": "delete"}


def _process(state: str, exit_code: int = 0) -> ProcessInfo:
    return ProcessInfo("listener", "listener-0", state, 7, exit_code, "")


def _shape(partitions: int, replication: int, brokers: int = 3) -> Finding:
    cluster = Cluster(brokers=brokers, topics={"t": (partitions, replication)})
    return list(shape(cluster, "t", 12, 3))[-1]


def _leaderless(*numbers: int) -> Finding:
    cluster = Cluster(brokers=3, topics={"t": (12, 3)}, leaderless={"t": numbers})
    return list(shape(cluster, "t", 12, 3))[-1]


def _durability(replication: int, **values: str) -> Finding:
    named = {name.replace("_", "."): value for name, value in values.items()}
    return next(iter(durability("t", replication, KEPT | named)))


def _offered(**fields: list[str]) -> list[AvailableTopic]:
    return [
        AvailableTopic("v2.routing.queues.{id}.conversations", **fields),
        AvailableTopic("v2.users.{id}.conversations", **fields),
    ]


@pytest.mark.parametrize(
    ("finding", "check", "level"),
    [
        (version({"redis_version": "7.0.15"}), "redis.version", "good"),
        (version({"redis_version": "6.2.0"}), "redis.version", "good"),
        (version({"redis_version": "6.0.16"}), "redis.version", "bad"),
        (version({"valkey_version": "9.1.2", "redis_version": "7.2.4"}), "redis.version", "good"),
        (version({}), "redis.version", "bad"),
        (memory({"maxmemory_policy": "allkeys-lru", "maxmemory": 9 * MIB}), "redis.memory", "bad"),
        (memory({"maxmemory_policy": "allkeys-lru", "maxmemory": 0}), "redis.memory", "good"),
        (memory({"maxmemory": 10 * MIB, "used_memory": 9 * MIB}), "redis.memory", "bad"),
        (memory({"maxmemory": 10 * MIB, "used_memory": 7 * MIB}), "redis.memory", "good"),
        (latency(19.0), "redis.latency", "good"),
        (latency(21.0), "redis.latency", "doubtful"),
        (clock(-59.0), "clock", "good"),
        (clock(-61.0), "clock", "bad"),
        (_shape(12, 3), "kafka.topic", "good"),
        (_shape(6, 3), "kafka.partitions", "doubtful"),
        (_shape(12, 2), "kafka.replication", "bad"),
        (_shape(12, 1, brokers=1), "kafka.topic", "good"),
        (_leaderless(3, 7), "kafka.topic", "bad"),
        (_durability(3, min_insync_replicas="2"), "kafka.retention", "good"),
        (_durability(3, min_insync_replicas="1"), "kafka.min_insync", "bad"),
        (_durability(3, min_insync_replicas="3"), "kafka.min_insync", "bad"),
        (_durability(1, min_insync_replicas="1"), "kafka.retention", "good"),
        (_durability(1, min_insync_replicas="2"), "kafka.min_insync", "bad"),
        (_durability(1, max_message_bytes="20000"), "kafka.record_size", "doubtful"),
        (_durability(1, max_message_bytes="65536"), "kafka.retention", "good"),
        (_durability(1, retention_ms="3600000"), "kafka.retention", "bad"),
        (_durability(1, retention_ms="-1"), "kafka.retention", "good"),
        (_durability(1, retention_bytes="-1"), "kafka.retention", "good"),
        (_durability(1, retention_bytes="1048576"), "kafka.retention", "doubtful"),
        (_durability(1, cleanup_policy="compact"), "kafka.retention", "bad"),
        (_durability(1, cleanup_policy="compact,delete"), "kafka.retention", "bad"),
        (rights({"t": None}), "kafka.rights", "good"),
        (rights({"t": [AclOperation.ALL]}), "kafka.rights", "good"),
        (rights({"t": [AclOperation.READ, AclOperation.DESCRIBE]}), "kafka.rights", "bad"),
        (group("g", None, ""), "kafka.group", "good"),
        (group("g", [AclOperation.READ, AclOperation.DESCRIBE], ""), "kafka.group", "good"),
        (group("g", [AclOperation.DESCRIBE], ""), "kafka.group", "bad"),
        (group("p.g", [], "p."), "kafka.group", "bad"),
        (idempotence("Assigned", ""), "kafka.idempotence", "good"),
        (idempotence("RequestPID", "no right"), "kafka.idempotence", "bad"),
        (channels("c", 4, 4, SETTINGS), "genesys.channels", "good"),
        (channels("c", 6, 4, SETTINGS), "genesys.channels", "doubtful"),
        (channels("c", 6, None, SETTINGS), "genesys.channels", "good"),
        (channels("c", 20, 20, SETTINGS), "genesys.channels", "bad"),
        (channels("c", 21, 20, SETTINGS), "genesys.channels", "bad"),
        (topics("c", SETTINGS, _offered()), "genesys.topics", "good"),
        (topics("c", SETTINGS, _offered(transports=["All"])), "genesys.topics", "good"),
        (topics("c", SETTINGS, _offered(transports=["EventBridge"])), "genesys.topics", "bad"),
        (topics("c", SETTINGS, _offered()[:1]), "genesys.topics", "bad"),
        (next(rejected({"v2.users.1.conversations": "no"}, {})), "genesys.topics", "bad"),
        (visible("c", "queues", 1), "genesys.visible", "good"),
        (visible("c", "queues", 0), "genesys.visible", "bad"),
        (rate("c", 0.0), "genesys.rate", "good"),
        (rate("c", 60.0), "genesys.rate", "doubtful"),
        (room(Path("/spool"), 2 << 30, 1 << 30), "spool", "good"),
        (room(Path("/spool"), 1 << 20, 1 << 30), "spool", "bad"),
        (supervised(None), "supervisord", "good"),
        (supervised([_process("RUNNING"), _process("STARTING")]), "supervisord", "good"),
        (supervised([_process("RUNNING"), _process("FATAL")]), "supervisord", "bad"),
        (supervised([_process("BACKOFF")]), "supervisord", "bad"),
        (unread_settings(()), "settings", "good"),
        (
            unread_settings((Unread("MIRROR_TOPICS", "the nearest name is MIRROR_TOPIC"),)),
            "settings",
            "doubtful",
        ),
    ],
)
def test_each_rule_tells_ill_from_well(finding: Finding, check: str, level: str) -> None:
    """On both sides of each line; whatever is not good comes with its cure."""
    assert (finding.check, finding.level) == (check, level), finding
    assert finding.check in CHECKS
    assert bool(finding.cure) == (level != "good")
    assert finding.ok == (level != "bad")
    assert bool(finding.exit_code) == (level == "bad")


def test_no_topic_refused_is_no_finding() -> None:
    """Silence where nobody was refused."""
    assert list(rejected({}, {})) == []


def _filters(lists: Lists) -> list[str]:
    settings = load({"HOME": "/home/mirror", "MIRROR_USERS": "A*,B*", "MIRROR_SUBSCRIBE": "users"})
    return [finding.level for finding in filters(settings, lists)]


def test_a_filter_that_was_not_checked_is_not_called_well() -> None:
    """A list of 6,000 users is not read. Then it is unknown whether an entry matches, unless
    another list shows that it does."""
    ann, ben = Entity("1", "Ann"), Entity("2", "Ben")
    assert _filters({"users": {"one": [ann, ben]}}) == ["good"]
    assert _filters({"users": {"one": [ann]}}) == ["bad"]
    assert _filters({"users": {"one": None}}) == ["doubtful"]
    assert _filters({"users": {"one": None, "two": [ann]}}) == ["doubtful"]
    assert _filters({"users": {"one": None, "two": [ann, ben]}}) == ["good"]


def test_lists_that_were_not_compared_are_told() -> None:
    """If there are several OAuth clients. A single client has no other list to compare with."""
    ann = Entity("1", "Ann")
    assert list(alone({"users": {"one": None}})) == []
    assert list(alone({"users": {"one": [ann], "two": [ann]}})) == []
    (told,) = alone({"users": {"one": [], "two": [ann], "three": None}})
    assert (told.level, told.subject) == ("doubtful", "Genesys users")
    assert "was not checked" in told.detail
    assert "5,000" in told.detail


def test_exit_code_two_leads_to_the_setting() -> None:
    """A restart does not fix what the log names."""
    assert "setting" in supervised([_process("FATAL", exit_code=2)]).cure
    assert "mirror up restart" in supervised([_process("FATAL", exit_code=3)]).cure


def test_topics_on_one_broker_are_reported_once() -> None:
    """One line for all of the mirror's, not one for each; none for topics of others."""
    names = ("genesys-interactions", "genesys-interactions.dlq", "genesys-conversations", "other")
    topics = dict.fromkeys(names, (3, 1))
    (found,) = single(Cluster(brokers=1, topics=topics), SETTINGS)
    assert (found.check, found.level) == ("kafka.replication", "doubtful")
    assert found.detail.startswith("3 topics with one replica")
    assert list(single(Cluster(brokers=3, topics=topics), SETTINGS)) == []


def test_a_service_that_is_away_is_told_with_its_cure_once() -> None:
    """The line has the name of the service once; the cure stands below it alone."""
    away = {"REDIS_URL": "redis://127.0.0.1:1/0", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    settings = load({"HOME": "/home/mirror", **away})
    (redis,), (kafka,) = check_redis(settings), check_kafka(settings)
    assert redis.detail == "redis://127.0.0.1:1/0 does not answer (Connection refused)"
    assert redis.cure == "start Redis, or correct REDIS_URL"
    assert kafka.detail.startswith("127.0.0.1:1 cannot be used: ")
    assert "KAFKA_" not in kafka.detail
    assert "KAFKA_BOOTSTRAP_SERVERS" in kafka.cure


def _refused(status: int, *, login: bool = False) -> GenesysError:
    answer = Answer(status, {}, b'{"error": "invalid_client", "code": "not.allowed"}')
    return (login_error if login else call_error)(answer, "GET /x", "api.example", "client", ())


@pytest.mark.parametrize("error", [_refused(401, login=True), _refused(401), _refused(403)])
def test_a_refusal_of_genesys_is_told_without_its_cure(error: GenesysError) -> None:
    """Where the cure has a line of its own, the line of the problem does not end with it."""
    assert error.cure
    assert str(error) == f"{error.problem}: {error.cure}"
    assert error.cure not in error.problem


def test_only_a_missing_permission_is_cured_in_the_role() -> None:
    """A role does not help if Genesys refuses a fresh token."""
    assert "docs/permissions.md" in cure_of(_refused(403))
    assert "role" not in cure_of(_refused(401))
    assert "GENESYS_LOGIN_URL" in cure_of(_refused(401))
