"""Checks bodies against the Genesys classes in `genesys.json`.

That file is the part of the public SDK's model that the simulator speaks: classes with the types
and enums of their fields, and the class of each notification topic.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z\Z")
_SCALARS: dict[str, type] = {"str": str, "int": int, "bool": bool, "object": object}


@cache
def _model() -> dict[str, Any]:
    path = Path(__file__).with_name("genesys.json")
    model: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return model


def class_of_topic(topic: str) -> str:
    """The class of the `eventBody` of a topic with its id filled in, or of a template."""
    for template, name in _model()["topics"].items():
        pattern = re.escape(template).replace(r"\{id\}", r"[^.]+")
        if re.fullmatch(pattern, topic, re.IGNORECASE):
            return str(name)
    raise LookupError(topic)


def topics() -> dict[str, str]:
    """Template of a topic (`v2.users.{id}.conversations`) → class of its bodies."""
    return dict(_model()["topics"])


def has_class(name: str) -> bool:
    """Whether the model describes a class of that name."""
    return name in _model()["classes"]


def fields_of(class_name: str) -> dict[str, Any]:
    """The fields of a class: name → type, or type and enum."""
    fields: dict[str, Any] = _model()["classes"][class_name]
    return fields


def problems(body: Any, class_name: str, where: str = "") -> list[str]:
    """What in `body` the class does not allow: unknown keys, wrong types, unknown enum values."""
    fields = fields_of(class_name)
    if not isinstance(body, dict):
        return [f"{where or class_name}: no object but {body!r}"]
    found = []
    for key, value in body.items():
        place = f"{where or class_name}.{key}"
        if key not in fields:
            found.append(f"{place}: {class_name} has no such field")
            continue
        facts = fields[key]
        kind = facts if isinstance(facts, str) else facts["type"]
        found += _value_problems(value, kind, place)
        enum = None if isinstance(facts, str) else facts.get("enum")
        if enum and value not in enum:
            found.append(f"{place}: {value!r} is none of {enum}")
    return found


def _value_problems(value: Any, kind: str, place: str) -> list[str]:
    inner = re.fullmatch(r"list\[(.+)\]", kind)
    if inner:
        if not isinstance(value, list):
            return [f"{place}: no list"]
        return [
            problem
            for number, element in enumerate(value)
            for problem in _value_problems(element, inner[1], f"{place}[{number}]")
        ]
    mapping = re.fullmatch(r"dict\(str, (.+)\)", kind)
    if mapping:
        if not isinstance(value, dict):
            return [f"{place}: no object"]
        return [p for k, v in value.items() for p in _value_problems(v, mapping[1], f"{place}.{k}")]
    if kind == "datetime":
        good = isinstance(value, str) and _TIME.match(value) is not None
        return [] if good else [f"{place}: {value!r} is no time"]
    if kind == "float":
        return [] if isinstance(value, int | float) else [f"{place}: {value!r} is no number"]
    if kind in _SCALARS:
        good = isinstance(value, _SCALARS[kind]) and (kind != "int" or not isinstance(value, bool))
        return [] if good else [f"{place}: {value!r} is no {kind}"]
    if kind in _model()["classes"]:
        return problems(value, kind, place)
    return [] if isinstance(value, dict) else [f"{place}: {value!r} for {kind}"]
