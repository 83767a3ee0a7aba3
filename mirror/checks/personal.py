"""A finding on personal data in an unexpected place: dead letters."""

from __future__ import annotations

from mirror.checks.finding import Finding, good
from mirror.kafka.deadletters import what_is_kept
from mirror.settings import Settings


def check_personal(settings: Settings) -> Finding:
    """The finding on the content of dead letters. Needs no service and never fails."""
    return good("personal", "personal data", what_is_kept(settings))
