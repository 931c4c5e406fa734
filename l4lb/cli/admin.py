"""`l4lb admin`: made from the rows of l4lb/control/commands.py."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from typing import Any

import click

from l4lb.cli import render, save, top, warm
from l4lb.cli.asking import asked, call
from l4lb.cli.layout import View
from l4lb.config.bounds import DURATION_UNITS
from l4lb.config.defaults import default_admin_path
from l4lb.control.command import Arg, Command
from l4lb.control.commands import COMMANDS
from l4lb.errors import AdminError, UsageError

# As people type one at a command: a fraction is taken, and seconds without a unit. A file says more
# strictly what it means (config/units.py, which takes 0.2 s to import).
TYPED = re.compile(rf"([0-9]{{1,12}}(?:\.[0-9]{{1,3}})?) *({'|'.join(DURATION_UNITS)}|)", re.ASCII)


def duration_ms(text: str) -> int:
    """Returns "250ms", "2s", "5m", "1h", "1d", or plain seconds, in milliseconds. Raises
    UsageError."""
    match = TYPED.fullmatch(text)
    if match is None:
        raise UsageError(f'{text!r} is not a duration such as "250ms", "2s" or "5m"')
    return round(float(match[1]) * DURATION_UNITS[match[2] or "s"])


def _follow(path: str, command: Command, args: dict[str, Any], as_json: bool) -> None:
    """Shows each part of an endless answer until it is interrupted; as JSON, a line for each
    row."""
    with contextlib.suppress(KeyboardInterrupt), asked(path, command.name, None) as client:
        for rows in client.stream(command.name, **args):
            for row in rows:
                _show(command, row if as_json else [row], as_json, verbose=False)
            sys.stdout.flush()


def _completions(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Returns the completions of an argument: names of the running service."""
    from l4lb.cli.words import of_argument

    said = context.parent.params.get("path") if context.parent is not None else None
    known = of_argument(str(parameter.name), said or default_admin_path())
    return [word for word in known if word.startswith(incomplete)]


def _parameter(arg: Arg) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns the decorator of an argument or option; a key that ends in `_ms` is given as a
    duration."""
    lasts = arg.name.endswith("_ms")

    def checked(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        if value is None:
            return None
        try:
            return arg.checked(
                duration_ms(value) if lasts else os.path.abspath(value) if arg.path else value
            )
        except (UsageError, AdminError) as error:
            raise click.BadParameter(error.message) from error

    if arg.type is bool:
        return click.option(f"--{arg.name}", arg.name, is_flag=True, help=arg.help)
    kind = str if lasts else arg.type
    if not arg.option:
        return click.argument(
            arg.name,
            type=kind,
            required=arg.required,
            metavar=arg.name.upper(),
            callback=checked,
            shell_complete=_completions,
        )
    flag = "--" + arg.name.removesuffix("_ms").replace("_", "-")
    shape = "DURATION" if lasts else None
    return click.option(
        flag,
        arg.name,
        type=kind,
        multiple=arg.many,
        metavar=shape,
        help=arg.help,
        callback=checked,
        shell_complete=_completions,
    )


def _made(command: Command) -> click.Command:
    """Returns the click command of one row."""

    @click.pass_obj
    def run(path: str, /, as_json: bool = False, verbose: bool = False, **given: Any) -> None:
        args = command.checked(given)
        if command.streams and args[command.streams]:
            _follow(path, command, args, as_json)
        else:
            _show(command, call(path, command.name, args), as_json, verbose)

    made: Any = run
    for arg in reversed(command.args):
        made = _parameter(arg)(made)
    made = click.option("--json", "as_json", is_flag=True, help="The result as JSON.")(made)
    if command.verbose:
        made = click.option("-v", "--verbose", is_flag=True, help="With the reasons.")(made)
    lines = [
        command.help,
        *(f"{arg.name.upper()}: {arg.help}." for arg in command.args if not arg.option),
    ]
    return click.command(command.name, help="\n\n".join(lines))(made)


def _view() -> View:
    """Returns the properties of standard output: width of the terminal, and colours."""
    if not sys.stdout.isatty():
        return View()
    colour = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return View(shutil.get_terminal_size().columns, colour)


def _show(command: Command, result: Any, as_json: bool, verbose: bool) -> None:
    if as_json:
        click.echo(json.dumps(result))
        return
    view = _view()
    if command.reads or command.tells:
        shape = f"{command.name} -v" if verbose else command.name
        click.echo(render.text(shape, result, view))
    elif view.width:
        click.echo(render.done(command.name, result))


class Commands(click.Group):
    """An unknown command is refused, with the most similar one as a hint."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            if not near:
                raise
            said = f"no command {args[0]!r} (did you mean {near[0]}?)"
            raise click.UsageError(said, ctx) from error


@click.group("admin", cls=Commands, invoke_without_command=True)
@click.option("--socket", "path", metavar="PATH", help="Path of the admin socket.")
@click.pass_context
def command(context: click.Context, path: str | None) -> None:
    """Shows and changes a running load balancer over its unix socket.

    With no command, on a terminal: a prompt with history and completion."""
    context.obj = path or default_admin_path()
    if context.invoked_subcommand is not None:
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.exceptions.NoArgsIsHelpError(context)
    from l4lb.cli import prompt

    prompt.run(command, context.obj)


for _row in COMMANDS.values():
    command.add_command(_made(_row))
warm.add_to(command.commands["cache"], _completions)
command.add_command(top.command)
command.add_command(save.command)
