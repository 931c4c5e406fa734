"""`l4lb admin`: made from the rows of l4lb/control/commands.py."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import click

from l4lb.config.defaults import default_admin_path
from l4lb.control.client import AdminClient
from l4lb.control.commands import COMMANDS, Arg, Command
from l4lb.errors import AdminError, L4lbError

ANSWER_TIMEOUT_S = 30.0


def _duration_ms(text: str) -> int:
    """ "250ms", "2s", "5m", "1h", or plain seconds."""
    for suffix, factor in (("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("", 1_000)):
        number = text.removesuffix(suffix) if suffix else text
        if text.endswith(suffix) and number.replace(".", "", 1).isdigit():
            return round(float(number) * factor)
    raise click.BadParameter(f'{text!r} is not a duration such as "250ms", "2s" or "5m"')


def _call(path: str, command: str, args: dict[str, Any], timeout_s: float | None) -> Any:
    try:
        with AdminClient(path, timeout_s=timeout_s) as client:
            return client.call(command, **args)
    except TimeoutError as error:
        raise L4lbError(f"the balancer on {path} did not answer in {timeout_s:g} s") from error
    except AdminError as error:
        raise AdminError(error.code, f"{command}: {error.message}") from error


def _parameter(arg: Arg) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    if arg.name == "timeout_ms":
        return click.option("--timeout", "timeout_ms", metavar="DURATION", help=arg.help)
    if arg.option:
        return click.option(f"--{arg.name}", arg.name, type=arg.type, help=arg.help)
    return click.argument(arg.name, type=arg.type, required=arg.required, metavar=arg.name.upper())


def _made(command: Command) -> click.Command:
    """The click command of one row."""

    @click.pass_obj
    def run(path: str, /, as_json: bool = False, **given: Any) -> None:
        args = {name: value for name, value in given.items() if value is not None}
        timeout_s: float | None = ANSWER_TIMEOUT_S
        if "timeout_ms" in args:
            args["timeout_ms"] = _duration_ms(args["timeout_ms"])
        if command.name == "wait":
            timeout_s = None
        result = _call(path, command.name, args, timeout_s)
        _show(command, result, as_json)

    made: Any = run
    for arg in reversed(command.args):
        made = _parameter(arg)(made)
    made = click.option("--json", "as_json", is_flag=True, help="The result as JSON.")(made)
    return click.command(command.name, help=command.help)(made)


def _show(command: Command, result: Any, as_json: bool) -> None:
    from l4lb.cli import render

    if as_json:
        click.echo(json.dumps(result))
    elif command.reads:
        shown = render.text(command.name, result, terminal=sys.stdout.isatty())
        if shown:
            click.echo(shown)


@click.group("admin")
@click.option("--socket", "path", metavar="PATH", help="The admin socket of the balancer.")
@click.pass_context
def command(context: click.Context, path: str | None) -> None:
    """Shows and steers a running balancer over its unix socket."""
    context.obj = path or default_admin_path()


for _row in COMMANDS.values():
    command.add_command(_made(_row))
