"""Finds the topics to mirror: queues and users over REST, filtered by ids and name globs.

Discovery runs in a thread of its own, so a slow Genesys delays nothing. It lists each family with
each OAuth client, because their roles may be granted in different divisions. Clients list side by
side, because each has its own request budget. `found` has the union of their lists, `called` its
names. The lists are independent: after a failure the last known list stays in force, the list is
tried again after a growing pause, and `reasons` says why. `coordinator.plan.sight` decides which
answers to believe.

All lists come due together. Otherwise one client would list a new topic before the others do, and
the mirror would assume that only this client may see it.

Listing gives way to channels: it uses the request budget only while most of the burst is left
(`POLITE_BURST`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from math import inf
from typing import Final

import msgspec

from coordinator.naming import Called, Naming
from coordinator.plan.sight import Found, Recalled, Sight, family_of
from coordinator.topics import topics_of, unavailable
from mirror.base.errors import GenesysError
from mirror.base.log import logger
from mirror.base.side_by_side import side_by_side
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.genesys.client import GenesysClient
from mirror.genesys.filters import unmatched
from mirror.genesys.listing import read_listing
from mirror.genesys.topics import families_of
from mirror.settings import Settings

RETRY_SECONDS: Final = 10.0
# After this time the known part is offered, even while a list is still being read.
FIRST_SECONDS: Final = 60.0
# Discovery's part of the burst of a client's request budget: the rest is for channels.
POLITE_BURST: Final = 10
# How long a note says that mirrored topics disappeared.
GONE_SECONDS: Final = 3600.0
MOST_NAMED: Final = 3
_PAUSE_SECONDS: Final = 0.5
_ONE: Final = {"queues": "queue", "users": "user"}


class _List(msgspec.Struct):
    """One family as one client lists it: the next time to ask at the latest, and the last
    result."""

    client: GenesysClient
    family: str
    due: float = 0.0
    failures: int = 0
    error: str = ""
    unmatched: frozenset[str] | None = None  # entries of the filter, None until it was read
    seen: int | None = None
    left_out: int = 0  # entities that could not be read


class Discovery:
    """Lists queues and users every `MIRROR_DISCOVERY_INTERVAL` while `wanted` is set."""

    def __init__(
        self,
        settings: Settings,
        clients: Sequence[GenesysClient],
        report_progress: ReportProgress = unwatched,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.found: Found | None = None
        #: The names of the mirrored queues and users, None while nothing is found.
        self.called: Called | None = None
        #: Problems, and facts that are only worth knowing: one line each.
        self.reasons: tuple[str, ...] = ()
        self.notes: tuple[str, ...] = ()
        #: Every list was asked for, and there is no topic. `reasons` says why.
        self.barren = False
        self.permissions: dict[str, str] = {}  # topic template → permission it needs, for messages
        self.wanted = threading.Event()
        self._settings = settings
        self._clients = tuple(clients)
        self._watch = report_progress
        self._clock = clock
        families = families_of(settings)
        self._sight = Sight([client.id for client in clients], families)
        self._lists = [_List(client, family) for family in families for client in clients]
        self._naming = Naming(settings)
        self._lock = threading.Lock()
        self._next_round = 0.0  # when all lists are due
        self._began: float | None = None  # None: no list was read since the last `recall`
        self._unavailable: dict[str, str] = {}
        self._checked = False
        self._check_due = 0.0
        self._told: dict[str, int] = {}
        self._gone: dict[str, float] = {}  # topic that was found before → when it went
        self._log = logger("coordinator.discovery")

    def recall(self, before: Sequence[Recalled]) -> None:
        """Start over from the topics that were mirrored `before`, and list everything at once.

        For a coordinator that was just elected: its last results may be old, and its first new
        results may come from a Genesys in trouble.
        """
        with self._lock:
            self._sight.recall(before)
            self.found = self.called = None
            self._began = None
            self._next_round = 0.0
            self.reasons = self.notes = ()
            self.barren = False
            self._lists = [_List(old.client, old.family) for old in self._lists]

    def run(self, stop: threading.Event) -> None:
        """List again and again until `stop` is set; errors are logged and kept in `reasons`."""
        while not stop.is_set():
            self._watch()
            if self.wanted.is_set():
                self.look(stop)
            stop.wait(_PAUSE_SECONDS)

    def look(self, stop: threading.Event | None = None) -> None:
        """Read the lists that are due. Never raises: see `reasons`."""
        checks = not self._checked and self._check_due <= self._clock()
        if checks:
            self._check_templates()
        with self._lock:  # else a `recall` between them would leave the new lists unread
            now, lists = self._clock(), self._lists
            if self._began is None:
                self._began = now
        due: dict[str, list[_List]] = {}
        for listing in lists:
            if min(listing.due, self._next_round) <= now:
                due.setdefault(listing.client.id, []).append(listing)
        side_by_side([partial(self._read_all, own, stop) for own in due.values()])
        with self._lock:
            if self._next_round <= now and lists is self._lists:
                self._next_round = self._clock() + self._settings.discovery_interval
            if due or checks:
                self._offer()

    def _read_all(self, lists: Sequence[_List], stop: threading.Event | None) -> None:
        for listing in lists:
            if stop is None or not stop.is_set():
                self._read(listing, stop)

    def _read(self, listing: _List, stop: threading.Event | None) -> None:
        settings = self._settings
        client, family = listing.client.id, listing.family
        page_of = listing.client.queues if family == "queues" else listing.client.users
        try:
            listed = read_listing(
                page_of, family, report_progress=self._report_progress, clock=self._clock
            )
        except GenesysError as error:
            if stop is not None and stop.is_set():
                return
            listing.failures += 1
            pause = RETRY_SECONDS * 2.0 ** min(listing.failures - 1, 16)
            listing.due = self._clock() + min(
                pause, max(settings.discovery_interval, RETRY_SECONDS)
            )
            if listing.error != str(error):
                self._log.error("discovery_failed", client=client, family=family, error=error)
            listing.error = str(error)
            with self._lock:
                self._sight.fail(client, family)
            return
        listing.failures, listing.error = 0, ""
        entities, listing.left_out = listed.entities, listed.left_out
        patterns = settings.queues if family == "queues" else settings.users
        listing.unmatched = unmatched(entities, patterns)
        listing.seen = len(entities) + listing.left_out
        with self._lock:
            self._naming.hear("queues" if family == "queues" else "users", entities)
            self._sight.hear(
                client,
                family,
                topics_of(settings, family, entities),
                self._clock(),
                is_whole=not listed.left_out,
            )
            doubted = any(
                (doubt.client, doubt.family) == (client, family) for doubt in self._sight.doubts()
            )
        listing.due = self._clock() + RETRY_SECONDS if doubted else inf

    def _report_progress(self, rest: float = 0.0) -> None:
        """Called before each page: publish the results of other lists during a long one."""
        self._watch(rest)
        began = self._began
        if self.found is None and began is not None and self._clock() - began > FIRST_SECONDS:
            with self._lock:
                self._offer()

    def _offer(self) -> None:
        """Publish the results, reasons and notes. The caller has the lock."""
        early = self._began is None or self._clock() - self._began <= FIRST_SECONDS
        whole = len(self._sight.settled()) == len({listing.family for listing in self._lists})
        found = self._sight.found() if whole or not early else None
        if self._began is None:
            found = None  # asked before the last `recall`
        barren = whole and found is not None and not found.topics
        doubts = self._sight.doubts()
        alone = self._sight.alone()
        heard = any(listing.unmatched is not None for listing in self._lists)
        before = self.found
        if found is not None and found != before and (heard or found.topics):
            self.found = found
        if self.found is not None:
            self.called = self._naming.called(self.found.topics)
        if self.found is not before and self.found is not None:
            old = before.topics if before is not None else frozenset()
            self._log.info(
                "discovery_changed",
                topics=len(self.found.topics),
                added=len(self.found.topics - old),
                removed=len(old - self.found.topics),
                not_for_all=len(self.found.audience),
            )
            self._note_gone(old, self.found.topics)
        told = {f"{doubt.client}/{doubt.family}": doubt.missing for doubt in doubts}
        for doubt in doubts:
            if self._told.get(f"{doubt.client}/{doubt.family}") != doubt.missing:
                self._log.warning(
                    "discovery_suspicious",
                    client=doubt.client,
                    family=doubt.family,
                    missing=doubt.missing,
                    known=doubt.known,
                )
        self._told = told
        missing = [
            f"discovery: {doubt.missing} of {doubt.known} topics of {doubt.family} are missing "
            f"from the list of OAuth client {doubt.client}; they are kept until it says so again"
            for doubt in doubts
            if doubt.much
        ]
        absent = [
            f"Genesys does not offer {template}: {reason}"
            for template, reason in self._unavailable.items()
        ]
        self.reasons = (
            *self._failing(),
            *self._unlisted(),
            *missing,
            *absent,
            *self._useless(),
            *self._nothing(),
            *self._left(),
        )
        self.barren = barren
        self.notes = tuple(
            f"{count} {_counted(family, count)} seen by OAuth client {client} alone"
            for (client, family), count in sorted(alone.items())
        )

    @property
    def gone(self) -> int:
        """The number of mirrored topics that disappeared within the last hour."""
        return len(self._gone)

    def _note_gone(self, before: frozenset[str], now: frozenset[str]) -> None:
        for topic in self._gone.keys() & now:
            del self._gone[topic]
        gone = sorted(before - now)
        self._gone |= dict.fromkeys(gone, self._clock())
        if gone:
            named = [self._naming.described(topic) for topic in gone[:MOST_NAMED]]
            self._log.warning("topics_gone", count=len(gone), topics=named)

    def _left(self) -> list[str]:
        """Mirrored topics that disappeared, one line for each family."""
        earliest = self._clock() - GONE_SECONDS
        self._gone = {topic: at for topic, at in self._gone.items() if at > earliest}
        families: dict[str, list[str]] = {}
        for topic in self._gone:
            families.setdefault(family_of(topic), []).append(topic)
        lines = []
        for family, topics in sorted(families.items()):
            named = ", ".join(map(self._naming.described, sorted(topics)[:MOST_NAMED]))
            named += " …" * (len(topics) > MOST_NAMED)
            filtered = f", or renamed so that MIRROR_{family.upper()} selects them no more"
            lines.append(
                f"{len(topics)} of {family} that were mirrored went in the last hour "
                f"({named}): deleted, out of the role's divisions{filtered}"
            )
        return lines

    def _failing(self) -> list[str]:
        """Lists that fail; one line for all clients with the same error."""
        lines: dict[tuple[str, str], list[str]] = {}
        for listing in self._lists:
            if listing.error:
                lines.setdefault((listing.family, listing.error), []).append(listing.client.id)
        return [
            f"discovery: {family} cannot be listed by OAuth client {', '.join(clients)}: {error}"
            for (family, error), clients in lines.items()
        ] + [
            f"discovery: {listing.left_out} of {listing.family} cannot be read in the list of "
            f"OAuth client {listing.client.id}, and are not mirrored unless they were before"
            for listing in self._lists
            if listing.left_out
        ]

    def _unlisted(self) -> list[str]:
        """Families of which nothing is mirrored yet, because they are being listed."""
        return [
            f"discovery: {family} are still being listed, and none of them is mirrored yet"
            for family in self._sight.left_out()
        ]

    def _useless(self) -> list[str]:
        """Entries of filters that match nothing, if every client's list was read as a whole."""
        lines = []
        for family, name in (("queues", "MIRROR_QUEUES"), ("users", "MIRROR_USERS")):
            lists = [listing for listing in self._lists if listing.family == family]
            known = [
                listing.unmatched
                for listing in lists
                if listing.unmatched is not None and not listing.left_out
            ]
            if known and len(known) == len(lists):
                lines += [
                    f"{name}: {pattern!r} matches no {_ONE[family]}"
                    for pattern in sorted(frozenset.intersection(*known))
                ]
        return lines

    def _nothing(self) -> list[str]:
        """Families without any entity in any client's list."""
        seen: dict[str, list[int | None]] = {}
        for listing in self._lists:
            seen.setdefault(listing.family, []).append(listing.seen)
        return [
            f"no {_ONE[family]} is visible: grant the role in the divisions that have them"
            for family, counts in seen.items()
            if not any(count is None or count for count in counts)
        ]

    def _check_templates(self) -> None:
        """Learn the permissions of topics, and which topics this org lacks; they are tried anyway.

        Asked until nothing is missing: an org may get a topic, and an empty list may be the answer
        of a Genesys in trouble.
        """
        for client in self._clients:
            self._watch()
            try:
                available = client.available_topics()
            except GenesysError as error:
                self._log.warning("topics_not_listed", client=client.id, error=error)
                continue
            missing = unavailable(self._settings, available)
            for template, reason in missing.items():
                if self._unavailable.get(template) != reason:
                    self._log.warning("topic_unavailable", topic=template, reason=reason)
            self._unavailable = missing
            self.permissions = {
                topic.id.lower(): ", ".join(topic.requires_permissions or ()) for topic in available
            }
            self._checked = not missing
            pause = self._settings.discovery_interval if available else RETRY_SECONDS
            self._check_due = self._clock() + pause
            return
        self._check_due = self._clock() + RETRY_SECONDS


def _counted(family: str, count: int) -> str:
    return f"{family} are" if count != 1 else f"{_ONE[family]} is"
