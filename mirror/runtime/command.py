"""Runs command lines: every failure is one line on stderr and an exit code.

    @program("janitor")
    def command(settings: Settings) -> int:
        '''Verify conversations that stay active too long; fill gaps.'''
        from janitor.program import main
        return main(settings)

    sys.exit(run(command, sys.argv[1:], "mirror janitor"))

`program` makes the command of a process: it reads settings, sends the log to stderr and runs it.
Both `mirror <program>` and `python -m <package>` run that command through `run`. Exit codes are
those of `mirror.base.errors`. Only click and the standard library are imported at the top, so that
`mirror --help` stays fast.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from mirror.base import ascii_fallback
from mirror.base.errors import EXIT_DONE, EXIT_FAILED, EXIT_USAGE, MirrorError

if TYPE_CHECKING:
    from mirror.settings import Settings

EXIT_INTERRUPTED: Final = 128 + signal.SIGINT
EXIT_TERMINATED: Final = 128 + signal.SIGTERM
OPTIONS: Final[dict[str, Any]] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
}


def program(name: str) -> Callable[[Callable[[Settings], int]], click.Command]:
    """The command that runs a process; its help is the docstring of the wrapped function."""

    def decorate(main: Callable[[Settings], int]) -> click.Command:
        return click.Command(
            name, callback=lambda: _run_program(name, main), help=inspect.getdoc(main)
        )

    return decorate


def run(command: click.Command, arguments: Sequence[str], name: str) -> int:
    """Run one command line; its exit code. A failure is one line on stderr."""
    signal.signal(signal.SIGTERM, _terminate)
    ascii_fallback.install(sys.stdout, sys.stderr)
    try:
        code = command.main(list(arguments), name, standalone_mode=False, **OPTIONS)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else name
        return fail(f"{error.format_message()} See '{path} --help'.", EXIT_USAGE)
    except click.ClickException as error:
        return fail(error.format_message(), error.exit_code)
    except MirrorError as error:
        return fail(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe. Without this, Python complains when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_DONE
    except OSError as error:
        return fail(f"{error.strerror or error}: {error.filename or 'writing'}", EXIT_FAILED)
    except Exception as error:
        if is_debugging():
            raise
        return fail(
            f"unexpected {type(error).__name__}: {error}. MIRROR_LOG_LEVEL=debug shows where; "
            "please report it",
            EXIT_FAILED,
        )
    return code if isinstance(code, int) else EXIT_DONE


def is_debugging() -> bool:
    """Whether MIRROR_LOG_LEVEL is `debug`."""
    level = os.environ.get("MIRROR_LOG_LEVEL", "").strip()
    if not level and os.environ.get("MIRROR_LOG_LEVEL_FILE"):
        from mirror.base.errors import SettingsError
        from mirror.settings import value

        try:
            level = value(os.environ, "MIRROR_LOG_LEVEL")
        except SettingsError:
            return False  # the command's own `load` reports it
    return level.lower() == "debug"


def _run_program(name: str, main: Callable[[Settings], int]) -> int:
    """Run a process, and note its exit code for supervisord's watchdog if it cannot start."""
    from mirror.base import log
    from mirror.settings import load
    from mirror.supervision.heartbeat_file import HeartbeatFile

    try:
        settings = load()
        log.configure(name, settings.log_level)
        _log = log.logger("settings")
        for setting in settings.unread:
            _log.warning("setting_unread", name=setting.name, hint=setting.hint)
        return main(settings)
    except MirrorError as error:
        HeartbeatFile.of(os.environ).ended(error.exit_code)
        raise


def fail(message: str, code: int) -> int:
    """Print why a command fails, in one line that is safe for a terminal. Returns `code`."""
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
