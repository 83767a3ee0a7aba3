"""The health of a process or of the whole mirror: `ok`, `degraded` or `down`, with reasons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import msgspec

Status = Literal["ok", "degraded", "down"]


class Health(msgspec.Struct, frozen=True):
    """The health of a process or of the whole mirror, with a reason for each problem."""

    health: Status
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, reasons: Iterable[str], hung: Iterable[str] = ()) -> Self:
        """`ok` without reasons, `degraded` with reasons, `down` if `hung` names threads."""
        hung, reasons = tuple(hung), tuple(reasons)
        return cls("down" if hung else "degraded" if reasons else "ok", (*hung, *reasons))
