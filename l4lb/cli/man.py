"""`l4lb man`: man pages, made from the texts of --help."""

from __future__ import annotations

import os
import warnings

import click

from l4lb.cli.main import cli


@click.command("man")
@click.argument("folder", metavar="FOLDER", type=click.Path(file_okay=False))
def command(folder: str) -> int:
    """Writes a man page for l4lb and for each of its commands into FOLDER.

    For example /usr/local/share/man/man1; then `man l4lb-admin-drain`."""
    from click_man.core import write_man_pages

    import l4lb

    os.makedirs(folder, exist_ok=True)
    with click.Context(cli) as context, warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of click-man itself
        names = cli.list_commands(context)
        loaded = {name: found for name in names if (found := cli.get_command(context, name))}
        whole = click.Group("l4lb", commands=loaded, params=cli.params, help=cli.help)
        write_man_pages("l4lb", whole, version=l4lb.__version__, target_dir=folder)
    return 0
