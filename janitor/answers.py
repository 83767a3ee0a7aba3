"""Judges Genesys' answer about one conversation.

An answer counts only if it is Genesys' own and about the requested conversation. A cache or gateway
may answer with another conversation's body, or with its own error page: that says nothing.

    given       the conversation, with the requested id
    refused     403, with a code of Genesys': the role lacks a right or a division
    forgotten   404, with a code of Genesys': purged, never there, or too young to be known yet
    strange     anything but Genesys' JSON about this conversation
    failed      no answer, a time-out, 5xx
"""

from __future__ import annotations

import re
from typing import Any, Final, Literal, Protocol

import msgspec

from mirror.base.errors import GenesysError, GenesysRateLimited

Kind = Literal["given", "refused", "forgotten", "strange", "failed"]

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_UNAUTHORISED: Final = 401


class Rest(Protocol):
    """The REST call that `ask` needs."""

    def conversation(self, conversation_id: str) -> bytes:
        """The raw body of a conversation. Raises `GenesysError`."""


class Answer(msgspec.Struct, frozen=True):
    """A judged answer. `raw` is the body if given, else `reason` is one line with the reason."""

    kind: Kind
    raw: bytes = b""
    reason: str = ""


class _Asked(msgspec.Struct):
    id: Any = None


_asked = msgspec.json.Decoder(_Asked)
_NO_CONVERSATION: Final = Answer(
    "strange", reason="the answer is not Genesys' JSON of a conversation"
)
# How a conversation begins that cannot be decoded. In Genesys' bodies the id comes first.
_ID: Final = re.compile(rb'^\s*\{[^{\[]*?"id"\s*:\s*"([^"\\]*)"')
_HEAD_BYTES: Final = 1024


def ask(genesys: Rest, conversation_id: str) -> Answer:
    """`GET /api/v2/conversations/{id}`, judged.

    Raises `GenesysError` if no call can be made at all: no budget, no token.
    """
    try:
        raw = genesys.conversation(conversation_id)
    except GenesysRateLimited:
        raise
    except GenesysError as error:
        if error.status == _UNAUTHORISED:
            raise
        return Answer(_refusal(error), reason=str(error))
    return judge(raw, conversation_id)


def judge(raw: bytes, conversation_id: str) -> Answer:
    """Judge a body of status 200: it is this conversation, or strange."""
    try:
        shown = _asked.decode(raw).id
    except msgspec.ValidationError:
        return _NO_CONVERSATION
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The normaliser salvages a partly wrong body. A body without the id is not Genesys'.
        found = _ID.search(raw[:_HEAD_BYTES])
        if found is None:
            return _NO_CONVERSATION
        shown = found[1].decode(errors="replace")
    if shown == conversation_id:
        return Answer("given", raw)
    if isinstance(shown, str):
        return Answer("strange", reason="the answer is another conversation's")
    return _NO_CONVERSATION


def _refusal(error: GenesysError) -> Kind:
    if error.status in {_NOT_FOUND, _FORBIDDEN} and not error.code:
        return "strange"
    if error.status == _NOT_FOUND:
        return "forgotten"
    return "refused" if error.status == _FORBIDDEN else "failed"
