"""Parts of the mirror in processes that kill themselves right before their n-th effect.

An effect is whatever others can see: a command that changes Redis, a record for Kafka, the wait for
its acknowledgement. Readings (of Redis, of Genesys) are none: to die before or after one is the
same to everybody else. Before a record at which it dies, a process has the earlier ones
acknowledged, so that which records arrived is the same in every run.

`run` forks from a server that has everything imported: a life costs a few hundredths of a second.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import confluent_kafka
import redis

import coordinator.tracker.service as tracker_service
import janitor.producer as outlet_module
from coordinator.tracker import Tracker
from janitor.claims import Leases
from janitor.gaps.filler import Filler
from janitor.genesys import GenesysPool
from janitor.producer import AckedProducer
from janitor.zombies.sweep import Zombies
from mirror.conversation.normaliser import Normaliser
from mirror.redis.keys import Keys
from mirror.settings import load

NEVER: Final = -1
LIFE_SECONDS: Final = 30.0
TRACKER_BATCH: Final = 8
READINGS: Final = frozenset({"GET", "MGET", "ZSCORE", "SMISMEMBER", "TIME", "ZRANGEBYSCORE"})
# Large enough that ids of work claimed by the dead are not due by themselves within a test.
LEASE_SECONDS: Final = 600.0

Role = Callable[[Mapping[str, str], int], None]

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


def run(role: Role, env: Mapping[str, str], effects: int) -> bool:
    """Let `role` live until its effect number `effects` (from 0); whether it came to its end."""
    process = _context.Process(target=role, args=(dict(env), effects))
    process.start()
    process.join(LIFE_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise AssertionError(f"{role.__name__} went on for {LIFE_SECONDS:g} s")
    assert process.exitcode in {0, -signal.SIGKILL}, f"{role.__name__}: {process.exitcode}"
    return process.exitcode == 0


@contextmanager
def started(role: Role, env: Mapping[str, str], effects: int) -> Iterator[Any]:
    """`role` while it lives, to be stopped and started at will; killed at the end of the block."""
    process = _context.Process(target=role, args=(dict(env), effects))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


class Fuse:
    """Burns by an effect, and kills the process when it has burnt down."""

    def __init__(self, effects: int) -> None:
        self.left = effects

    def burn(self, last_will: Callable[[], object] = lambda: None) -> None:
        """An effect is about to be."""
        if self.left == 0:
            last_will()
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def sweep(env: Mapping[str, str], effects: int) -> None:
    """A janitor's sweep over what is overdue."""
    life = _Life(env, effects)
    zombies = Zombies(
        life.settings,
        Leases(life.redis, life.keys, life.settings.topic),
        life.genesys,
        AckedProducer(life.settings),
        Normaliser,
        lease_seconds=LEASE_SECONDS,
        fresh_seconds=0.0,  # the frames of a test are all fresh
    )
    zombies.sweep()


def fill(env: Mapping[str, str], effects: int) -> None:
    """A janitor at the gap ledger, until nothing is due."""
    life = _Life(env, effects)
    filler = Filler(
        life.redis,
        life.keys,
        Leases(life.redis, life.keys, life.settings.topic),
        life.genesys,
        AckedProducer(life.settings),
        Normaliser,
        horizon_seconds=life.settings.horizon,
        lag_seconds=0.0,
        lease_seconds=LEASE_SECONDS,
    )
    while filler.fill_next():
        pass


def track(env: Mapping[str, str], effects: int) -> None:
    """A tracker, until it has seen the end of all partitions; alone, so without a group."""
    life = _Life(env, effects)
    vars(tracker_service).update(BATCH=TRACKER_BATCH, Consumer=_Assigned)
    stop = threading.Event()
    tracker = _Stopping(life.settings, life.redis)
    tracker.stop = stop
    tracker.run(stop)


class _Life:
    """What a role needs, each piece with the fuse in it."""

    def __init__(self, env: Mapping[str, str], effects: int) -> None:
        self.settings = load(dict(env))
        self.keys = Keys(self.settings.namespace)
        fuse = Fuse(effects)

        class Redis(redis.Redis):
            def execute_command(self, *words: Any, **options: Any) -> Any:
                if words[0] not in READINGS:
                    fuse.burn()
                return super().execute_command(*words, **options)  # type: ignore[no-untyped-call]

        class Producer(confluent_kafka.Producer):
            def produce(self, *words: Any, **options: Any) -> None:
                fuse.burn(super().flush)
                super().produce(*words, **options)

        vars(outlet_module).update(Producer=Producer)
        self.redis = Redis.from_url(self.settings.redis_url, decode_responses=True, protocol=2)
        # The budget has a connection of its own: what it asks is no effect of the work.
        plain = redis.Redis.from_url(self.settings.redis_url, decode_responses=True, protocol=2)
        self.genesys = GenesysPool(self.settings, plain, threading.Event(), share=1.0)


class _Assigned(confluent_kafka.Consumer):
    """A real consumer that has all partitions at once instead of waiting for a group."""

    def subscribe(self, topics: Any, on_assign: Any = None, *_: Any, **__: Any) -> None:
        found = self.list_topics(topics[0], timeout=10).topics[topics[0]]
        on_assign(self, [confluent_kafka.TopicPartition(topics[0], n) for n in found.partitions])


class _Stopping(Tracker):
    """Ends when all of its one partition is folded."""

    stop: threading.Event

    def _step(self, consumer: Any) -> None:
        super()._step(consumer)
        if self.caught_up:  # also where the dead had folded all of it
            self.stop.set()
