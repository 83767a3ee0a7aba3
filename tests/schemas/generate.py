"""Makes random bodies that the Genesys classes in `genesys.json` allow.

For properties that must hold for any valid frame. Everything follows from the random source, so a
seed names a body. Ids, times and names come from small pools: a body that never mentions the same
participant or moment twice would not exercise much.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any, Final

from tests.schemas import fields_of, has_class

# How often a field is there, by depth: bodies are rich above and thin out below.
_PRESENT: Final = (0.8, 0.6, 0.5, 0.25, 0.1)
_MOST_ELEMENTS: Final = 3
_TEXTS: Final = (
    "",
    "a",
    "agent",
    "customer",
    "user",
    "+15550001111",
    "sip:x@y",
    "é",
    "\U0001f600",
    "𐀀\0",
)
_IDS: Final = ("id-1", "id-2", "id-3")
_SPECIAL: Final = {"purpose": ("agent", "user", "customer", "acd", "ivr", "voicemail")}
_LIST: Final = re.compile(r"list\[(.+)\]")
_MAPPING: Final = re.compile(r"dict\(str, (.+)\)")


def body(class_name: str, rng: random.Random) -> dict[str, Any]:
    """A random object of a class: fields present or absent, enums within their words."""
    return _object(class_name, rng, 0)


def _object(class_name: str, rng: random.Random, depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name, facts in fields_of(class_name).items():
        needed = name in {"id", "conversationId", "participantId", "state", "participants"}
        if not needed and rng.random() > _PRESENT[min(depth, len(_PRESENT) - 1)]:
            continue
        kind = facts if isinstance(facts, str) else facts["type"]
        words = None if isinstance(facts, str) else facts.get("enum")
        made[name] = rng.choice(words) if words else _value(name, kind, rng, depth + 1)
    return made


def _value(name: str, kind: str, rng: random.Random, depth: int) -> Any:
    if (inner := _LIST.fullmatch(kind)) is not None:
        return [_value(name, inner[1], rng, depth) for _ in range(rng.randrange(_MOST_ELEMENTS))]
    if (inner := _MAPPING.fullmatch(kind)) is not None:
        keys = rng.sample(_TEXTS, rng.randrange(_MOST_ELEMENTS))
        return {key: _value(name, inner[1], rng, depth) for key in keys}
    if has_class(kind):
        return _object(kind, rng, depth)
    return _scalar(name, kind, rng)


def _scalar(name: str, kind: str, rng: random.Random) -> Any:
    if kind == "datetime":
        return f"2026-11-23T10:00:0{rng.randrange(10)}.{rng.choice((0, 1, 999)):03d}Z"
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "int":
        return rng.choice((0, 1, -1, 2**31, 2**53))
    if kind == "float":
        return rng.choice((0.0, -1.5, 1e300))
    if kind == "str":
        if name == "id" or name.endswith("Id"):
            return rng.choice(_IDS)
        return rng.choice(_SPECIAL.get(name, _TEXTS))
    return {}


def filled(class_name: str, text: Callable[[str], str], depth: int = 5) -> dict[str, Any]:
    """An object with every field of its class there, and one element in every list.

    What is free text comes from `text`, which is told the field's name; ids and words of enums are
    made here. Below `depth` objects are empty.
    """
    made: dict[str, Any] = {}
    for name, facts in (fields_of(class_name) if depth else {}).items():
        kind = facts if isinstance(facts, str) else facts["type"]
        words = None if isinstance(facts, str) else facts.get("enum")
        made[name] = words[0] if words else _filling(name, kind, text, depth - 1)
    return made


def _filling(name: str, kind: str, text: Callable[[str], str], depth: int) -> Any:
    if (inner := _LIST.fullmatch(kind)) is not None:
        return [_filling(name, inner[1], text, depth)]
    if (inner := _MAPPING.fullmatch(kind)) is not None:
        return {text(name): _filling(name, inner[1], text, depth)}
    if has_class(kind):
        return filled(kind, text, depth)
    if kind == "str" and name != "id" and not name.endswith("Id"):
        return text(name)
    return _scalar(name, kind, random.Random(0))
