"""`l4lb import`: haproxy.cfg or nginx.conf to a configuration, with every line that was left."""

from __future__ import annotations

import os

import click

from l4lb.errors import ConfigError, UsageError

FILE_MAX = 8 << 20


def _kind(text: str, file: str, said: str) -> str:
    if said != "auto":
        return said
    if "haproxy" in os.path.basename(file):
        return "haproxy"
    if "nginx" in os.path.basename(file) or "{" in text:
        return "nginx"
    return "haproxy"


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option(
    "--from",
    "said",
    type=click.Choice(["auto", "haproxy", "nginx"]),
    default="auto",
    help="Whose file it is; auto: by its name and look.",
)
@click.option("--strict", is_flag=True, help="Exit 1 if a line could not be carried over.")
def command(file: str, said: str, strict: bool) -> int:
    """Prints the configuration that does what haproxy.cfg or nginx.conf does for TCP and UDP.

    What could not be carried over is named on stderr, line by line."""
    from l4lb.config import parse
    from l4lb.importer import haproxy, nginx

    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read(FILE_MAX + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > FILE_MAX:
        raise UsageError(f"{file}: is larger than {FILE_MAX >> 20} MiB")
    is_haproxy = _kind(text, file, said) == "haproxy"
    draft = haproxy.read(text, file) if is_haproxy else nginx.read(file)
    made = draft.toml()
    click.echo(f"# Made by `l4lb import` from {file!r}.\n{made}", nl=False)
    for one in draft.left:
        click.echo(f"left: {one}", err=True)
    try:
        parse.loads(made, "result")
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"to be put right by hand: {problem}", err=True)
        return 1
    return int(strict and bool(draft.left))
