"""A normaliser that reads natively what it can: what tests of the rules are run with once more."""

from __future__ import annotations

from typing import Any

import msgspec

from listeners.counters import Counters
from listeners.receive.native import Native
from mirror.conversation.event import Origin
from mirror.conversation.normaliser import Normaliser, Personal, Reading
from mirror.conversation.normaliser.memory import Memory
from mirror.kafka.record import read_event
from tests.unit.native.twins import MODULE, recorder


class Memories:
    """The memory of both."""

    def __init__(self, python: Memory, native: Native | None) -> None:
        """`native` is null where Python reads all."""
        object.__setattr__(self, "_python", python)
        object.__setattr__(self, "_native", native)

    def __len__(self) -> int:
        native: Native | None = object.__getattribute__(self, "_native")
        return len(self._python) + (len(native.reader) if native is not None else 0)

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_python"), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._python, name, value)


class Both:
    """Stands where tests have a `Normaliser`. Its events are read back from native records."""

    taken = 0  # frames that were read natively, in all

    def __init__(self, *, personal: Personal | None = None, **limits: Any) -> None:
        """As of a `Normaliser`."""
        self.python = Normaliser(personal=personal, **limits)
        self.native = None
        if personal is None:
            self.native = Native(MODULE, self.python, recorder(), Counters())
        self.memory = Memories(self.python.memory, self.native)

    def interrupted(self) -> None:
        """As of a `Normaliser`."""
        (self.native or self.python).interrupted()

    def frame(self, raw: bytes, received_at: str, now: float) -> Reading:
        """As of a `Normaliser`."""
        if self.native is None:
            return self.python.frame(raw, received_at, now)
        records, taken = self.native.read([raw], 0, received_at, now)
        if not taken:
            return self.native.frame(raw, received_at, now)
        Both.taken += 1
        topic = msgspec.json.decode(raw)["topicName"]
        events = [read_event(value) for value, *_ in records]
        return Reading("conversation", topic, events)

    def conversation(
        self, raw: bytes, received_at: str, now: float, origin: Origin = "backfill"
    ) -> Reading:
        """As of a `Normaliser`."""
        return self.python.conversation(raw, received_at, now, origin)

    def analytics(self, raw: bytes, received_at: str, now: float) -> Reading:
        """As of a `Normaliser`."""
        return self.python.analytics(raw, received_at, now)
