"""`l4lb unit`: the unit file for systemd, with the places of this installation in it."""

from __future__ import annotations

import os
import shutil
import sys
from importlib import resources

import click

from l4lb.errors import L4lbError

DEFAULT_CONFIG = "/etc/l4lb/l4lb.toml"


def _program() -> str:
    """The absolute path of the installed l4lb. Raises L4lbError."""
    beside = os.path.join(os.path.dirname(sys.executable), "l4lb")
    found = beside if os.access(beside, os.X_OK) else shutil.which("l4lb")
    if found is None:
        raise L4lbError("l4lb is not installed beside its Python, nor on PATH; install it first")
    return os.path.abspath(found)


@click.command("unit")
@click.option(
    "-c",
    "--config",
    "file",
    metavar="FILE",
    default=DEFAULT_CONFIG,
    show_default=True,
    help="The configuration that the service will run.",
)
def command(file: str) -> int:
    """Prints a systemd unit: put it in /etc/systemd/system/l4lb.service."""
    text = (resources.files("l4lb") / "data" / "l4lb.service").read_text()
    shown = {"@PROGRAM@": _program(), "@CONFIG@": os.path.abspath(file)}
    for word, value in shown.items():
        if not value.isprintable() or any(one in value for one in " \"'\\%$"):
            raise L4lbError(f"a unit file cannot say {value!r}: use a plain path without spaces")
        text = text.replace(word, value)
    click.echo(text, nl=False)
    return 0
