"""Compares events, and views of them, with the golden files under `tests/golden/`.

Each file holds the expected events, one JSON document a line, or the view that they fold to, and
was read by eye when it was written. `MIRROR_WRITE_GOLDEN=1` in the environment writes files anew
instead of failing; read the difference before committing it. CI never sets it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from docs.build.vectors import shown
from mirror.conversation.event import Event
from mirror.conversation.fold import ConversationView

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "golden"


def check(name: str, events: Sequence[Event]) -> None:
    """Whether `events` are those of the golden file `name`, in every field and in order."""
    told = "".join(msgspec.json.encode(event).decode() + "\n" for event in events)
    _compare(GOLDEN / f"{name}.jsonl", told)


def check_view(name: str, view: ConversationView) -> None:
    """Whether `view` is that of the golden file `name`, but for what is the fold's own."""
    told = msgspec.json.format(msgspec.json.encode(shown(view)), indent=1).decode() + "\n"
    _compare(GOLDEN / f"{name}.json", told)


def _compare(path: Path, told: str) -> None:
    if os.environ.get("MIRROR_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(told)
    assert told == path.read_text()
