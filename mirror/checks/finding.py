"""The finding of a check."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from mirror.base.errors import EXIT_DONE, EXIT_FAILED

Level = Literal["good", "doubtful", "bad"]

# Check → what it looks at. docs/runbook.md has an entry for each (`doctor: <check>`).
CHECKS: Final = {
    "settings": "variables that look like settings but are none",
    "redis": "Redis answers",
    "redis.version": "Redis is recent enough",
    "redis.memory": "Redis evicts no keys",
    "redis.latency": "Redis answers fast",
    "redis.rights": "the user of REDIS_URL may do what processes do",
    "clock": "this machine's clock and that of Redis agree",
    "kafka": "a broker answers",
    "kafka.topic": "the topics exist",
    "kafka.partitions": "the topics have the wanted number of partitions, and keep it",
    "kafka.replication": "the topics survive the loss of a broker",
    "kafka.min_insync": "an acknowledged record is on two brokers",
    "kafka.record_size": "the topics take records of every usual size",
    "kafka.retention": "the topics keep records long enough, and all of them",
    "kafka.rights": "the Kafka user may read and write the topics",
    "kafka.group": "the Kafka user may join the tracker's group",
    "kafka.idempotence": "the brokers take an idempotent producer",
    "kafka.compaction": "the topic of conversations keeps the last view of each",
    "kafka.projector": "the projector's topics have the partitions of the interaction topic",
    "kafka.transactions": "the Kafka user may write by transactions, as the projector does",
    "registry": "the schema registry answers, where one is set",
    "genesys.client": "an OAuth client is set",
    "genesys.token": "Genesys gives each OAuth client a token",
    "genesys.socket": "WebSockets reach the streaming host",
    "genesys.heartbeat": "a channel's socket answers a ping, and carries heartbeats",
    "genesys.channels": "channels are left for rotation, and no other program uses this client",
    "genesys.topics": "Genesys knows the topics, and refused none",
    "genesys.permissions": "the role may list queues and users, and read conversations",
    "genesys.visible": "there is something to mirror in the role's divisions",
    "genesys.filter": "every entry of MIRROR_QUEUES and MIRROR_USERS matches something",
    "genesys.rate": "the request budget is not spent",
    "supervisord": "all processes of this machine's supervisord run",
    "personal": "personal data in dead letters",
    "checkup": "the checks that a running process repeats end, and without an error",
    "spool": "the spool's disk can be written to and has room",
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `mirror doctor`: the subject, its state, and the fix for a problem.

    `check` is a key of `CHECKS`, `subject` the name that people read. `ok` is false if somebody
    must act. `exit_code` is the exit code of a command because of this finding
    (`mirror.base.errors`); a doubtful finding never fails a command.
    """

    check: str
    subject: str
    level: Level
    ok: bool
    detail: str
    cure: str = ""
    exit_code: int = EXIT_DONE


def good(check: str, subject: str, detail: str) -> Finding:
    """A finding without a problem."""
    return Finding(check=check, subject=subject, level="good", ok=True, detail=detail)


def doubtful(check: str, subject: str, detail: str, cure: str) -> Finding:
    """A finding that works but may not be intended, or that could not be checked."""
    return Finding(
        check=check, subject=subject, level="doubtful", ok=True, detail=detail, cure=cure
    )


def bad(check: str, subject: str, detail: str, cure: str, exit_code: int = EXIT_FAILED) -> Finding:
    """A finding with a problem; `cure` says how to fix it."""
    return Finding(
        check=check,
        subject=subject,
        level="bad",
        ok=False,
        detail=detail,
        cure=cure,
        exit_code=exit_code,
    )
