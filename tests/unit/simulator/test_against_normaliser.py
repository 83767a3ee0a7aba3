"""The ledger against the mirror's own reading of the frames: two authors, one truth.

The simulator writes down what it did; the normaliser tells what it sees. Neither imports the
other, so where they agree both are right, or both are wrong in the same way.
"""

from __future__ import annotations

from collections import Counter

import pytest

from mirror.conversation.normaliser.normaliser import Normaliser
from simulator.frames import encode_body, envelope
from simulator.scenarios import SCENARIOS
from tests.unit.simulator.theatre import perform

RECEIVED = "2030-01-01T00:00:00.000Z"
#: Told of the participant: which of its legs stands beside it is another question.
OF_THE_PARTICIPANT = ("acw", "wrapup")


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_ledger_and_normaliser_tell_the_same_transitions(scenario: str) -> None:
    """From the nested frames of a conversation: nothing missing, nothing invented, none twice."""
    for seed in range(20):
        played = perform(scenario, seed)
        normaliser = Normaliser()
        events = []
        for number, (body, _) in enumerate(played.frames):
            frame = envelope("v2.users.u.conversations", encode_body(body), "c")
            reading = normaliser.frame(frame, RECEIVED, float(number))
            assert reading.problem is None
            events += [event for event in reading.events if event.origin == "live"]
        assert max(Counter(event.event_id for event in events).values()) == 1
        seen = Counter(
            (
                event.event_type,
                event.participant_id,
                event.event_type in OF_THE_PARTICIPANT or event.communication_id,
                event.event_type in OF_THE_PARTICIPANT or event.media_type,
                event.agent_id,
                event.purpose,
                event.hold_started_at,
                event.wrapup_code,
                event.disconnect_type if event.event_type == "disconnect" else None,
            )
            for event in events
        )
        done = Counter(
            (
                record.event_type,
                record.participant_id,
                record.event_type in OF_THE_PARTICIPANT or record.communication_id,
                record.event_type in OF_THE_PARTICIPANT or record.media_type,
                record.agent_id,
                record.purpose,
                record.hold_started_at,
                record.wrapup_code if record.event_type == "wrapup" else None,
                record.disconnect_type if record.event_type == "disconnect" else None,
            )
            for record in played.records
        )
        assert seen == done
