"""`l4lb completion SHELL`: prints the script that makes a shell complete l4lb's command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from l4lb.cli.main import cli


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def command(shell: str) -> int:
    """Prints a completion script: eval "$(l4lb completion bash)" in ~/.bashrc, for example."""
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(cli, {}, "l4lb", "_L4LB_COMPLETE").source())
    return 0
