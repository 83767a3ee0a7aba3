"""Reads a listing of Genesys to its end, and makes sure that there is an end.

A listing is used whole or not at all. It fails if a page has nothing new, if there is far more than
the first page announced or more than `MAX_ENTITIES`, or if it takes longer than `LISTING_SECONDS`.
Otherwise a gateway that answers each page with the first, or always names a next page, would use up
the request budget that channels need. It also fails if a page is empty although `pageCount`,
`nextUri` or `total` name more: then topics that exist would be dropped. Whether `total` counts
entities that the role may not see is open, so a last page that is not full is believed.

A page may hold up to `LARGE_PAGE` entities. Genesys does not document the largest page of users, so
after a 400 to the first page the listing asks for `SAFE_PAGE`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import msgspec

from mirror.base.errors import GenesysError
from mirror.base.thread_watch import ReportProgress, unwatched
from mirror.genesys.shapes import Entity, EntityPage

LARGE_PAGE: Final = 500
SAFE_PAGE: Final = 100
# As many as the channels of twenty OAuth clients carry, with one replica.
MAX_ENTITIES: Final = 400_000
LISTING_SECONDS: Final = 300.0
# Entities may be made while they are listed.
SLACK: Final = 1_000
_BAD_REQUEST: Final = 400

PageOf = Callable[[int, int], EntityPage]


class Listing(msgspec.Struct, frozen=True):
    """A whole listing. `left_out` counts the entities that cannot be read."""

    entities: list[Entity]
    left_out: int = 0


def read_listing(
    page_of: PageOf,
    name: str,
    *,
    report_progress: ReportProgress = unwatched,
    clock: Callable[[], float] = time.monotonic,
) -> Listing:
    """Every entity, each once. `page_of(number, size)` reads a page; `name` names it in errors.

    Raises `GenesysError` if a page fails or the listing does not end.
    """
    found: dict[str, Entity] = {}
    left_out = 0
    deadline = clock() + LISTING_SECONDS
    most = MAX_ENTITIES
    total = 0  # the lowest that a page names: entities may be deleted while they are listed
    size, page = LARGE_PAGE, 1
    while True:
        report_progress()
        try:
            listing = page_of(page, size)
        except GenesysError as error:
            if error.status != _BAD_REQUEST or size == SAFE_PAGE or page > 1:
                raise
            size = SAFE_PAGE
            continue
        if page == 1 and listing.total:
            most = min(most, listing.total + SLACK)
        if listing.total > 0:
            total = min(total or listing.total, listing.total)
        before = len(found)
        for entity in listing.entities:
            found.setdefault(entity.id, entity)
        left_out += listing.left_out
        shown = len(listing.entities) + listing.left_out
        is_short, is_empty = shown < size, not shown
        names_next = page < listing.page_count or bool(listing.next_uri)
        if not names_next and (len(found) + left_out >= total or (is_short and not is_empty)):
            return Listing(list(found.values()), left_out)
        if is_empty:
            raise GenesysError(
                f"the listing of {name} ends early: page {page} is empty after {len(found)} of "
                f"{total}; it is not believed, check GENESYS_API_URL and any gateway"
            )
        if len(found) == before and listing.entities:
            raise GenesysError(
                f"the listing of {name} repeats: page {page} has nothing that an earlier page had "
                "not; it is not believed, check GENESYS_API_URL and any gateway"
            )
        if len(found) + left_out > most or clock() > deadline:
            raise GenesysError(
                f"the listing of {name} does not end: {len(found)} on {page} pages, and Genesys "
                "names a next one; it is not believed, check GENESYS_API_URL and any gateway"
            )
        page += 1
