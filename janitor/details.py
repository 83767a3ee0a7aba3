"""Asks analytics about up to a hundred conversations, though an odd one may be among them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from janitor.genesys import Genesys
from janitor.oddity import Oddity
from mirror.base.errors import GenesysError
from mirror.genesys.shapes import AnalyticsConversation

# Requests for the details of a hundred conversations: enough to find four odd ones.
MOST_HALVES: Final = 64
# Failures of Genesys' own (500) take some seconds each: enough of them to find an odd conversation,
# and few enough for the lease of its batch.
MOST_FAILED: Final = 12
_UNREAD: Final = "analytics' answer is missing or cannot be read"


class Details(msgspec.Struct):
    """Analytics' answers by conversation id, without unknown ones.

    `refused` are those that analytics cannot be asked about, with the reason: for what it says
    about them, only REST counts.
    """

    shown: dict[str, AnalyticsConversation] = {}
    refused: dict[str, str] = {}


def ask_details(
    genesys: Genesys, ids: Sequence[str], call: Callable[[], None], until: float = math.inf
) -> Details:
    """Analytics of up to 100 conversations; `call` is called before each request.

    One odd id can make Genesys refuse all, or fail. Then each request has half of the ids, until
    the odd one is found. There are at most `MOST_HALVES` requests, and none begins after `until`
    (of the monotonic clock). Raises `GenesysError` if Genesys cannot be asked, or if the time is
    up.
    """
    found, oddity = Details(), Oddity()
    failed: GenesysError | None = None
    groups, calls = [list(ids)], 0
    while groups:
        if failed is not None and time.monotonic() > until:
            raise failed
        group = groups.pop()
        calls += 1
        call()
        try:
            answer = genesys.details(group)
        except GenesysError as error:
            if not oddity.explains(error):
                raise
            failed = error
            if len(group) == 1 or calls >= MOST_HALVES or oddity.failed >= MOST_FAILED:
                found.refused.update(dict.fromkeys(group, str(error)))
            else:
                half = len(group) // 2
                groups += [group[half:], group[:half]]
            continue
        oddity.answered()
        for shown in answer:
            if shown.is_unread:
                found.refused[shown.conversation_id] = _UNREAD
            elif shown.conversation_id in group:
                found.shown[shown.conversation_id] = shown
    return found
