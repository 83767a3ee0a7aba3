"""Compares what happened with what is in Kafka, in a file on disk.

An hour of events does not fit into memory twice, so both sides go into a SQLite database as they
come: the simulator's ledger a page at a time, the topic from where the last reading ended. The
questions are asked of the database, at any time: what has been counted so far is a partial result.
The file is of this run alone, so nothing waits for the disk.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from harness.oracle import Name, name_of_event, name_of_truth, restorable
from mirror.conversation.event import Event
from simulator.ledger import Truth

CACHE_KIB: Final = 64 * 1024
EXAMPLES: Final = 5
# What ended in truth with its leg may be told before.
OVER: Final = {"hold": "resume", "park": "unpark"}
NO_TRANSITION: Final = "finalize"  # no source tells of it
_TABLES: Final = """
CREATE TABLE truths (
    seq INTEGER PRIMARY KEY, name TEXT, over TEXT, kind TEXT, conversation TEXT, restorable INTEGER
);
CREATE TABLE reachable (conversation TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE told (name TEXT PRIMARY KEY, live INTEGER, late INTEGER, claimed INTEGER) WITHOUT ROWID
"""
_MISSING: Final = """
FROM truths LEFT JOIN told USING (name)
WHERE told.name IS NULL AND conversation IN (SELECT conversation FROM reachable)
"""
_INVENTED: Final = """
FROM told WHERE claimed
AND NOT EXISTS (SELECT 1 FROM truths WHERE truths.name = told.name)
AND NOT EXISTS (SELECT 1 FROM truths WHERE truths.over = told.name)
"""


class Balance(msgspec.Struct, kw_only=True):
    """Transitions that happened, and where they are. Kinds are event types.

    `restored`: by back-fill alone. `missing`: though REST tells of them. `untold`: of which frames
    alone tell, or perhaps: the codes of a leg that has several. `unread`: records of the ledger
    that were gone before they were read.
    """

    happened: int
    unread: int
    records: int  # in Kafka, repeated ones included
    kept: int
    restored: int
    missing: int
    untold: int
    invented: int
    happened_kinds: dict[str, int]
    kept_kinds: dict[str, int]
    restored_kinds: dict[str, int]
    missing_kinds: dict[str, int]
    untold_kinds: dict[str, int]
    invented_kinds: dict[str, int]
    missing_examples: list[str]
    invented_examples: list[str]


class Account:
    """The database of one run."""

    def __init__(self, path: Path) -> None:
        self.last_seq = 0
        self.happened = 0
        self.records = 0
        self._codes: dict[tuple[str | None, str | None], list[int]] = {}  # leg → seqs
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=OFF")
        self._database.execute("PRAGMA synchronous=OFF")
        self._database.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        self._database.executescript(_TABLES)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def happen(self, truths: Iterable[Truth]) -> None:
        """Take records of the ledger, in order, behind those that were taken."""
        rows, reachable = [], set()
        several: list[tuple[int]] = []
        for truth in truths:
            if truth.event_type == "wrapup":
                # REST shows only the code of a leg that was chosen last. Which that is, the ledger
                # does not say in time: a code that is chosen again has no second record.
                codes = self._codes.setdefault((truth.participant_id, truth.communication_id), [])
                codes.append(truth.seq)
                if len(codes) > 1:
                    several += ((seq,) for seq in codes)
            over = None
            if truth.event_type in OVER:
                end = msgspec.structs.replace(truth, event_type=OVER[truth.event_type])
                over = _text(name_of_truth(end))
            kind, conversation = truth.event_type, truth.conversation_id
            name = _text(name_of_truth(truth))
            rows.append((truth.seq, name, over, kind, conversation, restorable(truth)))
            # Without a queue and a user a conversation has no topic: no frame and no gap tells of
            # it.
            if truth.queue_id or truth.agent_id:
                reachable.add((conversation,))
        if not rows:
            return
        self._many("INSERT INTO truths VALUES (?,?,?,?,?,?)", rows)
        self._many("UPDATE truths SET restorable = 0 WHERE seq = ?", several)
        self._many("INSERT OR IGNORE INTO reachable VALUES (?)", sorted(reachable))
        self.happened += len(rows)
        self.last_seq = rows[-1][0]

    def tell(self, events: Iterable[Event]) -> None:
        """Take events of the topic. A first reading repeats a state and is no transition."""
        rows = []
        for event in events:
            late = event.origin == "backfill"
            claimed = event.origin != "snapshot" and event.event_type != NO_TRANSITION
            rows.append((_text(name_of_event(event)), not late, late, claimed))
        self.records += len(rows)
        rows.sort()  # neighbours lie in the same pages
        self._many(
            "INSERT INTO told VALUES (?,?,?,?) ON CONFLICT (name) DO UPDATE SET "
            "live = max(live, excluded.live), late = max(late, excluded.late), "
            "claimed = max(claimed, excluded.claimed)",
            rows,
        )

    def balance(self) -> Balance:
        """What both sides come to now."""
        for column in ("name", "over"):
            self._database.execute(
                f"CREATE INDEX IF NOT EXISTS by_{column} ON truths ({column}) "
                f"WHERE {column} IS NOT NULL"
            )
        kept = self._kinds("FROM truths JOIN told USING (name) WHERE live")
        restored = self._kinds("FROM truths JOIN told USING (name) WHERE NOT live AND late")
        missing = self._kinds(f"{_MISSING} AND restorable")
        untold = self._kinds(f"{_MISSING} AND NOT restorable")
        invented_kinds = self._named_kinds()
        return Balance(
            happened=self.happened,
            unread=self.last_seq - self.happened,
            records=self.records,
            kept=sum(kept.values()),
            restored=sum(restored.values()),
            missing=sum(missing.values()),
            untold=sum(untold.values()),
            invented=sum(invented_kinds.values()),
            happened_kinds=self._kinds("FROM truths"),
            kept_kinds=kept,
            restored_kinds=restored,
            missing_kinds=missing,
            untold_kinds=untold,
            invented_kinds=invented_kinds,
            missing_examples=self._examples(f"SELECT name {_MISSING} AND restorable"),
            invented_examples=self._examples(f"SELECT name {_INVENTED}"),
        )

    def _many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        self._database.execute("BEGIN")
        self._database.executemany(statement, rows)
        self._database.execute("COMMIT")

    def _kinds(self, source: str) -> dict[str, int]:
        query = f"SELECT kind, count(*) {source} GROUP BY kind ORDER BY count(*) DESC"  # constants
        return dict(self._database.execute(query).fetchall())

    def _named_kinds(self) -> dict[str, int]:
        query = f"SELECT json_extract(name, '$[3]'), count(*) {_INVENTED} GROUP BY 1"  # constants
        return dict(self._database.execute(query).fetchall())

    def _examples(self, query: str) -> list[str]:
        rows = self._database.execute(f"{query} LIMIT {EXAMPLES}").fetchall()
        return [name for (name,) in rows]


def _text(name: Name) -> str:
    return json.dumps(name, separators=(",", ":"))
