"""Makes several blocking calls at the same time, and waits for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence


def side_by_side(calls: Sequence[Callable[[], object]]) -> None:
    """Make all `calls`, each but the first in a thread of its own; returns when all have ended.

    Raises the first exception of a call, after all have ended. The threads are daemons: a call that
    waits for a time-out does not delay the end of the process.
    """
    raised: list[BaseException] = []

    def make(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again below
            raised.append(error)

    threads = [
        threading.Thread(target=make, args=(call,), name="side-by-side", daemon=True)
        for call in calls[1:]
    ]
    for thread in threads:
        thread.start()
    for call in calls[:1]:
        make(call)
    for thread in threads:
        thread.join()
    if raised:
        raise raised[0]
