"""Writes inputs for a fuzzer to start from: `python -m tests.fuzz.corpus FOLDER [--histories]`.

Valid frames of every topic that is read, REST and analytics bodies (tests/schemas/generate.py), and
the frames of every scenario of the simulator, beside the recordings. With `--histories` also all
frames of each scenario as the lines of one input.
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
    for history in histories():
        yield from history


def histories() -> Iterator[list[bytes]]:
    """The frames of each scenario."""
    for scenario in SCENARIOS:
        frames = perform(scenario, 0).frames
        yield [envelope(TOPIC, encode_body(body), "c") for body, _ in frames]


def main(folder: Path, *options: str) -> None:
    """Write each input to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    made = list(inputs())
    if "--histories" in options:
        made += [b"\n".join(history) for history in histories()]
    for number, content in enumerate(made):
        (folder / f"made-{number:04d}").write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
