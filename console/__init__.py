"""The console command `mirror`: starts processes, asks and tells the running mirror.

Modules here import only click at their top; what a command needs it imports when it runs, so that
`mirror --help` stays fast and the shared room does not depend on the rooms above it. Data goes to
stdout, messages to stderr. A failure is one line on stderr and an exit code of
`mirror.base.errors`.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click

from console import completion, dlq, doctor, inspect, operate, plain, processes, sandbox, tail
from mirror import __version__
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, MirrorError

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_TERMINATED: Final = 128 + signal.SIGTERM


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="mirror")
def cli() -> None:
    """Mirror a Genesys Cloud contact centre into Apache Kafka, live.

    Settings are environment variables: see `mirror doctor --settings`.
    """
    if _is_debugging():
        from mirror.base import log

        log.configure("console", "debug")


for _command in (
    *processes.COMMANDS,
    *sandbox.COMMANDS,
    *inspect.COMMANDS,
    *operate.COMMANDS,
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
    """Run one command; what it ends with is its exit code, and a failure one line on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    plain.fall_back(sys.stdout, sys.stderr)
    try:
        code = cli.main(args=arguments, prog_name="mirror", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx is not None else "mirror"
        return _fail(f"{error.format_message()} See '{command} --help'.", EXIT_USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except MirrorError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe has seen enough. Without this, Python complains when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        return _fail(f"{error.strerror or error}: {error.filename or 'writing'}", EXIT_FAILED)
    except Exception as error:
        if _is_debugging():
            raise
        return _fail(
            f"unexpected {type(error).__name__}: {error}. MIRROR_LOG_LEVEL=debug shows where; "
            "please report it",
            EXIT_FAILED,
        )
    return code if isinstance(code, int) else 0


def _is_debugging() -> bool:
    level = os.environ.get("MIRROR_LOG_LEVEL", "").strip()
    if not level and os.environ.get("MIRROR_LOG_LEVEL_FILE"):
        from mirror.base.errors import SettingsError
        from mirror.settings import value

        try:
            level = value(os.environ, "MIRROR_LOG_LEVEL")
        except SettingsError:
            return False  # the command's own `load` says it
    return level.lower() == "debug"


def _fail(message: str, code: int) -> int:
    from mirror.base.printable import printable
    from mirror.base.redact import scrub

    line = f"mirror: {printable(scrub(' '.join(message.split())))}"
    log = sys.modules.get("mirror.base.log")  # a command that writes no log does not import it
    if log is not None and log.is_configured():
        log.say(line)  # behind the log's lines; a stderr that nobody reads must not hold us up
        return code
    try:
        click.echo(line, err=True)
    except OSError:
        # Nobody reads, or the disk is full; the exit code still says it. Without this, Python
        # fails once more when it flushes, and ends with 120.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    return code


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(EXIT_TERMINATED)
