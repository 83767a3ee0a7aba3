"""The check of the schema registry, if one is set: it answers and accepts our credentials."""

from __future__ import annotations

from collections.abc import Iterator

from mirror.base.errors import EXIT_DEPENDENCY, EXIT_USAGE, RegistryUnavailable, SettingsError
from mirror.checks.finding import Finding, bad, good
from mirror.kafka import registry
from mirror.settings import Settings


def check_registry(settings: Settings) -> Iterator[Finding]:
    """One finding, none without a registry. Registers nothing."""
    if settings.registry is None:
        return
    try:
        subjects = registry.reach(settings)
    except RegistryUnavailable as error:
        yield bad(
            "registry",
            "Schema registry",
            str(error),
            "start it, or correct the SCHEMA_REGISTRY_* settings",
            EXIT_DEPENDENCY,
        )
        return
    except SettingsError as error:  # the packages of its client are not installed
        yield bad("registry", "Schema registry", str(error), "install the extra", EXIT_USAGE)
        return
    yield good("registry", "Schema registry", f"{subjects} subjects at {settings.registry.url}")
