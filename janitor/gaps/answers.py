"""What Genesys' answer about one conversation is worth.

An answer counts where it is Genesys' own and about what was asked. A cache or gateway may answer
with another conversation's body, or with an error page of its own: that is no word on this one.

    given       the conversation, with the id that was asked for
    refused     403, with a code of Genesys': the role lacks a right or a division
    forgotten   404, with a code of Genesys': purged, never there, or too young to be known yet
    strange     something else than Genesys' JSON about this conversation
    failed      no answer, a time-out, 5xx
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

import msgspec

from mirror.base.errors import GenesysError, GenesysRateLimited

Kind = Literal["given", "refused", "forgotten", "strange", "failed"]

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_UNAUTHORISED: Final = 401


class Rest(Protocol):
    """The one reading of REST that is needed."""

    def conversation(self, conversation_id: str) -> bytes: ...


class Answer(msgspec.Struct, frozen=True):
    """What came. `raw` is the body of what was given; `why` one line that says why it was not."""

    kind: Kind
    raw: bytes = b""
    why: str = ""


class _Asked(msgspec.Struct):
    id: str


_asked = msgspec.json.Decoder(_Asked)


def ask(genesys: Rest, conversation_id: str) -> Answer:
    """`GET /api/v2/conversations/{id}`, judged.

    Raises `GenesysError` where nothing can be asked at all: no budget, no token.
    """
    try:
        raw = genesys.conversation(conversation_id)
    except GenesysRateLimited:
        raise
    except GenesysError as error:
        if error.status == _UNAUTHORISED:
            raise
        return Answer(_refusal(error), why=str(error))
    return judge(raw, conversation_id)


def judge(raw: bytes, conversation_id: str) -> Answer:
    """A body of status 200: of this conversation, or strange."""
    try:
        shown = _asked.decode(raw).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # What is wrong in part is the normaliser's to salvage; what lacks the id is not Genesys'.
        if raw.lstrip()[:1] == b"{" and conversation_id.encode() in raw[:256]:
            return Answer("given", raw)
        return Answer("strange", why="the answer is not Genesys' JSON of a conversation")
    if shown != conversation_id:
        return Answer("strange", why="the answer is another conversation's")
    return Answer("given", raw)


def _refusal(error: GenesysError) -> Kind:
    if error.status in {_NOT_FOUND, _FORBIDDEN} and not error.code:
        return "strange"
    if error.status == _NOT_FOUND:
        return "forgotten"
    return "refused" if error.status == _FORBIDDEN else "failed"
