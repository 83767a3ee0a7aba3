"""How a process, or the whole mirror, is: `ok`, `degraded` or `down`, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, Self

import msgspec

Status = Literal["ok", "degraded", "down"]


class Health(msgspec.Struct, frozen=True):
    """How a process or the whole mirror is, and why it is not better."""

    health: Status
    reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, reasons: Iterable[str], hung: Iterable[str] = ()) -> Self:
        """`ok` without reasons, `degraded` with some, `down` where `hung` tells of threads too."""
        hung, reasons = tuple(hung), tuple(reasons)
        return cls("down" if hung else "degraded" if reasons else "ok", (*hung, *reasons))
