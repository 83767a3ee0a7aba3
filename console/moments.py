"""Moments as people type them: a time in RFC 3339, or an age."""

from __future__ import annotations

from contextlib import suppress

import click


def epoch_ms(option: str, text: str, now_ms: int) -> int:
    """Epoch milliseconds of `2026-11-23T10:00:00Z`, or of `2h` or `7d` before `now_ms`.

    A time without a zone is UTC. Raises `click.UsageError` that names `option`.
    """
    from datetime import UTC, datetime, timedelta

    from mirror.base.units import duration

    with suppress(ValueError):
        return now_ms - round(duration(text) * 1000)
    with suppress(ValueError, OverflowError):
        moment = datetime.fromisoformat(text)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if moment.year >= 1970:  # Kafka has no earlier times
            return (moment - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)
    raise click.UsageError(
        f"{option} is {text!r}: it takes a time such as 2026-11-23T10:00:00Z, not before 1970, "
        "or an age such as 2h or 7d."
    )
