"""The projector's three topics, whose partitions must be as many: else a conversation has two.

`uneven` says what is wrong with them, in a line; empty where nothing is. `Topics` compares them at
the start, also with the number that the views were made with, and while the process runs. What it
finds is no fault of the process: another process would find the same, so it waits.
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
from mirror.kafka.projected import REBUILD, moved, read_partitions
from mirror.settings import Settings

ANSWER_SECONDS: Final = 5.0
COMPARE_SECONDS: Final = 5.0
PAUSE_SECONDS: Final = 1.0


def uneven(settings: Settings, counts: Mapping[str, int], first: int | None = None) -> str:
    """What is wrong with the topics, given topic → partitions.

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
    """What is wrong with the topics now (`why`, empty where nothing is known to be).

    `why` may be read by any thread.
    """

    def __init__(self, settings: Settings) -> None:
        self.why = ""
        self.partitions = 0
        self._settings = settings
        self._told = ""
        self._log = logger("projector")

    def wait(self, left: Callable[[], float]) -> int:
        """Wait until the topics are there, even, and as the views were made; their partitions.

        `left` says how many seconds are left, 0 where there is no deadline. Raises
        `KafkaUnavailable` when they have passed.
        """
        while True:
            seconds = left()
            try:
                count, why = self._look(max(PAUSE_SECONDS, seconds) if seconds else 0.0)
            except KafkaUnavailable as error:
                if 0 < left() <= PAUSE_SECONDS:
                    # Not a `FileUnusable`, whose exit code is that of a wrong setting.
                    raise KafkaUnavailable(str(error)) from error
                count, why = 0, str(error)
            else:
                self.why = why
            if not why:
                self.partitions = count
                return count
            if 0 < left() <= PAUSE_SECONDS:
                raise KafkaUnavailable(why)
            self._tell(why)
            time.sleep(PAUSE_SECONDS)

    def watch(self, stop: threading.Event, report_progress: ReportProgress = unwatched) -> None:
        """Compare them until `stop`: their partitions may grow at any time."""
        while not stop.is_set():
            report_progress()
            try:
                counts = _count(self._settings, ANSWER_SECONDS)
            except KafkaUnavailable:
                pass  # nothing is known to have changed; the loop says that Kafka is away
            else:
                self._note(uneven(self._settings, counts, self.partitions))
            report_progress(rest=COMPARE_SECONDS)
            stop.wait(COMPARE_SECONDS)

    def _note(self, why: str) -> None:
        if why == self.why:
            return
        if why:
            self._log.error("topics_uneven", why=why)
        else:
            self._log.info("topics_even")
        self.why = why

    def _look(self, seconds: float) -> tuple[int, str]:
        settings = self._settings
        counts = _count(settings, seconds)
        why = uneven(settings, counts)
        if why:
            return 0, why
        count = counts[settings.topic]
        views = read_partitions(settings, count, min(seconds, ANSWER_SECONDS) or ANSWER_SECONDS)
        return count, moved(settings, views, count)

    def _tell(self, why: str) -> None:
        if why != self._told:
            self._told = why
            self._log.warning("waiting_for_topics", why=why)


def _count(settings: Settings, seconds: float) -> dict[str, int]:
    """Topic → partitions. Raises `KafkaUnavailable`."""
    return {name: found[0] for name, found in check(settings, seconds).topics.items()}
