"""The gap ledger: intervals in which topics were not covered, and how far each one is filled.

A gap is filed by the leader (nobody covered a shard, or its topics are new) or by hand (`mirror
backfill`), and filled by janitors. `gap:<id>` holds the gap as JSON and is written whole by whoever
holds its lease; `gaps` is a sorted set of gap id → Redis time at which a janitor may next claim it.
One rule files both (`lua/file_gap.lua`). Claiming moves the score forward by the lease, so that a
janitor that dies gives the gap back. A gap that is done (`filled`, `unfillable`) has the score
`+inf` and its document expires after `KEPT_SECONDS`.

While no channel receives a shard, its gap has no end yet: the leader shows it as an `OngoingGap`,
and files the gap when a channel receives again.

A gap counts as filled after its second reading: analytics lags, so the first reading may miss the
last minutes (docs/protocol.md, "Analytics"). A reading counts only if all conversations of the gap
could be read. Otherwise the gap stays open, has the reasons in `errors`, and is tried again. A gap
that fails for a day becomes `unfillable`.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any, Final, Literal

import msgspec
import redis

from mirror.conversation.times import show_ms
from mirror.redis.connect import explained
from mirror.redis.documents import readable
from mirror.redis.keys import Keys
from mirror.redis.scripts import script

GapState = Literal["open", "filling", "filled", "unfillable"]
GapKind = Literal["gap", "snapshot", "recall"]
ShownKind = Literal["gap", "snapshot", "recall", "hand"]

KEPT_SECONDS: Final = 7 * 24 * 3600
READINGS: Final = 2
BY_HAND: Final = "hand"
_DONE: Final = frozenset({"filled", "unfillable"})
_CHUNK: Final = 500


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """One interval without cover.

    `topics` are notification topics (`v2.routing.queues.{id}.conversations`, …). Times are epoch
    milliseconds: `from_ms` is the last frame before the gap, `to_ms` the first frame after it. The
    kind `gap` asks for all conversations that were live in the interval, `snapshot` for those that
    began in it and still go on, `recall` for the same except those the tracker knows. `found` and
    `read` count the conversations of the reading in progress, `unread` those that could not be
    read, for the reasons in `errors`. `events` counts the events produced for this gap, `readings`
    its complete readings. `failing_since_ms` is when the first try failed, by Redis' clock (0:
    never). `calls` are the REST calls made for it, `least_calls` the fewest that were necessary.
    """

    id: str
    shard: str
    topics: tuple[str, ...]
    from_ms: int
    to_ms: int
    kind: GapKind = "gap"
    state: GapState = "open"
    attempts: int = 0
    events: int = 0
    found: int = 0
    read: int = 0
    readings: int = 0
    filed_by: str = "leader"
    errors: tuple[str, ...] = ()
    unread: int = 0
    failing_since_ms: int = 0
    calls: int = 0
    least_calls: int = 0

    @property
    def done(self) -> bool:
        """Whether no work is left on the gap."""
        return self.state in _DONE

    @property
    def shown_kind(self) -> ShownKind:
        """Why it is in the ledger. A gap that `mirror backfill` filed is of the kind `hand`: its
        topics may have been covered."""
        return "hand" if self.filed_by == BY_HAND else self.kind


class OngoingGap(msgspec.Struct, frozen=True):
    """A shard of `topics` topics that no channel receives, since `from_ms` (epoch ms).

    `fresh`: no channel ever received it, and `from_ms` is the beginning of its snapshot gap.
    """

    shard: str
    from_ms: int
    topics: int
    fresh: bool = False


class GapView(msgspec.Struct, frozen=True, rename={"from_time": "from"}):
    """A gap as `mirror gaps --json` and the dashboard show it: `topics` is a count, times are RFC
    3339. `lasts`: its shard is still without cover, and `to` is now."""

    id: str
    shard: str
    kind: ShownKind
    topics: int
    from_time: str
    to: str
    state: GapState
    attempts: int
    events: int
    errors: tuple[str, ...] = ()
    lasts: bool = False

    @property
    def done(self) -> bool:
        """Whether no work is left on the gap."""
        return self.state in _DONE


encode = msgspec.json.encode
decode = msgspec.json.Decoder(Gap).decode
_ongoing_gap = msgspec.json.Decoder(OngoingGap).decode


def new_id() -> str:
    """A new gap id; ids sort by time of filing."""
    return f"{round(time.time()):x}-{uuid.uuid4().hex[:6]}"


def file_gap(client: redis.Redis, keys: Keys, gap: Gap) -> bool:
    """File a gap; False if the ledger has its id already. Raises `RedisUnavailable`.

    After a failure, file it again under the same id: that completes what is missing.
    """
    filing = script(client, "file_gap", "mirror.fleet")
    return bool(filing([keys.gaps, keys.gap(gap.id)], [gap.id, encode(gap)]))


def list_gaps(client: redis.Redis, keys: Keys, foreign: list[str] | None = None) -> list[Gap]:
    """All gaps of the ledger, the earliest first. Raises `RedisUnavailable`.

    `foreign` as for `mirror.redis.documents.readable`.
    """
    with explained():
        ids: Any = sorted(client.zrange(keys.gaps, 0, -1))
        gaps: list[Gap] = []
        for start in range(0, len(ids), _CHUNK):
            names = [keys.gap(gap_id) for gap_id in ids[start : start + _CHUNK]]
            texts: Any = client.mget(names)
            found = (readable(decode, *item, foreign) for item in zip(texts, names, strict=True))
            gaps += [gap for gap in found if gap is not None]
    return sorted(gaps, key=lambda gap: (gap.from_ms, gap.id))


def list_ongoing_gaps(
    client: redis.Redis, keys: Keys, foreign: list[str] | None = None
) -> list[OngoingGap]:
    """The shards without cover now, the longest uncovered first. Raises `RedisUnavailable`.

    `foreign` as above.
    """
    with explained():
        texts: Any = client.hvals(keys.uncovered)
    found = (readable(_ongoing_gap, text, keys.uncovered, foreign) for text in texts)
    uncovered = [ongoing for ongoing in found if ongoing is not None]
    return sorted(uncovered, key=lambda ongoing: (ongoing.from_ms, ongoing.shard))


def show_gaps(client: redis.Redis, keys: Keys, now_ms: int) -> list[GapView]:
    """All gaps: those of the ledger, the earliest first, then the ongoing ones. `now_ms` is Redis'
    time. Raises `RedisUnavailable`."""
    shown = [view(gap) for gap in list_gaps(client, keys)]
    return shown + [view_ongoing(ongoing, now_ms) for ongoing in list_ongoing_gaps(client, keys)]


def view_ongoing(ongoing: OngoingGap, now_ms: int) -> GapView:
    """The view of an ongoing gap: an open gap that lasts until now."""
    return GapView(
        id=f"lasting-{ongoing.shard}",
        shard=ongoing.shard,
        kind="snapshot" if ongoing.fresh else "gap",
        topics=ongoing.topics,
        from_time=show_ms(ongoing.from_ms),
        to=show_ms(now_ms),
        state="open",
        attempts=0,
        events=0,
        lasts=True,
    )


def count_gaps(gaps: Sequence[Gap]) -> tuple[int, int, int]:
    """The numbers of open gaps, of filled gaps, and of open gaps that were filed by hand. The first
    number leaves out the last, because nothing was lost in these."""
    by_hand = sum(not gap.done and gap.shown_kind == "hand" for gap in gaps)
    return (
        sum(not gap.done for gap in gaps) - by_hand,
        sum(gap.state == "filled" for gap in gaps),
        by_hand,
    )


def reasons(gaps: Sequence[Gap]) -> list[str]:
    """Why tried gaps are not filled, one line for all gaps that share a reason."""
    problem: dict[tuple[bool, str], list[str]] = {}
    for gap in gaps:
        if gap.state != "filled" and gap.errors:
            reason = (gap.state == "unfillable", "; ".join(gap.errors))
            problem.setdefault(reason, []).append(gap.id)
    return [
        f"{'gap' if len(ids) == 1 else f'{len(ids)} gaps, such as'} {ids[0]}"
        f"{', cannot be filled' if given_up else ', could not be read to the end yet'}: {reason}"
        for (given_up, reason), ids in problem.items()
    ]


def late(gaps: Sequence[Gap], before_ms: int) -> list[str]:
    """The reason if gaps that ended `before_ms` are still not filled, and none says why."""
    found = [
        gap
        for gap in gaps
        if not (gap.done or gap.errors or gap.filed_by == BY_HAND) and gap.to_ms < before_ms
    ]
    if not found:
        return []
    first, number = found[0], len(found)
    which = f"{number} gaps, such as {first.id}, are" if number > 1 else f"gap {first.id} is"
    read = f"{first.read} of {first.found} conversations of {first.id} are read"
    return [
        f"{which} not filled, over an hour after the end ({read}); see the logs of the janitors"
    ]


def view(gap: Gap) -> GapView:
    """The gap in the form that commands and `--json` show."""
    return GapView(
        id=gap.id,
        shard=gap.shard,
        kind=gap.shown_kind,
        topics=len(gap.topics),
        from_time=show_ms(gap.from_ms),
        to=show_ms(gap.to_ms),
        state=gap.state,
        attempts=gap.attempts,
        events=gap.events,
        errors=gap.errors,
    )
