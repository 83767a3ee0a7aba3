"""Reads pages of Genesys entry by entry, so that an odd entry costs only itself.

In an entry, a field that is null or of another type counts as absent. An entry without the fields
that it needs is left out and counted. A page that is not a page is an error.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

#: What msgspec raises for a body that is not JSON of the wanted type.
NOT_READ: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# An escape of a JSON text: a surrogate pair, half a pair, or another one.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def mended(body: bytes) -> bytes:
    """`body` in UTF-8. What UTF-8 cannot hold, half a surrogate pair included, is replaced."""
    text = body.decode("utf-8", "replace").encode()
    return _ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], text)


def read_json(body: bytes, kind: type[T], *, strict: bool = True) -> T:
    """`body` as `kind`, mended if need be. Raises one of `NOT_READ` if it does not fit."""
    try:
        return msgspec.json.decode(body, type=kind, strict=strict)
    except NOT_READ:
        whole = mended(body)
        if whole == body:
            raise
        return msgspec.json.decode(whole, type=kind, strict=strict)


def read_page(
    body: bytes, kind: type[S], name: str, entry: type[msgspec.Struct], needed: Collection[str] = ()
) -> tuple[S, int]:
    """`body` as a page of `kind`, and how many entries are left out.

    `name` is the field with the entries, of type `entry`; `needed` are the fields without which an
    entry says nothing, besides those that have no default. Raises one of `NOT_READ`.
    """
    body = body if body.isascii() else mended(body)  # msgspec does not look at the text of `Raw`
    try:
        return msgspec.json.decode(body, type=kind), 0
    except NOT_READ:
        fields = msgspec.json.decode(mended(body), type=dict[str, msgspec.Raw])
    raws = msgspec.json.decode(fields.get(name, b"null"), type=list[msgspec.Raw])
    fields = {field: raw for field, raw in fields.items() if bytes(raw) != b"null"}
    page = msgspec.json.decode(msgspec.json.encode({**fields, name: []}), type=kind)
    entries = [found for raw in raws if (found := _entry(raw, entry, needed)) is not None]
    setattr(page, name, entries)
    return page, len(raws) - len(entries)


def _entry(raw: msgspec.Raw, kind: type[S], needed: Collection[str]) -> S | None:
    """What can be read of an entry; None if that is too little."""
    try:
        fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    except NOT_READ:
        return None
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        is_needed = field.required or field.name in needed
        shown = fields.get(field.encode_name)
        if shown is None:
            if field.required:
                return None
            continue
        try:
            found[field.name] = msgspec.json.decode(shown, type=field.type)
        except NOT_READ:
            if is_needed:
                return None
    return kind(**found)
