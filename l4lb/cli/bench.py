"""`l4lb bench`: the thin front of the load generator and of bench/."""

from __future__ import annotations

import os
from importlib.resources import files

import click

from l4lb.errors import L4lbError


@click.command("bench", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def command(args: tuple[str, ...]) -> None:
    """Runs the load generator; `l4lb bench --help` shows what it can do."""
    program = files("l4lb") / "bin" / "l4lb-loadgen"
    if not program.is_file():
        raise L4lbError("the load generator was not built; install l4lb from its source tree")
    os.execv(str(program), ["l4lb-loadgen", *args])
