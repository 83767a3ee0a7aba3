"""Moments as people type them: a time in RFC 3339, or an age."""

from __future__ import annotations

import click


def epoch_ms(option: str, text: str, now_ms: int) -> int:
    """Epoch milliseconds of `2026-11-23T10:00:00Z`, or of `2h` or `7d` before `now_ms`.

    Raises `click.UsageError` that names `option`.
    """
    from datetime import datetime

    from mirror.base.units import duration

    try:
        return now_ms - round(duration(text) * 1000)
    except ValueError:
        pass  # not an age, so a time
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(
            f"{option} is {text!r}: it takes a time such as 2026-11-23T10:00:00Z, "
            "or an age such as 2h or 7d."
        ) from None
    return round(moment.astimezone().timestamp() * 1000)


def event_ms(text: str) -> int:
    """Epoch milliseconds of a time as events carry it."""
    from mirror.conversation.times import epoch

    return round(epoch(text) * 1000)
