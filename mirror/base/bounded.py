"""Makes calls of foreign libraries with a deadline that holds.

Some calls may never return, whatever time-out they are given. One of them is
`rd_kafka_send_offsets_to_transaction`: librdkafka never looks at the deadline of a request to a
coordinator, and does not ask for another coordinator if the broker that it remembers is gone (its
issues 5456 and 5511, both open in 2.16.0). A projector whose only broker crashed during a
transaction waited for ever. An HTTP library is another example: its time-out is for one read, so a
server that sends a byte a second is never late.

So each call has its own thread. A late thread is abandoned.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final, TypeVar

T = TypeVar("T")

# Each abandoned thread holds a client with its threads and connections. A thread that returns later
# is free again. If more threads are stuck, only a new process helps.
MOST_STUCK: Final = 20


class Stuck(Exception):
    """The call did not return in time, and may never do so."""


class BoundedCalls:
    """The calls that a thread makes to a library. Errors name the library."""

    def __init__(self, most_stuck: int = MOST_STUCK, library: str = "librdkafka") -> None:
        self._most_stuck = most_stuck
        self._library = library
        self._left_behind: list[threading.Thread] = []

    def make(self, call: Callable[[], T], seconds: float) -> T:
        """The result of `call`, or its exception, within `seconds`.

        Raises `Stuck` after that time: then do not touch the objects of the call again. Raises
        `RuntimeError` if too many calls are stuck.
        """
        returned: list[T] = []
        raised: list[BaseException] = []

        def work() -> None:
            try:
                returned.append(call())
            except BaseException as error:  # noqa: BLE001 - raised where the call was made
                raised.append(error)

        thread = threading.Thread(target=work, name="bounded-call", daemon=True)
        thread.start()
        thread.join(seconds)
        if returned:
            return returned[0]
        if raised:
            raise raised[0]
        self._left_behind = [stuck for stuck in self._left_behind if stuck.is_alive()]
        self._left_behind.append(thread)
        if len(self._left_behind) > self._most_stuck:
            raise RuntimeError(f"{len(self._left_behind)} calls of {self._library} do not return")
        raise Stuck(f"{self._library} did not return within {seconds:g} s")
