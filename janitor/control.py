"""The control question: does Genesys know any conversation at all?

A gateway, a wrong host or a wrong organisation knows none, and answers so to every question. So
"nothing" is believed at once only of a Genesys that knows some other conversation.
"""

from __future__ import annotations

from typing import Final

from janitor.genesys import Genesys
from mirror.conversation.times import show_ms

# Without a filter a details query takes an interval of at most a week.
CONTROL_MS: Final = 7 * 24 * 3_600_000 - 60_000


def any_conversation(genesys: Genesys, now_ms: int) -> str | None:
    """The id of a conversation that analytics lists, of the last week; None if it lists none.

    Raises `GenesysError`.
    """
    page = genesys.query_details(
        {
            "interval": f"{show_ms(now_ms - CONTROL_MS)}/{show_ms(now_ms)}",
            "order": "desc",
            "orderBy": "conversationStart",
            "paging": {"pageSize": 1, "pageNumber": 1},
        }
    )
    listed = page.conversations or ()
    return next((conversation.conversation_id for conversation in listed), None)
