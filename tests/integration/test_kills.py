"""kill -9 between every two effects of janitor and tracker: nothing lost, nothing done twice.

Each life dies right before its n-th effect, for n = 0, 1, 2, … until one comes to its end. After
each death somebody else goes on once the leases have lapsed, and what comes out is what comes out
undisturbed: the same events under the same ids, the same conversations finalized, the same active
set. By design, not by timing: no life is killed at a moment that a clock chose.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from coordinator.tracker.batch import changes, read
from coordinator.tracker.store import ConversationStore
from harness.kafka_topics import read_topic
from harness.simulated import Simulated
from janitor.producer import AckedProducer
from mirror.conversation.event import Event
from mirror.fleet.gaps import Gap, file_gap
from mirror.settings import load
from tests.integration import dying
from tests.integration.janitor_support import (
    Stage,
    environment,
    finish,
    happen,
    missing,
    quiet_org,
    show,
    spawn,
)
from tests.integration.test_tracker import lives

MOST_EFFECTS = 200


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulated]:
    """A Genesys Cloud in which nothing happens unasked."""
    with quiet_org(tmp_path_factory.mktemp("kills")) as made:
        yield made


NewStage = Callable[[], tuple[Stage, dict[str, str]]]


@pytest.fixture
def new_stage(
    kafka: str, redis_url: str, make_topic: Callable[..., str], sim: Simulated
) -> Iterator[NewStage]:
    """Makes stages with a topic and a namespace of their own, and the settings of a life there."""
    with redis.Redis.from_url(redis_url, decode_responses=True, protocol=2) as client:

        def make() -> tuple[Stage, dict[str, str]]:
            topic = make_topic()
            env = environment(kafka, redis_url, topic, sim)
            return Stage(load(env), sim, client), env

        yield make


def fold(stage: Stage) -> None:
    """What the tracker does with all that is on the topic, and its beat."""
    settings = stage.settings
    store = ConversationStore(stage.client, stage.keys, settings.topic)
    stored = store.beat([0], behind=False).get(0, "")
    servers = settings.kafka.properties["bootstrap.servers"]
    records = read_topic(servers, settings.topic)[int(stored or 0) :]
    conversations, unreadable = read(record.value() for record in records)
    assert not unreadable
    found = changes(
        conversations,
        store.documents(list(conversations)),
        settings.zombie_after,
        settings.zombie_after_media,
    )
    following = int(stored or 0) + len(records)
    assert store.apply(0, stored, following, found, behind=False)


def lapse(stage: Stage) -> None:
    """All that is claimed is due again, as after the lease of a janitor that died."""
    for name in (stage.keys.active, stage.keys.gaps):
        scores: Any = stage.client.zrange(name, 0, -1, withscores=True)
        for member, score in scores:
            if score != float("inf"):
                stage.client.zadd(name, {member: 1.0}, xx=True)


def transitions(events: list[Event]) -> set[str]:
    """Ids of what happened; snapshot readings are no transitions and have ids of their own."""
    return {event.event_id for event in events if event.origin != "snapshot"}


def test_a_gap_can_be_abandoned_anywhere(new_stage: NewStage, sim: Simulated) -> None:
    """Both readings of two conversations that nobody saw."""
    _, began, ended = happen(sim, 2)
    sim.post("/_sim/control", {"action": "start", "rate": 0})

    def life(effects: int) -> tuple[bool, object]:
        stage, env = new_stage()
        gap = Gap(id="g", shard="0", topics=tuple(sim.topics()), from_ms=began, to_ms=ended)
        assert file_gap(stage.client, stage.keys, gap)
        finished = dying.run(dying.fill, env, effects)
        if not finished:
            lapse(stage)
            assert dying.run(dying.fill, env, dying.NEVER)
        full = stage.leases.gap("g")
        assert full is not None
        assert (full.state, full.readings, full.read) == ("filled", 2, full.found)
        events = stage.events()
        assert missing(sim, events) == []
        return finished, (transitions(events), full.found)

    finished, undisturbed = life(dying.NEVER)
    assert finished
    _die_everywhere(life, undisturbed, least=10)


def test_a_sweep_can_die_anywhere(new_stage: NewStage, sim: Simulated) -> None:
    """One that is over, one that Genesys lost, one that goes on."""
    going_on = spawn(sim, "endless_call", 1)
    over = spawn(sim, "outbound_call", 2)
    stage, _ = new_stage()
    show(stage, going_on | over)
    seen = stage.events()
    finish(sim, over)
    sim.fault(fault="forget", conversation_id=min(over))

    def life(effects: int) -> tuple[bool, object]:
        stage, env = new_stage()
        AckedProducer(stage.settings).send(seen)
        fold(stage)
        lapse(stage)
        finished = dying.run(dying.sweep, env, effects)
        if not finished:
            fold(stage)
            lapse(stage)
            assert dying.run(dying.sweep, env, dying.NEVER)
        fold(stage)
        events = stage.events()
        finals = {(e.conversation_id, e.event_id) for e in events if e.event_type == "finalize"}
        assert {conversation for conversation, _ in finals} == over
        for conversation in over:
            own = [e.event_type for e in events if e.conversation_id == conversation]
            assert own.index("end") < own.index("finalize")
        return finished, (transitions(events), finals, stage.tracked())

    finished, undisturbed = life(dying.NEVER)
    assert finished
    assert undisturbed[2] == going_on  # type: ignore[index]
    _die_everywhere(life, undisturbed, least=10)


def test_a_tracker_can_die_anywhere(new_stage: NewStage) -> None:
    """Batches of eight records; conversations, active set and offset end up as if folded in one."""
    events, active = lives(3, seed=7)

    def life(effects: int) -> tuple[bool, object]:
        stage, env = new_stage()
        AckedProducer(stage.settings).send(events)
        finished = dying.run(dying.track, env, effects)
        if not finished:
            assert dying.run(dying.track, env, dying.NEVER)
        assert stage.tracked() == active
        names = stage.client.scan_iter(stage.keys.conversation("*"))
        kept = {name.rpartition(":")[2]: stage.client.get(name) for name in names}
        offsets: Any = stage.client.hgetall(stage.keys.offsets(stage.settings.topic))
        del offsets["beat"]
        return finished, (kept, offsets)

    finished, undisturbed = life(dying.NEVER)
    assert finished
    _die_everywhere(life, undisturbed, least=6)


def _die_everywhere(
    life: Callable[[int], tuple[bool, object]], undisturbed: object, least: int
) -> None:
    """Die before every effect; so many at least, else the fuse is not where effects are."""
    began = time.monotonic()
    for effects in range(MOST_EFFECTS):
        finished, outcome = life(effects)
        assert outcome == undisturbed, f"after dying before effect {effects}"
        if finished:
            break
    assert effects >= least
    print(f"{effects} deaths in {time.monotonic() - began:.1f} s")
