"""`mirror completion`: a script for shells that completes commands, options and ids."""

from __future__ import annotations

from contextlib import suppress

import click

VARIABLE = "_MIRROR_COMPLETE"


def listeners(_context: object, _parameter: object, incomplete: str) -> list[str]:
    """The ids of listeners that begin with `incomplete`; none if Redis cannot be asked."""
    from console.context import read_status
    from mirror.base.errors import MirrorError

    with suppress(MirrorError):
        return [
            listener.id
            for listener in read_status().listeners
            if listener.id.startswith(incomplete)
        ]
    return []


def channels(_context: object, _parameter: object, incomplete: str) -> list[str]:
    """The shortened ids of channels that begin with `incomplete`; none without Redis."""
    from console.context import redis_of_settings
    from mirror.base.errors import MirrorError
    from mirror.fleet.status_reader import read_channels

    with suppress(MirrorError), redis_of_settings() as (client, _, settings):
        found = (channel.channel.rstrip("…") for channel in read_channels(client, settings))
        return [text for text in found if text and text.startswith(incomplete)]
    return []


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete commands and options.

    \b
    bash:  mirror completion bash > /etc/bash_completion.d/mirror
    zsh:   mirror completion zsh > "${fpath[1]}/_mirror"
    fish:  mirror completion fish > ~/.config/fish/completions/mirror.fish
    """
    from click.shell_completion import get_completion_class

    from console.render import echo

    kind = get_completion_class(shell)
    assert kind is not None, shell  # click has all three
    echo(kind(context.find_root().command, {}, "mirror", VARIABLE).source())


COMMANDS = (completion,)
