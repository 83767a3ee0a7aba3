"""`mirror projector` on a real Kafka: what it writes, restores, refuses and tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.projector_support import EXACT, Stage, quick_cluster, stream
from tests.services.availability import unavailable
from tests.services.kafka import KafkaUnavailable
from tests.services.process import ManagedProcess

Start = Callable[[ManagedProcess], ManagedProcess]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own."""
    try:
        yield from quick_cluster(tmp_path_factory.mktemp("kafka"))
    except KafkaUnavailable as missing:
        unavailable(str(missing))


def test_each_event_stands_once_and_each_view_is_the_fold(
    cluster: str, start_process: Start, tmp_path: Path
) -> None:
    """Two of everything in, one of everything out, with the record that came first."""
    stage = Stage(cluster)
    stage.send(stream(60, seed=1))
    start_process(stage.process(tmp_path, "projector"))
    stage.await_projected()
    assert stage.count() == EXACT
