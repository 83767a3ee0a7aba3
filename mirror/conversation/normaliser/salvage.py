"""Reads the valid parts of a frame that is partly wrong.

The fast typed decoder refuses a whole frame for one field of the wrong type, for a number that is
too large and for half a surrogate pair. `salvage` reads the frame untyped instead. It drops or
repairs exactly the values that do not fit, and returns their paths. So the rest becomes events, and
the frame also becomes a dead letter.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from mirror.conversation.normaliser.lengths import without_none

T = TypeVar("T", bound=msgspec.Struct)

MAX_DIGITS: Final = 18
MAX_FAULTS: Final = 5  # paths to report; more would not help a reader
# A value that does not fit costs more than one that does. What has more of them is left unread.
MAX_MISFITS: Final = 10_000


class Faults:
    """The paths of the first values that do not fit.

    `hides_legs`: one of them is a list, or an element of one, so a leg may be lost.
    """

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.hides_legs = False
        self._misfits = 0

    def add(self, path: str) -> None:
        """Note a value. Raises `ValueError` at one more than `MAX_MISFITS`."""
        self._misfits += 1
        if self._misfits > MAX_MISFITS:
            raise ValueError("too many values that do not fit")
        if len(self.paths) < MAX_FAULTS:
            self.paths.append(path)


def salvage(raw: bytes, kind: type[T]) -> tuple[T, Faults]:
    """The frame in `raw` as `kind` without the values that do not fit, and those values.

    Raises `ValueError` if `raw` is not JSON (`UnicodeDecodeError` if it is not UTF-8) or if more
    than `MAX_MISFITS` values do not fit, `RecursionError` if it is nested too deeply, and
    `msgspec.ValidationError` if it is not an object.
    """
    document = json.loads(
        raw.decode(), parse_int=_number, parse_float=float, parse_constant=_no_constant
    )
    if not isinstance(document, dict):
        raise msgspec.ValidationError("Expected `object`")
    faults = Faults()
    value: T = _struct(document, kind, "$", faults)
    return value, faults


def _number(digits: str) -> int:
    """The integer in `digits`. Only attributes can be numbers; a too large one counts as 0."""
    return int(digits) if len(digits) <= MAX_DIGITS else 0


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def _struct(document: dict[str, Any], kind: type[T], path: str, faults: Faults) -> T:
    values: dict[str, Any] = {}
    for name, encoded, hint in _fields(kind):
        if encoded not in document:
            continue
        fits, value = _value(document[encoded], hint, f"{path}.{encoded}", faults)
        if fits:
            values[name] = value
    return kind(**values)


@cache
def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, str, Any]]:
    """Name, name in JSON and type of each field of `kind`. To look them up is slow."""
    hints = get_type_hints(kind)
    return [(f.name, f.encode_name, hints[f.name]) for f in msgspec.structs.fields(kind)]


def _value(value: Any, kind: Any, path: str, faults: Faults) -> tuple[bool, Any]:
    """Whether (a part of) `value` fits `kind`, and that part."""
    if value is None:
        return True, None
    inner = without_none(kind)
    if inner is Any:
        repaired = _repair(value)
        if repaired != value:
            faults.add(path)
        return True, repaired
    if get_origin(inner) is list and isinstance(value, list):
        (element,) = get_args(inner)
        parts = [_value(v, element, f"{path}[{i}]", faults) for i, v in enumerate(value)]
        faults.hides_legs = faults.hides_legs or not all(fits for fits, _ in parts)
        return True, [part for fits, part in parts if fits and part is not None]
    if get_origin(inner) is dict and isinstance(value, dict):
        element = get_args(inner)[1]
        pairs = ((k, _value(v, element, f"{path}[...]", faults)) for k, v in value.items())
        return True, {_text(k): part for k, (fits, part) in pairs if fits and part is not None}
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct) and isinstance(value, dict):
        return True, _struct(value, inner, path, faults)
    if not isinstance(inner, type) or type(value) is not inner:
        faults.add(path)
        faults.hides_legs = faults.hides_legs or get_origin(inner) is list
        return False, None
    if isinstance(value, str) and (repaired := _text(value)) != value:
        faults.add(path)
        return True, repaired
    return True, value


def _text(value: str) -> str:
    """`value` with half surrogate pairs replaced: they have no UTF-8."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _repair(value: Any) -> Any:
    """Any JSON value with its text repaired."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list):
        return [_repair(item) for item in value]
    if isinstance(value, dict):
        return {_text(name): _repair(item) for name, item in value.items()}
    return value
