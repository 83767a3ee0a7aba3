"""Reads what can be read of a frame that is wrong in part.

The fast typed decoder refuses a whole frame for one field of the wrong type, for a number that no
machine holds and for half a surrogate pair. `salvage` reads the frame untyped instead, leaves out
or mends exactly the values that do not fit, and tells where they were, so that the rest becomes
events and the frame a dead letter besides.
"""

from __future__ import annotations

import json
import types
from typing import Any, Final, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

MAX_DIGITS: Final = 18
MAX_FAULTS: Final = 5  # paths that are named; more would not help a reader


def salvage(raw: bytes, kind: type[T]) -> tuple[T, list[str]]:
    """The frame in `raw` as `kind` without the values that do not fit, and those values' paths.

    Raises `ValueError` where `raw` is not JSON (`UnicodeDecodeError` where it is not UTF-8),
    `RecursionError` where it is nested too deeply, and `msgspec.ValidationError` where it is not an
    object.
    """
    document = json.loads(
        raw.decode(), parse_int=_number, parse_float=float, parse_constant=_no_constant
    )
    if not isinstance(document, dict):
        raise msgspec.ValidationError("Expected `object`")
    faults: list[str] = []
    value: T = _struct(document, kind, "$", faults)
    return value, faults[:MAX_FAULTS]


def _number(digits: str) -> int:
    """Only attributes can be numbers; those that no machine holds count as 0."""
    return int(digits) if len(digits) <= MAX_DIGITS else 0


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _struct(document: dict[str, Any], kind: type[T], path: str, faults: list[str]) -> T:
    hints = get_type_hints(kind)
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in document:
            continue
        where = f"{path}.{field.encode_name}"
        fits, value = _value(document[field.encode_name], hints[field.name], where, faults)
        if fits:
            values[field.name] = value
    return kind(**values)


def _value(value: Any, kind: Any, path: str, faults: list[str]) -> tuple[bool, Any]:
    """Whether (a part of) `value` fits `kind`, and that part."""
    if value is None:
        return True, None
    inner = _without_none(kind)
    if inner is Any:
        mended = _mend(value)
        if mended != value:
            faults.append(path)
        return True, mended
    if get_origin(inner) is list and isinstance(value, list):
        (element,) = get_args(inner)
        parts = (_value(v, element, f"{path}[{i}]", faults) for i, v in enumerate(value))
        return True, [part for fits, part in parts if fits and part is not None]
    if get_origin(inner) is dict and isinstance(value, dict):
        element = get_args(inner)[1]
        pairs = ((k, _value(v, element, f"{path}[...]", faults)) for k, v in value.items())
        return True, {_text(k): part for k, (fits, part) in pairs if fits and part is not None}
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
        return True, _struct(value, inner, path, faults)
    if not isinstance(inner, type) or type(value) is not inner:
        faults.append(path)
        return False, None
    if isinstance(value, str) and (mended := _text(value)) != value:
        faults.append(path)
        return True, mended
    return True, value


def _text(value: str) -> str:
    """`value` with half surrogate pairs replaced: they have no UTF-8."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _mend(value: Any) -> Any:
    """Any JSON value, its text mended."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_mend(item) for item in value]
    if isinstance(value, dict):
        return {_text(name): _mend(item) for name, item in value.items()}
    return value


def _without_none(kind: Any) -> Any:
    if get_origin(kind) in {Union, types.UnionType}:
        return next(arg for arg in get_args(kind) if arg is not type(None))
    return kind
