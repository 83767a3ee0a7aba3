"""The vectors of docs/vectors, which consumers in other languages test their fold with."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from docs.build.vectors import folded, shown, vectors
from mirror.conversation.event import Event
from tests.unit.conversation import golden

FOLDER = Path(__file__).parents[3] / "docs" / "vectors"
NAMES = sorted(path.name for path in FOLDER.glob("*.json"))


def read(name: str) -> dict[str, Any]:
    """A published vector."""
    vector: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return vector


@pytest.mark.parametrize("name", NAMES)
def test_a_vector_is_what_its_events_fold_to(name: str) -> None:
    """Each event is a valid one, and the view is that of `mirror.fold`, twice in a row as well."""
    vector = read(name)
    events = msgspec.convert(vector["events"], list[Event])
    assert json.loads(msgspec.json.encode(shown(folded(events)))) == vector["view"]
    if name.startswith("flow-"):
        again = shown(folded([*events, *events]))
        assert json.loads(msgspec.json.encode(again)) == vector["view"]


def test_the_published_vectors_are_current() -> None:
    """`python -m docs.build.pages` writes them."""
    assert {name: (FOLDER / name).read_text() for name in NAMES} == vectors()


def test_flows_agree_with_the_reviewed_views() -> None:
    """What people read by eye under `tests/golden/views` is what is published."""
    for path in (golden.GOLDEN / "views").glob("*.json"):
        name = "flow-" + path.stem.lower().replace("_", "-")
        assert read(f"{name}.json")["view"] == json.loads(path.read_text())


# Rule of docs/event.md → what each of its vectors must come to, read by hand from the rule.
EXPECTED: dict[str, dict[str, Any]] = {
    "rule-1-repeats-count-once": {"held": True},
    "rule-1-a-later-word-counts-again": {"held": True},
    "rule-1-an-earlier-word-does-not": {"held": False},
    "rule-2-an-end-is-for-good": {"held": False, "state": "disconnected"},
    "rule-3-an-alert-behind-the-answer": {"state": "connected"},
    "rule-3-an-answer-behind-a-hold": {"held": True, "answered_at": "2026-11-23T10:00:00.900Z"},
    "rule-4-the-latest-hold-counts": {"hold_started_at": "2026-11-23T10:00:04.000Z"},
    "rule-4-a-hold-behind-its-resume": {"held": False},
    "rule-4-a-hold-before-a-park": {"held": False, "state": "parked"},
    "rule-5-an-unpark-names-its-park": {"parked_at": "2026-11-23T10:00:04.000Z"},
    "rule-5-an-unpark-ends-its-park": {"parked_at": None, "state": "connected"},
    "rule-5-an-unpark-behind-a-hold": {"held": True, "parked_at": None},
    "rule-6-a-reading-corrects": {"held": False},
    "rule-6-a-reading-reopens-its-hold": {"held": False},
    "rule-6-an-old-reading": {"held": True},
    "rule-7-the-role-that-was-read-last": {"role": "coach"},
    "rule-7-no-role-of-a-leg-that-is-over": {"role": "monitor"},
    "rule-8-the-latest-code-counts": {"wrapup_code": "B"},
    "rule-8-codes-without-times": {"wrapup_code": "B"},
    "rule-8-a-code-that-comes-back": {"wrapup_code": "A"},
    "rule-8-work-ends-before-it-begins": {"acw": "done"},
    "rule-9-over-when-no-leg-lives": {"ended_at": None},
    "rule-9-after-call-work-first": {"acw": "working"},
    "rule-9-finalize-ends-all-legs": {"held": False, "ended_at": "2026-11-23T10:00:30.000Z"},
}


def test_each_rule_comes_to_what_the_page_says() -> None:
    """The views of the rules, by hand, so that an error of the fold is not published as a rule."""
    rules = [name.removesuffix(".json") for name in NAMES if name.startswith("rule-")]
    assert rules == sorted(EXPECTED)
    for name, expected in EXPECTED.items():
        (leg,) = read(f"{name}.json")["view"]["legs"]
        assert {field: leg[field] for field in expected} == expected, name
    states = {name: read(f"{name}.json")["view"]["state"] for name in EXPECTED}
    assert states["rule-9-over-when-no-leg-lives"] == "active"
    assert states["rule-9-after-call-work-first"] == "ended"
    assert states["rule-9-finalize-ends-all-legs"] == "ended"


def test_the_fold_in_javascript_passes_all_vectors() -> None:
    """It was written from the pseudo-code of docs/event.md, which therefore says enough."""
    node = shutil.which("node")
    if node is None:  # in builds too: nothing of the mirror needs Node
        pytest.skip("no Node to run docs/examples/fold.mjs with: install it, say Debian's nodejs")
    paths = [str(FOLDER / name) for name in NAMES]
    program = FOLDER.parent / "examples" / "fold.mjs"
    result = subprocess.run(
        [node, program, *paths], capture_output=True, text=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"{len(NAMES)} vectors, 0 differ")
