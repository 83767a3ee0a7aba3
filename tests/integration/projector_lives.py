"""Projectors that kill or freeze themselves right before their n-th effect.

An effect is a call that others can see: a transaction that begins, a record, the group's offsets,
a commit. If a projector is to die at a record, it first waits until the earlier records are
delivered, so that they are in the log, uncommitted. Each life has a transactional id of its own, as
each process has.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final

import confluent_kafka
from confluent_kafka import TopicPartition

import mirror.kafka.config as config_module
import projector.loop as loop_module
import projector.share as share_module
from mirror.kafka.projected import transactional_prefix
from mirror.settings import Settings, load
from projector.loop import Loop
from projector.writer import Writer
from tests.integration import dying

# Records are written one by one where it dies; with small batches every kind of effect comes soon.
BATCH: Final = 25
TRANSACTION_TIMEOUT_MS: Final = 1_000
SESSION_TIMEOUT_MS: Final = 2_000


# Where a projector freezes: before the first effect of a kind, of records before the third.
KINDS: Final = ("begin", "record", "offsets", "commit", "committed")
THIRD: Final = 3
# Awake, librdkafka learns in the background that the group went on; the projector does not yet.
AWAKE_SECONDS: Final = 1.5


def alone(env: Mapping[str, str], effects: int) -> None:
    """A projector without a group, until it has projected all; killed at its effect."""
    fuse = dying.Fuse(effects)

    def burn(_kind: str, last_will: Callable[[], object]) -> None:
        fuse.burn(last_will)

    _live(env, burn, _Assigned)


def frozen(env: Mapping[str, str], kind: int) -> None:
    """A projector in its group, until it has projected all; stopped before an effect of `KINDS`,
    with all its threads, until somebody lets it go on.
    """
    left = [THIRD if KINDS[kind] == "record" else 1]

    def burn(name: str, last_will: Callable[[], object]) -> None:
        if kind != dying.NEVER and name == KINDS[kind]:
            left[0] -= 1
            if not left[0]:
                last_will()
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(AWAKE_SECONDS)

    _live(env, burn, confluent_kafka.Consumer)


def _live(
    env: Mapping[str, str], burn: Callable[[str, Callable[[], object]], None], consumer: Any
) -> None:
    class Producer(confluent_kafka.Producer):
        def begin_transaction(self, *words: Any) -> None:
            burn("begin", lambda: None)
            super().begin_transaction(*words)

        def produce(self, *words: Any, **options: Any) -> None:
            burn("record", lambda: self.flush(10))
            super().produce(*words, **options)

        def send_offsets_to_transaction(self, *words: Any) -> None:
            burn("offsets", lambda: self.flush(10))
            super().send_offsets_to_transaction(*words)

        def commit_transaction(self, *words: Any) -> None:
            burn("commit", lambda: self.flush(10))
            super().commit_transaction(*words)
            burn("committed", lambda: None)

    vars(config_module).update(TRANSACTION_TIMEOUT_MS=TRANSACTION_TIMEOUT_MS)
    vars(share_module).update(RETRY_SECONDS=0.1)
    vars(loop_module).update(BATCH=BATCH, SESSION_TIMEOUT_MS=SESSION_TIMEOUT_MS, Consumer=consumer)
    settings = load(dict(env))
    identity = f"{transactional_prefix(settings)}{uuid.uuid4()}"

    def make_writer(settings: Settings, identity: str) -> Writer:
        return Writer(settings, identity, make=Producer)

    loop = _Ending(settings, identity, partitions=settings.partitions, make_writer=make_writer)
    loop.run(loop.stop)


class _Ending(Loop):
    """Ends once its partitions are at their ends and the group has these offsets."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self.stop = threading.Event()

    def step(self, consumer: Any) -> None:
        super().step(consumer)
        share = self.share
        if share.assigned and share.ready == share.assigned.keys() == share.ends:
            self.stop.set()


class _Assigned(confluent_kafka.Consumer):
    """A real consumer that has all partitions at once instead of waiting for a group."""

    def subscribe(self, topics: Any, on_assign: Any = None, **_: Any) -> None:  # type: ignore[override]
        found = self.list_topics(topics[0], timeout=10).topics[topics[0]]
        on_assign(self, [TopicPartition(topics[0], number) for number in found.partitions])
