"""Checks the number of partitions of the projector's three topics, which must be equal.

Otherwise a conversation would be in two partitions. `uneven` says in a line what is wrong, or
returns an empty string. `Topics` compares the topics at the start and while the process runs. At
the start, it also compares them with the number of partitions that the views name. If they differ,
the process waits, because a restart would find the same.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from mirror.base.errors import KafkaUnavailable
from mirror.base.log import logger
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.kafka.admin import check
from mirror.kafka.projected import REBUILD, is_projected, moved, read_partitions, unread
from mirror.settings import Settings

ANSWER_SECONDS: Final = 5.0
COMPARE_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 1.0


def uneven(settings: Settings, counts: Mapping[str, int], first: int | None = None) -> str:
    """What is wrong with the topics. `counts` is topic → number of partitions.

    `first` is how many the interaction topic had when this process started.
    """
    wanted = (settings.topic, settings.once_topic, settings.conversations_topic)
    missing = [name for name in wanted if name not in counts]
    if missing:
        cure = "" if settings.has_projectors else " where MIRROR_PROJECTORS is not 0"
        return (
            f"Kafka has no topic {' and no '.join(missing)}: `mirror init` makes what is "
            f"missing{cure}"
        )
    source = counts[settings.topic]
    if first is not None and source != first:
        return (
            f"{settings.topic} had {first} partitions when this process started and has {source}: "
            f"{REBUILD}"
        )
    for name in wanted[1:]:
        if counts[name] != source:
            return (
                f"{settings.topic} has {source} partitions and {name} {counts[name]}: a "
                f"conversation would be in two partitions; {REBUILD}"
            )
    return ""


class Topics:
    """Watches the topics. `reason` says what is wrong with them now, `away` that Kafka does not
    answer; both are empty if nothing is.

    Both may be read by any thread.
    """

    def __init__(self, settings: Settings) -> None:
        self.reason = self.away = ""
        self.partitions = 0
        self._settings = settings
        self._told = ""
        self._log = logger("projector")

    def wait(self, left: Callable[[], float], waits: Callable[[str], object] = str) -> int:
        """Wait until the topics exist, are even, and fit the views. Returns their number of
        partitions.

        `left` returns how many seconds are left, 0 without a deadline. `waits` is called with the
        reason, again and again. Raises `KafkaUnavailable` when the seconds have passed.
        """
        while True:
            seconds = left()
            try:
                # A single attempt must end although the wait has no end: `waits` is told why.
                attempt = min(seconds or ANSWER_SECONDS, ANSWER_SECONDS)
                count, reason = self._look(max(PAUSE_SECONDS, attempt))
            except KafkaUnavailable as error:
                if 0 < left() <= PAUSE_SECONDS:
                    # Not a `FileUnusable`, whose exit code is that of a wrong setting.
                    raise KafkaUnavailable(str(error)) from error
                count, reason = 0, str(error)
            else:
                self.reason = reason
            if not reason:
                self.partitions = count
                return count
            if 0 < left() <= PAUSE_SECONDS:
                raise KafkaUnavailable(reason)
            waits(reason)
            self._tell(reason)
            time.sleep(PAUSE_SECONDS)

    def watch(self, stop: threading.Event, report_progress: ReportProgress = unwatched) -> None:
        """Compare the topics until `stop` is set: their partitions may grow at any time."""
        while not stop.is_set():
            report_progress()
            try:
                counts = _count(self._settings, ANSWER_SECONDS)
            except KafkaUnavailable as error:
                self.away = str(error)  # no change of the topics is known
            else:
                self.away = ""
                self._note(uneven(self._settings, counts, self.partitions))
            report_progress(rest=COMPARE_SECONDS)
            stop.wait(COMPARE_SECONDS)

    def _note(self, reason: str) -> None:
        if reason == self.reason:
            return
        if reason:
            self._log.error("topics_uneven", reason=reason)
        else:
            self._log.info("topics_even")
        self.reason = reason

    def _look(self, seconds: float) -> tuple[int, str]:
        settings = self._settings
        counts = _count(settings, seconds)
        reason = uneven(settings, counts)
        if reason:
            return 0, reason
        count = counts[settings.topic]
        views, silent = read_partitions(settings, count, seconds)
        # All views were made with one number, so a partition without a leader need not tell it too.
        # Nor need it before the first projector has worked: then there are no views.
        if (
            silent
            and not views
            and (len(silent) == count or is_projected(settings, silent, seconds))
        ):
            raise KafkaUnavailable(unread(settings, silent))
        return count, moved(settings, views, count)

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            self._told = reason
            self._log.warning("waiting_for_topics", reason=reason)


def _count(settings: Settings, seconds: float) -> dict[str, int]:
    """Topic → number of partitions. Raises `KafkaUnavailable`."""
    return {name: found[0] for name, found in check(settings, seconds).topics.items()}
