"""Pre-built frames: holes in the right places, and the transitions that they promise."""

from __future__ import annotations

import json

from simulator.load import FAMILIES, build_scripts
from tests.schemas import class_of_topic, problems
from tests.unit.simulator.theatre import START_MS

WEIGHTS = {"call": 1.0, "email": 1.0, "message": 1.0}
USER = b"11111111-1111-4111-8111-111111111111"
CONVERSATION = b"22222222-2222-4222-8222-222222222222"


def test_filled_templates_are_good_frames_of_their_topic() -> None:
    """The header's length is right, the ids are in, the body is of the class, for both families."""
    for script in build_scripts(WEIGHTS, seed=3, start_ms=START_MS, count=6):
        for template in script:
            for family in FAMILIES:
                head, middle, tail = template.parts[family]
                frame = head + USER + middle + CONVERSATION + tail
                size = int.from_bytes(frame[2:4], "big")
                assert frame[0] == 0x81
                assert frame[1] == 126
                assert size == len(frame) - 4
                body = json.loads(frame[4:])
                assert body["topicName"] == f"{family}{USER.decode()}.conversations"
                assert body["eventBody"]["id"] == CONVERSATION.decode()
                assert not problems(body["eventBody"], class_of_topic(body["topicName"]))


def test_scripts_count_the_transitions_of_each_frame() -> None:
    """Every script begins with a start, and has at least an answer and an end beside it."""
    for script in build_scripts(WEIGHTS, seed=4, start_ms=START_MS, count=6):
        assert script[0].transitions >= 2
        assert sum(template.transitions for template in script) >= 5
