"""A listing ends, or fails; it is never read for ever, and never believed in part."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mirror.base.errors import GenesysError
from mirror.genesys.filters import matching, unmatched
from mirror.genesys.listing import LARGE_PAGE, LISTING_SECONDS, SAFE_PAGE, SLACK, read_listing
from mirror.genesys.shapes import Entity, EntityPage


class Pages:
    """A listing of `count` entities, from which odd ones are made."""

    def __init__(self, count: int, largest: int = LARGE_PAGE) -> None:
        self.count, self.largest = count, largest
        self.calls = 0

    def __call__(self, page: int, size: int) -> EntityPage:
        self.calls += 1
        if size > self.largest:
            raise GenesysError("too large", status=400)
        ids = range(self.count)[(page - 1) * size : page * size]
        pages = -(-self.count // size)
        return EntityPage(
            entities=[Entity(id=str(id_)) for id_ in ids],
            page_count=pages,
            total=self.count,
            next_uri="next" if page < pages else "",
        )


@pytest.mark.parametrize("largest", [LARGE_PAGE, SAFE_PAGE])
@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1203])
def test_every_entity_is_read_once(count: int, largest: int) -> None:
    """Whatever the largest page that Genesys allows."""
    found = read_listing(Pages(count, largest), "queues").entities
    assert [entity.id for entity in found] == [str(number) for number in range(count)]


def test_entities_that_cannot_be_read_are_counted() -> None:
    """They are in the total, and a page of them is no end and no repeat."""

    def page_of(page: int, _size: int) -> EntityPage:
        names = {2: [], 1: [Entity("a")], 3: [Entity("b")]}[page]
        return EntityPage(names, page_count=3, total=502, left_out=500 - 500 * (page == 3))

    listed = read_listing(page_of, "queues")
    assert [entity.id for entity in listed.entities] == ["a", "b"]
    assert listed.left_out == 1000


def test_a_listing_that_repeats_fails() -> None:
    """Each page is the first one, and names a next one."""
    calls = []

    def page_of(page: int, _size: int) -> EntityPage:
        calls.append(page)
        return EntityPage(entities=[Entity(id="a")], page_count=1, total=1, next_uri="next")

    with pytest.raises(GenesysError, match="listing of queues repeats: page 2"):
        read_listing(page_of, "queues")
    assert len(calls) == 2


def test_a_listing_that_goes_on_beyond_what_it_announced_fails() -> None:
    """Always new ids, always a next page: a few pages after the announced total."""
    calls = []

    def page_of(page: int, size: int) -> EntityPage:
        calls.append(page)
        ids = range((page - 1) * size, page * size)
        return EntityPage(
            entities=[Entity(id=str(id_)) for id_ in ids], page_count=1, total=500, next_uri="next"
        )

    with pytest.raises(GenesysError, match="listing of users does not end"):
        read_listing(page_of, "users")
    assert len(calls) * LARGE_PAGE <= 500 + SLACK + LARGE_PAGE


def test_a_listing_that_takes_for_ever_fails() -> None:
    """Slow pages that announce nothing."""
    now = [0.0]

    def page_of(page: int, _size: int) -> EntityPage:
        now[0] += 60.0
        return EntityPage(entities=[Entity(id=str(page))], page_count=1, next_uri="next")

    with pytest.raises(GenesysError, match="does not end"):
        read_listing(page_of, "users", clock=lambda: now[0])
    assert now[0] <= LISTING_SECONDS + 60.0


@pytest.mark.parametrize("empty", [1, 2, 3])
@pytest.mark.parametrize(
    "names",
    [{"page_count": 3}, {"next_uri": "next"}, {"total": 1200}],
    ids=["page count", "next page", "total"],
)
def test_an_empty_page_while_more_is_named_fails(empty: int, names: dict[str, Any]) -> None:
    """A gateway's empty page is not the end; two thirds of the queues would be dropped."""
    pages = Pages(1200)

    def page_of(page: int, size: int) -> EntityPage:
        if page < empty:
            return pages(page, size)
        return EntityPage(entities=[], **names)

    if empty == 3 and names == {"page_count": 3}:
        names = {"page_count": 4}
    with pytest.raises(GenesysError, match=f"ends early: page {empty} is empty"):
        read_listing(page_of, "queues")


def test_a_full_page_is_not_the_last_while_more_is_counted() -> None:
    """Whatever the page count says."""
    pages = Pages(1200)

    def page_of(page: int, size: int) -> EntityPage:
        found = pages(page, size)
        return EntityPage(found.entities, page_count=1, total=1200)

    assert len(read_listing(page_of, "queues").entities) == 1200


def test_entities_may_be_deleted_while_they_are_listed() -> None:
    """The last page may have gone with them."""
    pages = Pages(501)

    def page_of(page: int, size: int) -> EntityPage:
        found = pages(page, size)
        pages.count = 500
        return found

    assert len(read_listing(page_of, "queues").entities) == 500


def test_a_total_may_count_what_the_role_may_not_see() -> None:
    """A last page that is not full is believed."""
    pages = Pages(501)

    def page_of(page: int, size: int) -> EntityPage:
        return msgspec.structs.replace(pages(page, size), total=520)

    assert len(read_listing(page_of, "users").entities) == 501


def test_filters_take_ids_and_name_globs() -> None:
    """Case does not matter; an entry that matches nothing is known."""
    entities = [Entity(id="A-1", name="Support North"), Entity(id="A-2", name="Sales")]
    assert matching(entities, ("*",)) == ["A-1", "A-2"]
    assert matching(entities, ("support*", "a-2")) == ["A-1", "A-2"]
    assert matching(entities, ("Sales", "nothing*")) == ["A-2"]
    assert unmatched(entities, ("Sales", "nothing*", "*")) == {"nothing*"}
