"""Dead letters that Kafka keeps: their number, and the errors of the latest. Never their content.
Pure."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from mirror.kafka.deadletters import DeadLetter

LETTERS_KEPT: Final = 20


class Letters:
    """Counts dead letters. `before` is the number that Kafka keeps and that were not read."""

    def __init__(self, before: int = 0) -> None:
        self.count = before
        self.latest: deque[dict[str, Any]] = deque(maxlen=LETTERS_KEPT)

    def note(self, letter: DeadLetter) -> None:
        """One more."""
        self.count += 1
        self.latest.append(
            {
                "id": letter.id,
                "at": letter.at_ms,
                "topic": letter.topic,
                "stage": letter.details.get("stage", ""),
                "error": letter.details.get("exception.class.name", ""),
            }
        )
