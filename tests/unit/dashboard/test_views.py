"""A floor that opens with the projector's conversations is the floor that folded their events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from dashboard.reader.floor import OVER_KEPT_MS, Floor, Known
from dashboard.reader.views import Views, ViewsUnusable, view_of
from mirror.conversation.event import Event
from mirror.kafka.kept import FORMAT, Head
from projector.projection import Draft, Partition
from tests.integration.projector_support import FLOWS, flow
from tests.unit.dashboard.build import NOW_MS, event, leg

GRACE_MS = 86_400_000


def projected(events: Sequence[Event], since_ms: int = 0, batch: int = 3) -> Views:
    """What a projector has written of these, in batches; ended ones since `since_ms`."""
    partition, views = Partition(0, GRACE_MS), Views(since_ms)
    for start in range(0, len(events), batch):
        draft = Draft(partition)
        for offset, change in enumerate(events[start : start + batch], start):
            draft.take(offset, msgspec.json.encode(change), NOW_MS)
        for view in draft.views():
            views.take(0, view.key, view.kept, is_tombstone=view.value is None)
        partition.accept(draft)
    return views


def restored(views: Views) -> Floor:
    """A floor that opened with them."""
    floor = Floor()
    for kept in (kept for part in reversed(views.split(5_000)) for kept in part):
        floor.restore(view_of(kept, NOW_MS), NOW_MS)
    return floor


def shown(known: Known) -> dict[str, Any]:
    """All that a page shows of a conversation."""
    view = msgspec.structs.asdict(known.view)
    view.pop("seen")
    view["legs"] = {
        name: {
            key: content for key, content in msgspec.structs.asdict(leg).items() if key != "since"
        }
        for name, leg in known.view.legs.items()
    }
    return {
        "view": view,
        "place": known.place,
        "doing": known.doing,
        "after": known.after,
        "queue": known.last_queue,
        "first_seen": known.first_seen,
        "marks": sorted(known.marks),
    }


@pytest.mark.parametrize("name", FLOWS)
def test_it_goes_on_where_the_projector_ended(name: str) -> None:
    """Wherever in a conversation a page opens: what follows, told twice and late, is folded as if
    all had been; and what came before gives the conversation its course."""
    events = [*flow(name), *flow(name)[:3]]
    whole = Floor()
    for change in events:
        whole.fold(change, NOW_MS)
    for split in range(1, len(events) + 1):
        views = projected(events[:split])
        floor = restored(views)
        (place,) = views.places({0: (0, len(events))}, len(events)).values()
        assert place <= split
        for change in events[place:]:
            floor.fold(change, NOW_MS)
        for change in events[:place]:
            floor.recall(change, NOW_MS)
        found, wanted = floor.everything(), whole.everything()
        assert [shown(change) for change in found] == [shown(change) for change in wanted], split
        assert {queue: row.counts() for queue, row in floor.queues.items() if row.live} == {
            queue: row.counts() for queue, row in whole.queues.items() if row.live
        }
        assert floor.agent_counts() == whole.agent_counts()


CALL = [event("start"), leg("answer", "customer"), leg("answer", "acd", 5)]
OVER = [leg("disconnect", "acd", 9), leg("disconnect", "customer", 9), event("end", 9)]


def test_repeats_are_known_as_repeats() -> None:
    """The ids of events that the projector counts are known, so that they are not news again."""
    floor = restored(projected(CALL))
    assert [floor.fold(change, NOW_MS) for change in [*CALL, OVER[0]]] == [
        False,
        False,
        False,
        True,
    ]


def test_a_thread_of_many_legs_goes_on() -> None:
    """The projector keeps the latest 256; those that are left are counted anew, and a further leg
    is waiting since it began."""
    many: list[Event] = []
    for number in range(300):
        at, name = float(number), {"participant_id": f"p-{number}"}
        many += [leg("answer", "acd", at, **name), leg("disconnect", "acd", at + 0.5, **name)]
    views = projected([event("start"), *many, leg("answer", "customer", 400)], batch=50)
    floor = restored(views)
    (known,) = floor.conversations()
    assert len(known.first_seen) == len(known.view.legs) == 256
    floor.fold(leg("answer", "acd", 500, participant_id="p-new"), NOW_MS)
    assert known.place == ("waiting", "q1", NOW_MS + 500_000)


def test_what_ended_long_ago_is_left_out_and_known_to_be_over() -> None:
    """The page has no place for it; a tracker that lags behind must not bring it back."""
    views = projected([*CALL, *OVER], since_ms=NOW_MS + 1)
    assert (views.kept, views.ended) == ({}, {hash("c")})
    views = projected([*CALL, *OVER], since_ms=NOW_MS - OVER_KEPT_MS)
    assert [known.view.id for known in restored(views).everything()] == ["c"]
    views.take(0, "c", msgspec.msgpack.encode(Head(FORMAT, 9)), is_tombstone=True)
    assert (views.kept, views.ended) == ({}, {hash("c")})


def test_it_tells_why_it_cannot_be_used() -> None:
    """Nobody wrote, a projector that is far behind, another topic, another version."""
    views = projected(CALL)
    assert views.places({0: (0, 5), 1: (0, 1)}, 3) == {0: 3, 1: 0}
    assert views.places({0: (4, 5)}, 1) == {0: 4}, "what Kafka deleted nobody can read"
    for retained, reason in (
        ({0: (0, 9)}, "6 records behind"),
        ({0: (0, 2)}, "another interaction"),
    ):
        with pytest.raises(ViewsUnusable, match=reason):
            views.places(retained, 3)
    with pytest.raises(ViewsUnusable, match="no projector had written conversations yet"):
        Views(0).places({0: (0, 1)}, 3)
    for kept, reason in (
        (msgspec.msgpack.encode(Head(FORMAT + 1, 1)), "format 2"),
        (b"", "cannot be read"),
        (b"\xff", "cannot be read"),
    ):
        with pytest.raises(ViewsUnusable, match=reason):
            Views(0).take(0, "c", kept, is_tombstone=False)
