"""The spools of a process: its own, and those it adopted from processes that are gone.

Records are kept in a buffer for up to `COMMIT_EVERY` before they are written, so that many share
one fsync. What the spool refuses is counted as lost, and `refusing_since` is set until it takes
records again.
"""

from __future__ import annotations

from typing import Final

from listeners.counters import Counters
from listeners.spool import Numbered, Spool, SpoolError, adopt
from mirror.kafka.record import Record
from mirror.log import logger
from mirror.settings import Settings

COMMIT_EVERY: Final = 0.05
COMMIT_RECORDS: Final = 1_000
ADOPT_EVERY: Final = 60.0


class Store:
    """Own spool and inherited ones. All methods belong to one thread."""

    def __init__(self, settings: Settings, listener: str, counters: Counters, now: float) -> None:
        """Raises `SpoolError` where the spool folder cannot be used."""
        self.refusing_since: float | None = None
        self._directory = settings.spool_dir
        self._limit = settings.spool_limit
        self._counters = counters
        self._log = logger("listener.spool")
        self._own = Spool(self._directory / listener, self._limit)
        self._inherited: list[Spool] = []
        self._unsaved: list[Numbered] = []
        self._committed_at = now
        self._adopt_at = now

    @property
    def unsaved(self) -> int:
        """Records that are not on disk yet."""
        return len(self._unsaved)

    def keep(self, sequence: int, record: Record, now: float) -> None:
        """Take a record under its sequence number."""
        self._unsaved.append((sequence, record))
        if len(self._unsaved) >= COMMIT_RECORDS:
            self.commit(now)

    def commit(self, now: float) -> None:
        """Write what was taken."""
        if not self._unsaved:
            return
        self._committed_at = now
        records, self._unsaved = self._unsaved, []
        reason = "full"
        try:
            stored = self._own.put(records)
        except SpoolError as error:
            stored, reason = 0, str(error)
        self._counters.spooled += stored
        lost = len(records) - stored
        self._counters.lost += lost
        if lost and self.refusing_since is None:
            self.refusing_since = now
            self._log.error("spool_refuses", reason=reason, lost=lost, bytes=self._own.bytes)
        elif not lost and self.refusing_since is not None:
            self.refusing_since = None
            self._log.warning("spool_takes_again", lost=self._counters.lost)

    def tick(self, now: float) -> bool:
        """Write what waits long enough, look for orphans; whether one was adopted."""
        if now - self._committed_at >= COMMIT_EVERY:
            self.commit(now)
        adopted = False
        if now >= self._adopt_at:
            self._adopt_at = now + ADOPT_EVERY
            adopted = self._adopt()
        self._count()
        return adopted

    def first(self) -> Spool:
        """The spool whose records go first: the oldest inherited one that has any, else our own."""
        while self._inherited and not self._inherited[0].records:
            self._close(self._inherited.pop(0))
        return self._inherited[0] if self._inherited else self._own

    def close(self) -> None:
        """Write what waits and let go of the folders; what they hold stays."""
        self.commit(self._committed_at)
        self._count()
        for spool in (self._own, *self._inherited):
            self._close(spool)

    def _adopt(self) -> bool:
        found = adopt(self._directory, self._limit, self._own.folder)
        for spool in found:
            self._log.info("spool_adopted", folder=spool.folder.name, records=spool.records)
        self._inherited += found
        return bool(found)

    def _close(self, spool: Spool) -> None:
        if spool.records:
            self._log.warning(
                "spool_kept", folder=spool.folder.name, records=spool.records, bytes=spool.bytes
            )
        try:
            spool.close()
        except SpoolError as error:
            self._log.error("spool_not_closed", error=error)

    def _count(self) -> None:
        spools = (self._own, *self._inherited)
        self._counters.spool_records = sum(spool.records for spool in spools)
        self._counters.spool_bytes = sum(spool.bytes for spool in spools)
