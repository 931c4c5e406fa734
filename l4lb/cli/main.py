"""`l4lb`: the group of commands, and the one place that turns errors into exit statuses.

0 done; 1 failed at run time; 2 usage or configuration error; 3 no load balancer answers. An error
is one line on stderr. Commands are imported when they are used: `l4lb admin` in a script should not
have to load the configuration's library.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import NoReturn

import click

import l4lb
from l4lb import inherited
from l4lb.errors import L4lbError
from l4lb.imports import quick
from l4lb.supervisor.upgrade import state_file

COMMANDS = {
    "run": "l4lb.cli.run",
    "check": "l4lb.cli.check",
    "admin": "l4lb.cli.admin",
    "doctor": "l4lb.cli.doctor",
    "import": "l4lb.cli.import_",
    "schema": "l4lb.cli.schema",
    "unit": "l4lb.cli.unit",
    "completion": "l4lb.cli.completion",
    "man": "l4lb.cli.man",
    "bench": "l4lb.cli.bench",
}


class LazyGroup(click.Group):
    """A group whose commands are modules with a `command`, imported on use."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with quick():
            command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(l4lb.__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """A TCP and UDP load balancer."""


def _line(error: click.ClickException) -> str:
    """Returns click's error message in one line, with a hint."""
    said = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "l4lb"
    return f"{path}: {said} (see `{path} --help`)"


def main() -> NoReturn:
    """Runs the command line and exits."""
    # A program that replaces another one begins with signals blocked, so that none is lost.
    asked = state_file.asked(os.environ)
    inherited.put_in_order(state_file.BLOCKED if asked and asked[0] == "run" else ())
    try:
        status = cli.main(prog_name="l4lb", standalone_mode=False)
    except L4lbError as error:
        click.echo(error.message, err=True)
        sys.exit(error.exit_status)
    except click.exceptions.Abort:
        sys.exit(1)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        click.echo(_line(error), err=True)
        sys.exit(error.exit_code)
    except OSError as error:
        click.echo(f"l4lb: {error}", err=True)
        sys.exit(1)
    _flush()
    sys.exit(status if isinstance(status, int) else 0)


def _flush() -> None:
    """Flushes output. A reader that has gone loses output and does not change the exit status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
