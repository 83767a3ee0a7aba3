"""Calls librdkafka with a deadline that holds.

`rd_kafka_send_offsets_to_transaction` may never return, whatever time-out it is given: librdkafka
never looks at the deadline of a request to a coordinator, and does not ask for another coordinator
where the broker that it remembers is gone (its issues 5456 and 5511, both open in 2.16.0). A
projector whose only broker crashed with a transaction under way stood still for good. So each call
has a thread of its own, which is left behind where it is late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

# Each thread that is left behind holds a producer with its threads and connections. Those that come
# back are free again; with more of them only another process helps.
MOST_STUCK: Final = 20


class Stuck(Exception):
    """The call did not return in time, and may never do so."""


class BoundedCalls:
    """The calls of one process. To be used by one thread."""

    def __init__(self, most_stuck: int = MOST_STUCK) -> None:
        self._most_stuck = most_stuck
        self._left_behind: list[threading.Thread] = []

    def make(self, call: Callable[[], T], seconds: float) -> T:
        """What `call` returns or raises, within `seconds`.

        Raises `Stuck` where it does neither: what it uses must then not be touched again. Raises
        `RuntimeError` where too many calls are stuck.
        """
        returned: list[T] = []
        raised: list[BaseException] = []

        def work() -> None:
            try:
                returned.append(call())
            except BaseException as error:  # noqa: BLE001 - raised where the call was made
                raised.append(error)

        thread = threading.Thread(target=work, name="kafka-call", daemon=True)
        thread.start()
        thread.join(seconds)
        if returned:
            return returned[0]
        if raised:
            raise raised[0]
        self._left_behind = [one for one in self._left_behind if one.is_alive()]
        self._left_behind.append(thread)
        if len(self._left_behind) > self._most_stuck:
            raise RuntimeError(f"{len(self._left_behind)} calls of librdkafka do not return")
        raise Stuck(f"librdkafka did not return within {seconds:g} s")
