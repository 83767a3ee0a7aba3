"""Projectors killed and frozen between every two effects: nothing is missing, nothing stands twice.

By design, not by timing: each life dies, or stops, right before its n-th effect, for n = 0, 1, 2, …
until one comes to its end. Somebody else goes on, and an independent consumer counts.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.process import wait_until
from tests.integration import dying, projector_lives
from tests.integration.projector_support import EXACT, Stage, quick_cluster, stream

MOST_EFFECTS = 120
STOPPED = "T"

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker of this module's own, which ends open transactions soon."""
    yield from quick_cluster(tmp_path_factory.mktemp("kafka"))


@pytest.mark.timeout(600)
def test_a_projector_can_die_anywhere(cluster: str) -> None:
    """Two batches of one partition: after each death another one finishes, as if nothing was."""
    events = stream(2, seed=3)[:40]
    began = time.monotonic()
    for effects in range(MOST_EFFECTS):
        stage = Stage(cluster, partitions=1)
        stage.send(events)
        finished = dying.run(projector_lives.alone, stage.env, effects)
        if not finished:
            assert dying.run(projector_lives.alone, stage.env, dying.NEVER)
        assert stage.count() == EXACT, f"after dying before effect {effects}"
        if finished:
            break
    assert effects >= 20
    print(f"{effects} deaths in {time.monotonic() - began:.1f} s")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", projector_lives.KINDS)
def test_a_frozen_projector_is_fenced(cluster: str, tmp_path: Path, kind: str) -> None:
    """Stopped right before an effect until somebody else has its partitions and went on, it does no
    harm when it wakes up: what it had in hand is refused.
    """
    stage = Stage(cluster, partitions=1)
    stage.send(stream(8, seed=4))
    with dying.started(
        projector_lives.frozen, stage.env, projector_lives.KINDS.index(kind)
    ) as process:
        wait_until(lambda: _state(process.pid) == STOPPED, 30.0, "the projector froze")
        with stage.process(tmp_path, "other"):
            stage.await_projected()
            os.kill(process.pid, signal.SIGCONT)
            stage.send(stream(8, seed=5))
            stage.await_projected()
            assert stage.count() == EXACT
            # It may have a share again, or be told that it has none.
            process.kill()
            stage.send(stream(8, seed=6))
            stage.await_projected()
            assert stage.count() == EXACT


def _state(pid: int | None) -> str:
    """The state of a process, as Linux has it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
