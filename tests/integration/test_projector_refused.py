"""Records that a real broker refuses for good, by the limit of a topic."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import msgspec
import pytest

from harness.kafka import KafkaCluster, KafkaUnavailable
from harness.process import ManagedProcess
from mirror.conversation.event import Event
from mirror.conversation.schema import view_schema
from tests.integration.projector_support import QUICK, Stage, _as, flow, stream
from tests.services.availability import unavailable

Start = Callable[[ManagedProcess], ManagedProcess]
LIMIT = 20_000
FLOW = "S10_acw_ends_without_code"

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own."""
    try:
        with KafkaCluster(tmp_path_factory.mktemp("kafka"), properties=QUICK) as made:
            yield made.bootstrap_servers
    except KafkaUnavailable as missing:
        unavailable(str(missing))


def poisoned(conversation_id: str, size: int) -> list[Event]:
    """A flow of which each leg has a text that does not compress."""
    return [
        msgspec.structs.replace(
            _as(event, conversation_id), queue_id=event.queue_id and secrets.token_hex(size // 2)
        )
        for event in flow(FLOW)
    ]


def test_a_record_that_a_broker_refuses_holds_up_nothing(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """Views are shortened, once records left out, and all the others are as ever. The next
    projector goes on from the shortened views.
    """
    stage = Stage(cluster, partitions=2, limit=LIMIT)
    wrong = [poisoned("p-1", 300_000), poisoned("p-2", 900_000)]
    for number, events in enumerate(wrong):
        stage.send(stream(30, seed=number))
        stage.send(events)
    stage.send(stream(30, seed=3))
    process = start_process(stage.process(tmp_path, "one"))
    stage.await_projected()
    assert "view_shortened" in process.stderr
    assert "record_left_out" in process.stderr
    assert process.stop() == 0
    counted = stage.count()
    left_out = [event for events in wrong for event in events if event.queue_id]
    assert (counted.missing, counted.twice, counted.invented) == (len(left_out), 0, 0)
    assert set(counted.wrong) <= {"p-1", "p-2"}
    schema = view_schema()
    for message in stage.read(stage.settings.conversations_topic):
        jsonschema.validate(json.loads(message.value()), schema)
    assert {"p-1", "p-2"} <= stage.views().keys()
    stage.send([event for events in wrong for event in events])
    stage.send(stream(10, seed=4))
    process = start_process(stage.process(tmp_path, "two"))
    stage.await_projected()
    assert process.stop() == 0
    again = stage.count()
    assert (again.missing, again.twice, again.invented) == (len(left_out), 0, 0)
    assert set(again.wrong) <= {"p-1", "p-2"}
