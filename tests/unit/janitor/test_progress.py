"""A janitor's threads go on turning while what they ask is away or slow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError

from janitor.claims import Claim
from janitor.gaps.filler import Filler
from janitor.genesys import Part, Sight
from janitor.producer import AckedProducer
from janitor.rounds import Round, Rounds
from janitor.zombies.sweep import BATCH, Zombies
from janitor.zombies.verdict import closing
from mirror.base.errors import GenesysError, RedisUnavailable
from mirror.conversation.normaliser import Normaliser
from mirror.fleet.gaps import Gap
from mirror.fleet.tracked import Tracked, TrackedLeg
from mirror.genesys.shapes import AnalyticsConversation, AnalyticsPage
from mirror.redis.keys import Keys
from mirror.settings import Settings, load
from tests.unit.base.waiting import DAY, Waiting


@pytest.fixture
def settings() -> Settings:
    """Sweeps that are hours apart."""
    return load(
        {
            "GENESYS_CLIENT_ID": "a",
            "GENESYS_CLIENT_SECRET": "b",
            "MIRROR_JANITOR_INTERVAL": "6h",
        }
    )


class Slow:
    """A hundred overdue conversations, and a Genesys that takes its time to know none of them."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._ids = tuple(str(number) for number in range(BATCH))

    def claim_conversations(self, *_: object) -> Claim:
        ids, self._ids = self._ids, ()
        return Claim("lease", 1, ids)

    def tracked(self, ids: tuple[str, ...]) -> dict[str, None]:
        return dict.fromkeys(ids)

    def put_back(self, _lease: str, _after: Mapping[str, float]) -> None:
        """Nobody claims them again."""

    def details(self, _ids: tuple[str, ...]) -> list[Any]:
        self._waiting.call()
        return []

    def conversation(self, _id: str) -> bytes:
        self._waiting.call()
        raise GenesysError("gone", status=404, code="not.found")

    def query_details(self, _query: Mapping[str, Any]) -> AnalyticsPage:
        self._waiting.call()
        return AnalyticsPage()

    def doubted_since(self, _id: str) -> float:
        return 0.0

    def partition_of(self, _id: str) -> int:
        return 0

    def answered(self, _id: str) -> None:
        """Genesys says that it is gone."""


def test_a_long_sweep_is_no_hang(settings: Settings) -> None:
    """However slowly Genesys answers for each of many conversations."""
    waiting = Waiting()
    slow: Any = Slow(waiting)
    report_progress = waiting.thread_watch.of("zombies")
    sweep = Zombies(settings, slow, slow, slow, Normaliser, report_progress=report_progress).sweep()
    assert sweep.doubted == BATCH  # Genesys knows nothing at all
    assert waiting.calls == BATCH + 2
    assert waiting.hung == set()
    assert waiting.watched() == {"zombies"}


class Ledger(Slow):
    """A gap of a hundred conversations, none of them read, and what Redis is asked of it."""

    def claim_gaps(self, *_: object) -> Claim:
        return Claim("lease", 1, ("g",))

    def gap(self, gap_id: str) -> Gap:
        topics = ("v2.users.u-1.conversations",)
        return Gap(id=gap_id, shard="s", topics=topics, from_ms=0, to_ms=60_000)

    def write_gap(self, *_: object) -> str:
        return "lease"

    def seeing(self, topics: tuple[str, ...]) -> Sight:
        """One client sees all."""
        everything: Any = self
        return Sight(everything, (Part(everything, topics),))

    def query_details(self, query: Mapping[str, Any]) -> AnalyticsPage:
        self._waiting.call()
        first = query["paging"]["pageNumber"] == 1
        found = [AnalyticsConversation(id_) for id_ in self._ids] if first else []
        return AnalyticsPage(found, len(found))

    def smismember(self, _key: str, ids: list[str]) -> list[int]:
        return [0] * len(ids)

    def zscore(self, *_: object) -> None:
        """Nobody has read it for another gap."""

    def time(self) -> tuple[int, int]:
        return (60, 0)

    def zadd(self, *_: object, **__: object) -> None:
        """Noted."""

    def send(self, _events: object) -> None:
        """What analytics told of one that REST does not give."""

    sadd = expire = delete = zremrangebyscore = zadd

    def zrangebyscore(self, *_: object, **__: object) -> list[Any]:
        return []  # the tracker knows nothing of these topics


def test_a_long_gap_is_no_hang() -> None:
    """However slowly each of its conversations is read."""
    waiting = Waiting()
    ledger: Any = Ledger(waiting)
    filler = Filler(
        ledger,
        Keys("test"),
        ledger,
        ledger,
        ledger,
        Normaliser,
        lag_seconds=0.0,
        horizon_seconds=DAY,
        report_progress=waiting.thread_watch.of("gaps"),
    )
    assert filler.fill_next()
    assert waiting.calls > BATCH
    assert waiting.hung == set()
    assert waiting.watched() == {"gaps"}


class Refusing:
    """A Kafka that takes its time to refuse events; dead letters it takes."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._reports: list[Any] = []

    def produce(self, topic: str, *_: object, on_delivery: Any, **__: object) -> None:
        if not topic.endswith(".dlq"):
            self._reports.append(on_delivery)

    def __len__(self) -> int:
        return len(self._reports)

    def poll(self, seconds: float) -> None:
        if seconds:
            self._waiting.call()
        while self._reports:
            self._reports.pop()(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE), None)

    def purge(self) -> None:
        """Nothing is left."""


def test_many_refused_records_are_no_hang(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is sent again by itself, and its dead letter after it."""
    waiting = Waiting()
    monkeypatch.setattr("janitor.producer.Producer", lambda *_, **__: Refusing(waiting))
    settings = msgspec.structs.replace(settings, dead_letter_topic="some.dlq")
    producer = AckedProducer(settings, report_progress=waiting.thread_watch.of("gaps"))
    tracked = Tracked(0, [TrackedLeg(str(number), "call-1", "call") for number in range(20)])
    producer.send(closing("c", tracked, "not_found", 1_000))
    assert producer.dead_letters > 20
    assert waiting.hung == set()
    assert waiting.watched() == {"gaps"}


@pytest.mark.parametrize("away", [True, False])
def test_the_loop_of_a_thread_is_no_hang(settings: Settings, away: bool) -> None:
    """Neither where Redis is away for a day, nor between two sweeps that are hours apart."""
    waiting = Waiting()

    def work() -> Round:
        waiting.call()
        if away:
            raise RedisUnavailable("does not answer")
        return Round(settings.janitor_interval)

    rounds = Rounds("zombies", work, waiting.thread_watch.of("zombies"))
    rounds.run(waiting)
    assert waiting.now > DAY
    assert waiting.hung == set()
    assert rounds.reasons() == (("zombies: does not answer",) if away else ())
    assert waiting.watched() == {"zombies"}


def test_a_thread_of_which_no_round_ends_is_a_reason() -> None:
    """Be it that each fails, or that one takes for ever; until one ends."""
    waiting = Waiting()
    failing = iter((RedisUnavailable("does not answer"), None))
    seen: list[tuple[str, ...]] = []

    def work() -> Round:
        waiting.spend(901.0)
        seen.append(rounds.reasons())
        if error := next(failing, None):
            raise error
        if len(seen) == 3:
            waiting.set()
        return Round(1.0)

    rounds = Rounds(
        "zombies",
        work,
        waiting.thread_watch.of("zombies"),
        late_after=900.0,
        clock=lambda: waiting.now,
    )
    rounds.run(waiting)
    away = "zombies: does not answer"
    assert seen == [
        ("zombies: no round has ended for 901s",),
        (away, "zombies: no round has ended for 1803s"),
        ("zombies: no round has ended for 902s",),
    ]
    assert rounds.reasons() == ()
