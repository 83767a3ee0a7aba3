"""`mirror completion`: the script by which a shell completes commands and options."""

from __future__ import annotations

import click

VARIABLE = "_MIRROR_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands and options.

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
