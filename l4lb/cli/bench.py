"""`l4lb bench`: a thin layer over the load generator and bench/."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

import l4lb
from l4lb.errors import L4lbError

PACKAGE = Path(l4lb.__file__).parent


def _program() -> Path:
    """Returns the load generator that was built with this package. Raises L4lbError."""
    program = PACKAGE / "bin" / "l4lb-loadgen"
    if not program.is_file():
        raise L4lbError("the load generator was not built; install l4lb from its source tree")
    return program


def _comparison() -> Path:
    """Returns bench/compare.py of the source tree that this program runs from. Raises L4lbError."""
    for top in (PACKAGE.parent, Path(sys.prefix).parent):
        script = top / "bench" / "compare.py"
        if script.is_file():
            return script
    raise L4lbError("the comparison is not part of what is installed; run it in the source tree")


@click.command("bench", context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.argument("args", nargs=-1, type=click.UNPROCESSED)
def command(args: tuple[str, ...]) -> None:
    """Runs the load generator, or `compare`: side by side with other balancers.

    What follows is theirs: `l4lb bench --help`, `l4lb bench compare --help`."""
    if args[:1] == ("compare",):
        script = str(_comparison())
        os.execv(sys.executable, [sys.executable, script, *args[1:]])
    program = str(_program())
    os.execv(program, ["l4lb-loadgen", *args])
