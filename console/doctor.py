"""`mirror doctor`: finds problems and says how to fix them."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--settings", "only_settings", is_flag=True, help="Print the settings in force and exit."
)
@click.option("--heartbeat", is_flag=True, help="Wait for a first heartbeat too, up to 40 s.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def doctor(only_settings: bool, heartbeat: bool, as_json: bool) -> int:
    """Check settings, Redis, Kafka, Genesys and this machine.

    Each line is ✓, or ✗ with the fix, or ! for a setting that works but may not be intended. The
    exit code is that of the worst ✗. docs/runbook.md has an entry for the word in brackets.
    """
    import os

    from console.context import warn_of_unread
    from console.render import echo, echo_json, filled, joined, say, styled
    from mirror.base.errors import EXIT_DONE
    from mirror.checks import examine
    from mirror.genesys.proxy import check_proxy
    from mirror.kafka.client import check_properties
    from mirror.runtime.command import fail
    from mirror.settings import describe, load

    settings = load()
    check_properties(settings, "doctor", transactional=settings.has_projectors)
    check_proxy(os.environ)
    if only_settings:
        warn_of_unread(settings)
        in_force = describe(settings.environment)
        if as_json:
            echo_json(in_force)
        else:
            for name, value in in_force.items():
                echo(joined("=", (name, value)))
        return 0
    findings = []
    marks = {
        "good": styled("✓", fg="green"),
        "doubtful": styled("!", fg="yellow"),
        "bad": styled("✗", fg="red"),
    }
    for finding in examine(settings, os.environ, say, heartbeat=heartbeat):
        findings.append(finding)
        if not as_json:
            mark = marks[finding.level]
            echo(filled(joined("", (mark, " ")), f"{finding.subject}: {finding.detail}"))
            if finding.cure:
                echo(filled("  → ", f"{finding.cure} [{finding.check}]"))
    if as_json:
        echo_json({"findings": findings})
    problems = [finding for finding in findings if not finding.ok]
    if not problems:
        return EXIT_DONE
    worst = max(problems, key=lambda finding: finding.exit_code)
    many = f"{len(problems)} problems, the worst: " if len(problems) > 1 else ""
    return fail(f"{many}{worst.subject}: {worst.detail}; {worst.cure}", worst.exit_code)


COMMANDS = (doctor,)
