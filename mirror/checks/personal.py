"""A line on what the mirror keeps of people where nobody may expect it."""

from __future__ import annotations

from mirror.checks.finding import Finding, good
from mirror.kafka.deadletters import what_is_kept
from mirror.settings import Settings


def check_personal(settings: Settings) -> Finding:
    """What dead letters hold. It asks nobody, and is never wrong."""
    return good("personal", "personal data", what_is_kept(settings))
