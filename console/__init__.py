"""The console command `mirror`: starts processes, shows and controls the running mirror.

Modules here import only click at their top; a command imports its other modules when it runs, so
that `mirror --help` stays fast. Data goes to stdout, messages to stderr. `mirror.runtime.command`
turns failures into messages and exit codes.

processes    the commands that run a process; up: all of them, under supervisord; awaited: what they
             wait for
sandbox      `mirror sandbox`; demo: shows it to a person
inspect      state: status, listeners, shards, channels, gaps; views: its tables
conversations, topics  what is mirrored; conversation_views: tables of conversations
operate      init, drain, undrain, rotate, rebalance; backfill: gaps by hand; dlq: dead letters
tail         the event stream; events: an event on a line
doctor       the checks of `mirror.checks`; completion: of shells; healthcheck: of a container
context      settings and connections of a command; render: tables, colours, widths
names        queues and agents by name; moments: times as people type them
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn

import click

from console import (
    backfill,
    completion,
    conversations,
    dlq,
    doctor,
    inspect,
    operate,
    processes,
    sandbox,
    tail,
    topics,
    up,
)
from console.render import say
from mirror import __version__
from mirror.base.errors import EXIT_USAGE
from mirror.runtime import command


@click.group()
@click.version_option(__version__, prog_name="mirror")
def cli() -> None:
    """Mirror a Genesys Cloud contact centre into Apache Kafka, live.

    Settings are environment variables: see `mirror doctor --settings`.
    """
    if command.is_debugging():
        from mirror.base import log

        log.configure("console", "debug")


for _command in (
    *processes.COMMANDS,
    *sandbox.COMMANDS,
    *up.COMMANDS,
    *inspect.COMMANDS,
    *topics.COMMANDS,
    *conversations.COMMANDS,
    *operate.COMMANDS,
    *backfill.COMMANDS,
    *tail.COMMANDS,
    *doctor.COMMANDS,
    *dlq.COMMANDS,
    *completion.COMMANDS,
):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command line and exit. The entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line. Returns its exit code. A failure is one line on stderr."""
    if not arguments and completion.VARIABLE not in os.environ:
        context = cli.make_context("mirror", [], resilient_parsing=True, **command.OPTIONS)
        say(cli.get_help(context))
        return EXIT_USAGE
    return command.run(cli, arguments, "mirror")
