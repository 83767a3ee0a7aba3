"""`mirror sandbox`: the whole mirror on this machine, with simulated services."""

from __future__ import annotations

import click


@click.command(short_help="Run the mirror with a simulated Genesys Cloud.")
@click.option(
    "--demo", is_flag=True, help="Show the events, then compare them with the simulator's ledger."
)
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), help="End the demo after this time."
)
@click.option(
    "--listeners",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    help="Number of listeners.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    default=1.5,
    show_default=True,
    help="New conversations a second.",
)
@click.option(
    "--speed",
    type=click.FloatRange(0.1),
    default=6.0,
    show_default=True,
    help="How many times faster conversations go.",
)
def sandbox(demo: bool, seconds: float | None, listeners: int, rate: float, speed: float) -> int:
    """Run the mirror with a Redis, a Kafka-compatible broker and a Genesys simulator.

    Everything runs on loopback under one supervisord. Ctrl-C stops all of it.
    """
    from console.context import settings_of_environment
    from console.render import say
    from harness.embedded import Scene
    from harness.sandbox import Sandbox
    from mirror.base.errors import EXIT_DONE, EXIT_FAILED

    if seconds is not None and not demo:
        raise click.UsageError("--seconds needs --demo.")
    settings_of_environment()
    say("Starting Redis, a broker, the simulator and the mirror …")
    made = Sandbox(Scene(rate=rate, speed=speed, autostart=not demo), listeners)
    for line in made.services.taken:
        say(f"  {line}")
    with made as running:
        say(running.directions())
        if not demo:
            running.wait()
            return EXIT_DONE
        from console.demo import Demo

        clean = Demo(running).run(seconds)
        say("\nStopping …")
    return EXIT_DONE if clean else EXIT_FAILED


COMMANDS = (sandbox,)
