"""Drops texts of absurd length, before events have copies of them.

Genesys' ids are UUIDs of 36 characters, its words and times are short. Anything far longer is none
of these, and each event of a frame would have a copy: a frame of 1 MB would become gigabytes. The
fields are found by their types, so no field of a struct can be forgotten. The fields of persons are
longer, and `personal.py` bounds them.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, Final, NamedTuple, Union, get_args, get_origin

import msgspec

from mirror.conversation.normaliser.bodies import (
    AfterCallWork,
    Communication,
    Participant,
    PersonalParticipant,
    Wrapup,
)

MAX_WORD: Final = 128  # characters
# Bytes. A participant that is not longer in JSON is not searched, because the search costs, and the
# few events that it can become are small enough.
LONG_TEXT: Final = 4_096
LEG_BYTES: Final = 1_024  # as many bytes are searched in the time that `cut` takes for one leg

PERSONAL_TEXTS: Final = tuple(
    field.name
    for field in msgspec.structs.fields(PersonalParticipant)
    if field.type == str | None
    and field.name not in {personal.name for personal in msgspec.structs.fields(Participant)}
)

# A text of more characters than `MAX_WORD`, or what lies between two texts. JSON with escapes may
# have a long text that this does not find.
_LONG: Final = re.compile(rb'"[^"]{%d}' % (MAX_WORD + 1))


class _Plan(NamedTuple):
    """Where the texts of a struct are: in its own fields, and in structs or lists of structs."""

    texts: tuple[tuple[str, Any], ...]  # name and default
    get_texts: Callable[[Any], tuple[str | None, ...]]
    get_inner: Callable[[Any], tuple[Any, ...]]


def is_suspect(raw: bytes, legs: int) -> bool:
    """Whether a text of a participant, with its number of communications, may be too long.

    `cut` then has to look. It takes longer than a look at the bytes if there are many legs.
    """
    if len(raw) <= LONG_TEXT:
        return False
    return legs * LEG_BYTES < len(raw) or b"\\" in raw or _LONG.search(raw) is not None


def cut(owner: msgspec.Struct) -> bool:
    """Give texts of more than `MAX_WORD` characters their defaults, in `owner` and all within it.

    Returns whether there were any.
    """
    plan = _plan(type(owner))
    is_cut = False
    texts = plan.get_texts(owner)
    if max(map(len, filter(None, texts)), default=0) > MAX_WORD:
        is_cut = True
        for text, (name, default) in zip(texts, plan.texts, strict=True):
            if text is not None and len(text) > MAX_WORD:
                setattr(owner, name, default)
    for inner in filter(None, plan.get_inner(owner)):
        for struct in inner if type(inner) is list else (inner,):
            is_cut = cut(struct) or is_cut
    return is_cut


@cache
def _plan(kind: type[msgspec.Struct]) -> _Plan:
    texts: list[tuple[str, Any]] = []
    inner: list[str] = []
    for field in msgspec.structs.fields(kind):
        bare = without_none(field.type)
        if bare is str and field.name not in PERSONAL_TEXTS:
            texts.append((field.name, field.default))
        elif _is_struct(bare) or (get_origin(bare) is list and _is_struct(*get_args(bare))):
            inner.append(field.name)
    return _Plan(tuple(texts), _getter([name for name, _ in texts]), _getter(inner))


def without_none(kind: Any) -> Any:
    """The type of an optional field without its None; any other type as it is."""
    if get_origin(kind) in {Union, types.UnionType}:
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _getter(names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
    """A function that returns the values of these attributes, also of one or none."""
    if len(names) > 1:
        return attrgetter(*names)
    if names:
        (name,) = names
        return lambda owner: (getattr(owner, name),)
    return lambda _: ()


# Plans are made once, which is slow: those of frames now, and not within the first frame.
for _kind in (Participant, PersonalParticipant):
    cut(_kind(calls=[Communication(wrapup=Wrapup(), after_call_work=AfterCallWork())]))
