"""Masks personal values in the JSON of a dead letter. Pure.

Values that say nothing about a person are kept: ids and times, short words under the names that the
normaliser reads, flags and small numbers. Every other text is masked, also under names that this
version does not know. Everything under a personal name is masked too (`attributes`, `ani`, any name
that ends in `Name`, …). A mask shows neither the kind nor the length of its value. With a key the
mask is the HMAC that events carry for the same value, so that both can be joined.

White space, order and structure stay, so a masked dead letter still shows its fault and can be
parsed again. A value that is not JSON is left alone. A JSON text that was cut off is masked as far
as it goes.
"""

from __future__ import annotations

import codecs
import json
import re
from typing import Final

import msgspec

from mirror.conversation.event import Pii
from mirror.conversation.normaliser.agents import AgentBody, PresenceDefinition, RoutingStatus
from mirror.conversation.normaliser.bodies import (
    AfterCallWork,
    Body,
    Communication,
    Frame,
    Metadata,
    Participant,
    Reference,
    Segment,
    Wrapup,
)
from mirror.conversation.normaliser.personal import Personal

MASK: Final = "***"
# About a tenth of a second of work; the rest of a larger value is cut off.
MOST_TOKENS: Final = 30_000
_LONGEST_NUMBER: Final = 6

_READ: Final = (
    Frame,
    Metadata,
    Body,
    Participant,
    Communication,
    Wrapup,
    AfterCallWork,
    Segment,
    Reference,
    AgentBody,
    PresenceDefinition,
    RoutingStatus,
)
# Words of Genesys that no event uses, kept because they help to understand a frame.
_WORDS: Final = (
    "version",
    "provider",
    "initialState",
    "mediaRoles",
    "monitoringType",
    "recordingState",
    "errorCode",
    "wrapupPrompt",
    "flaggedReason",
    "originatingDirection",
    "authenticated",
)
_NOT_A_WORD: Final = frozenset({"message"})  # of a body it is free text
_KEPT: Final = (
    frozenset(
        field.encode_name
        for kind in _READ
        for field in msgspec.structs.fields(kind)
        if field.type == str | None
    )
    | frozenset(_WORDS)
) - _NOT_A_WORD
_PERSONAL: Final = frozenset({"ani", "dnis", "attributes", "remote", "subject", "notes", "text"})
_PERSONAL_ENDS: Final = (
    "name",
    "names",
    "number",
    "numbers",
    "address",
    "addresses",
    "phone",
    "email",
    "callerid",
)
_NOT_PERSONAL: Final = frozenset({"topicName"})
_CONSULT: Final = "consultInitiator"  # the only attribute that is read with every `MIRROR_PII`
_YES_OR_NO: Final = frozenset({"true", "false"})

_STRING: Final = rb'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"'
_NUMBER: Final = rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9.eE+-])"
_TOKEN: Final = re.compile(
    rb"[ \t\n\r]*(?:(" + _STRING + rb")|([{}\[\],:])|(true|false|null|" + _NUMBER + rb"))"
)
# The beginning of a word or a number, or nothing.
_CUT: Final = re.compile(rb"(?:t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-?(?:[0-9][0-9.eE+-]*)?)")
_SPACE: Final = re.compile(rb"[ \t\n\r]*\Z")
_NAME: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,63}")
_WORD: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_MANY_DIGITS: Final = re.compile(r"[0-9]{7}")
_ID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
)


class Masked(msgspec.Struct, frozen=True):
    """JSON without personal values. `is_whole`: its end was not cut off."""

    value: bytes
    is_whole: bool


class Mask:
    """Makes the text that replaces a personal value."""

    def __init__(self, key: str = "") -> None:
        """`key` is the HMAC key of `hash`; without one every value becomes `***`."""
        self.kind = "hash" if key else "drop"
        self._personal = Personal(key) if key else None

    @classmethod
    def of(cls, pii: Pii, key: str) -> Mask | None:
        """The mask for a value of `MIRROR_PII`, with the key of `hash`; None for `keep`."""
        if pii == "keep":
            return None
        return cls(key if pii == "hash" else "")

    def json(self, value: bytes, most_bytes: int, *, is_cut: bool = False) -> Masked | None:
        """`value` with its personal values masked, up to `most_bytes`; None if it is not JSON.

        `is_cut`: `value` is only the beginning of the original.
        """
        try:
            codecs.getincrementaldecoder("utf-8")().decode(value, final=not is_cut)
        except UnicodeDecodeError:
            return None
        return _Walk(self, value, is_cut).run(most_bytes)

    def text(self, value: str) -> str:
        """The mask of a personal text."""
        return MASK if self._personal is None else self._personal.hidden(value)


class _Walk:
    """One walk through a JSON text, token by token: deep nesting costs no stack."""

    def __init__(self, mask: Mask, value: bytes, is_cut: bool) -> None:
        self._mask = mask
        self._value = value
        self._is_cut = is_cut
        # Of each open object or array: its bracket, the name that it stands under, and whether
        # everything in it is personal.
        self._open: list[tuple[bytes, str, bool]] = []
        self._name = ""
        self._hidden = False

    def run(self, most_bytes: int) -> Masked | None:
        parts: list[bytes] = []
        size = at = tokens = 0
        expected = "value"
        match = _TOKEN.match
        while expected != "end":
            found = match(self._value, at)
            if found is None:
                # The end of the bytes, within a token or between two.
                return Masked(b"".join(parts), False) if self._is_at_end(at) else None
            string, mark, word = found.groups()
            token = string or mark or word
            follows = self._next(expected, token, string is not None, mark is not None)
            if follows is None:
                return None
            if mark is not None:
                shown = token
            elif expected.startswith("value"):
                shown = self._scalar(token, string is not None)
            else:
                shown = self._key(token)
            part = self._value[at : found.end() - len(token)] + shown
            size += len(part)
            tokens += 1
            if size > most_bytes or tokens > MOST_TOKENS:
                return Masked(b"".join(parts), False)
            parts.append(part)
            at, expected = found.end(), follows
        if _SPACE.match(self._value, at) is None:
            return None
        return Masked(b"".join(parts), True)

    def _is_at_end(self, at: int) -> bool:
        """Whether nothing but an unfinished token is left of a text that was cut."""
        if not self._is_cut:
            return False
        rest = self._value[at:].lstrip()
        if rest.startswith(b'"'):
            return b'"' not in rest.replace(b"\\\\", b"").replace(b'\\"', b"")[1:]
        return _CUT.fullmatch(rest) is not None

    def _next(self, expected: str, token: bytes, is_string: bool, is_mark: bool) -> str | None:
        """The kind of token that must follow `token`; None if `token` is not allowed here."""
        if not is_mark:
            if expected in {"value", "value or ]"}:
                return self._after_value()
            return "colon" if is_string and expected in {"key", "key or }"} else None
        if token in b"{[" and expected in {"value", "value or ]"}:
            self._open.append((token, self._name, self._hidden))
            return "key or }" if token == b"{" else "value or ]"
        if token == b":" and expected == "colon":
            return "value"
        if token == b"," and expected == "comma":
            return "key" if self._open[-1][0] == b"{" else "value"
        if token in b"}]" and expected in {"comma", "key or }", "value or ]"}:
            bracket = self._open[-1][0]
            opened = b"{" if token == b"}" else b"["
            if bracket != opened or (expected == "key or }" and token == b"]"):
                return None
            _, self._name, self._hidden = self._open.pop()
            return self._after_value()
        return None

    def _after_value(self) -> str:
        if not self._open:
            return "end"
        return "comma"

    def _key(self, token: bytes) -> bytes:
        name = _text(token)
        self._name = name
        self._hidden = (self._open[-1][2] if self._open else False) or _is_personal(name)
        if _NAME.fullmatch(name) is not None and _MANY_DIGITS.search(name) is None:
            return token
        return f'"{MASK}"'.encode()

    def _scalar(self, token: bytes, is_string: bool) -> bytes:
        if token == b"null":
            return token
        text = _text(token) if is_string else token.decode()
        if self._name == _CONSULT and text in _YES_OR_NO:
            return token
        if not self._hidden:
            if not is_string:
                is_small = len(text.partition(".")[0]) <= _LONGEST_NUMBER
                if is_small or self._name in _KEPT:
                    return token
            elif _ID.fullmatch(text) or _TIME.fullmatch(text):
                return token
            elif self._name in _KEPT:
                is_word = _WORD.fullmatch(text) and not _MANY_DIGITS.search(_ID.sub("", text))
                return token if is_word or not text else f'"{MASK}"'.encode()
        return json.dumps(self._mask.text(text)).encode()


def _is_personal(name: str) -> bool:
    folded = name.lower()
    return name not in _NOT_PERSONAL and (folded in _PERSONAL or folded.endswith(_PERSONAL_ENDS))


def _text(token: bytes) -> str:
    """The text of a string token. Half a surrogate pair, which UTF-8 cannot hold, becomes `?`."""
    text: str = json.loads(token)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
