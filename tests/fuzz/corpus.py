"""Writes inputs for the fuzzer to start from: `python -m tests.fuzz.corpus FOLDER`.

Valid frames of every topic that is read, REST and analytics bodies (tests/schemas/generate.py), and
the frames of every scenario of the simulator, beside the recordings.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mirror.conversation.normaliser.topics import classify
from simulator.frames import encode_body, envelope
from simulator.scenarios import SCENARIOS
from tests import schemas
from tests.schemas import generate
from tests.unit.simulator.theatre import perform

SEEDS = 4
BODIES = ("Conversation", "AnalyticsConversationWithoutAttributes")
TOPIC = "v2.users.u.conversations"


def inputs() -> Iterator[bytes]:
    """All of them, the same each time."""
    for seed in range(SEEDS):
        rng = random.Random(seed)
        for template, name in schemas.topics().items():
            topic = template.replace("{id}", "u")
            if classify(topic) in {"conversation", "agent"}:
                yield envelope(topic, encode_body(generate.body(name, rng)), "c")
        for name in BODIES:
            yield msgspec.json.encode(generate.body(name, rng))
    for scenario in SCENARIOS:
        for body, _ in perform(scenario, 0).frames:
            yield envelope(TOPIC, encode_body(body), "c")


def main(folder: Path) -> None:
    """Write each input to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(inputs()):
        (folder / f"made-{number:04d}").write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
