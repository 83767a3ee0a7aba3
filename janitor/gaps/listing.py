"""Asks analytics a question, page by page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from janitor.gaps.plan import MAX_HITS, PAGE_SIZE, Question
from janitor.gaps.unread import REPEATED, TOO_MANY, Unread
from janitor.genesys import Genesys
from mirror.genesys.shapes import AnalyticsConversation

MAX_PAGES: Final = MAX_HITS // PAGE_SIZE


def pages(
    genesys: Genesys, question: Question, unread: Unread, before_call: Callable[[], None]
) -> Iterator[list[AnalyticsConversation]]:
    """The results of a question, page by page, until a page has nothing new.

    A question with too many results is asked in parts. `unread` learns what is not listed.
    """
    listed: set[str] = set()
    name = question.predicates[0][1]
    for number in range(1, MAX_PAGES + 1):
        before_call()
        answer = genesys.query_details(question.page(number))
        if number == 1 and answer.total_hits >= MAX_HITS and (parts := question.parts()):
            for part in parts:
                yield from pages(genesys, part, unread, before_call)
            return
        before = len(listed)
        listed.update(conversation.conversation_id for conversation in answer.conversations)
        if answer.conversations and len(listed) == before:
            if len(listed) < answer.total_hits or not answer.total_hits:
                unread.note(
                    REPEATED,
                    f"analytics repeats pages of {name}: page {number} has nothing new after "
                    f"{len(listed):,} of {answer.total_hits:,} conversations; check "
                    "GENESYS_API_URL and any gateway",
                )
            return
        if answer.conversations:
            yield answer.conversations
        if not question.goes_on(answer.conversations):
            return
    unread.note(
        TOO_MANY, f"one day of {name} has more conversations than analytics lists ({MAX_HITS:,})"
    )
