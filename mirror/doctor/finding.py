"""What a check found."""

from __future__ import annotations

import msgspec

from mirror.errors import EXIT_DONE, EXIT_FAILED


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `mirror doctor`: what was looked at, how it is, and the cure where it is ill.

    `exit_code` is what a command ends with because of this finding (`mirror.errors`).
    """

    subject: str
    ok: bool
    detail: str
    cure: str = ""
    exit_code: int = EXIT_DONE


def good(subject: str, detail: str) -> Finding:
    """Nothing to do."""
    return Finding(subject=subject, ok=True, detail=detail)


def bad(subject: str, detail: str, cure: str, exit_code: int = EXIT_FAILED) -> Finding:
    """Something to do, and what."""
    return Finding(subject=subject, ok=False, detail=detail, cure=cure, exit_code=exit_code)
