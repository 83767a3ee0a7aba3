"""Lists the conversations of a question (`janitor.gaps.plan`) page by page, and says what it lacks.

A list is whole if it has as many conversations as the lowest count of its pages: conversations
begin and end while the pages are read, which changes the count. A list is not whole if it repeats
pages, if it ends before that count, or if analytics refuses it or fails. Then its gap stays open.

Analytics may answer `{}` if it finds nothing; but so may a gateway in its place. It is a guess that
analytics always counts (docs/protocol.md, "Open questions"). So `{}` is believed only after
analytics has answered it for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from janitor.gaps.plan import MAX_HITS, PAGE_SIZE, Question
from janitor.gaps.unread import INCOMPLETE, REPEATED, TOO_MANY, Unread
from janitor.genesys import Genesys
from janitor.oddity import Oddity, refuses_request
from mirror.base.errors import GenesysError
from mirror.genesys.shapes import AnalyticsConversation, AnalyticsPage

MAX_PAGES: Final = MAX_HITS // PAGE_SIZE
# Refused lists may be due to odd topics. After this many without an answer, analytics refuses all.
MOST_REFUSED: Final = 3


class Listing:
    """The lists of one reading.

    `call` is called before each request; `unread` learns which lists are not whole, and why.
    """

    def __init__(
        self,
        call: Callable[[], None],
        unread: Unread,
        *,
        believes_silence: bool,
    ) -> None:
        self._call = call
        self._unread = unread
        self._believes_silence = believes_silence
        self._oddity = Oddity()
        self._refusals: list[GenesysError] = []
        self._has_answered = False

    def pages(self, genesys: Genesys, question: Question) -> Iterator[list[AnalyticsConversation]]:
        """The results of a question to `genesys`, until a page has nothing new.

        Raises `GenesysError` if analytics cannot be asked, or refuses everything.
        """
        listed: set[str] = set()
        counted = 0  # no page has counted
        left_out = 0
        name = question.predicates[0][1]
        for number in range(1, MAX_PAGES + 1):
            answer, parts = self._ask(genesys, question, number)
            for part in parts:
                yield from self.pages(genesys, part)
            if answer is None:
                return
            page, hits = answer.conversations or [], answer.total_hits or 0
            left_out += answer.left_out
            if answer.left_out:
                line = f"analytics lists conversations of {name} without an id that can be read"
                self._unread.note(INCOMPLETE, line)
            if hits > 0:
                counted = min(counted or hits, hits)
            before = len(listed)
            listed.update(conversation.conversation_id for conversation in page)
            if len(listed) == before and (page or not answer.left_out):
                after = f"page {number} has nothing new after {len(listed):,} of {counted:,}"
                if number == 1 and answer.says_nothing:
                    self._note_silence(name)
                elif len(listed) + left_out < counted or (page and not counted):
                    self._note_early_end(name, after, repeats=bool(page))
                return
            yield page
            is_short = len(page) + answer.left_out < PAGE_SIZE
            if page and not question.goes_on(page):
                return
            if is_short and len(listed) + left_out >= counted:
                return
        line = f"one day of {name} has more conversations than analytics lists ({MAX_HITS:,})"
        self._unread.note(TOO_MANY, line)

    def end(self) -> None:
        """Raise the last `GenesysError` if Genesys itself failed at everything: it is away."""
        if self._has_answered or any(map(refuses_request, self._refusals)):
            return
        if self._refusals:
            raise self._refusals[-1]

    def _ask(
        self, genesys: Genesys, question: Question, number: int
    ) -> tuple[AnalyticsPage | None, tuple[Question, ...]]:
        """A page; or None, and the parts in which the question must be asked."""
        self._call()
        try:
            answer = genesys.query_details(question.page(number))
        except GenesysError as error:
            if not self._oddity.explains(error):
                raise
            parts = question.by_topics() if number == 1 else ()
            if not parts:
                self._note_refusal(question.predicates[0][1], error)
            return None, parts
        self._oddity.answered()
        self._has_answered = True
        if number == 1 and (answer.total_hits or 0) >= MAX_HITS and (parts := question.parts()):
            return None, parts
        return answer, ()

    def _note_refusal(self, name: str, error: GenesysError) -> None:
        """Note that analytics does not list a single topic, or a later page of several."""
        self._refusals.append(error)
        if len(self._refusals) >= MOST_REFUSED and not self._has_answered:
            raise error
        self._unread.note(INCOMPLETE, f"analytics does not list {name}: {error}")

    def _note_silence(self, name: str) -> None:
        if not self._believes_silence:
            line = f"analytics neither lists nor counts conversations of {name}"
            self._unread.note(INCOMPLETE, line)

    def _note_early_end(self, name: str, after: str, *, repeats: bool) -> None:
        fault = "repeats pages" if repeats else "ends the list"
        line = (
            f"analytics {fault} of {name}: {after} conversations; check GENESYS_API_URL and any "
            "gateway"
        )
        self._unread.note(REPEATED if repeats else INCOMPLETE, line)
