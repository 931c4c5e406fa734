"""`l4lb admin save`: writes the configuration in force, with the rights of the operator.

The file is replaced only after the text was read back by the configuration's own code, and
describes what runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import Any

import click

from l4lb import owned
from l4lb.cli.asking import call
from l4lb.control.commands import COMMANDS
from l4lb.errors import ConfigError, L4lbError

PRIVATE = 0o600  # texts of checks, and former environment variables, may be secret


@click.command("save", help=COMMANDS["save"].help)
@click.argument("file", required=False, metavar="[FILE]", type=click.Path())
@click.option("--json", "as_json", is_flag=True, help="The result as JSON.")
@click.pass_obj
def command(path: str, file: str | None, as_json: bool) -> None:
    """Only the owner may read a new file; one that was there keeps its owner and its mode."""
    result = call(path, "save", {})
    if file is not None:
        _replace(file, result)
    else:
        _verify(result["text"], "-", result["digest"])
        click.echo(json.dumps(result) if as_json else result["text"], nl=as_json)
    for what in result["left_out"]:
        click.echo(f"not in the file: {what}", err=True)


def _verify(text: str, name: str, digest: str) -> None:
    """Raises L4lbError if this text does not describe what runs."""
    from l4lb.config import plain
    from l4lb.config.reading import parse

    try:
        read = plain.digest(parse.loads(text, name))
    except ConfigError as error:
        raise L4lbError(
            f"a fault of l4lb: what it saved cannot be read: {error.message}"
        ) from error
    if read != digest:
        raise L4lbError("a fault of l4lb: what it saved is not what runs; please report it")


def _replace(file: str, result: dict[str, Any]) -> None:
    """Replaces the file by the whole new text, or leaves the old one, whatever happens."""
    from l4lb.config.reading import document

    made = ""
    try:
        target = os.path.realpath(owned.followed(file))
        made = f"{target}.{os.getpid()}.new"
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(fd, "w", encoding="utf-8") as out:
            out.write(result["text"])
            out.flush()
            os.fsync(fd)
            _verify(document.read(made), file, result["digest"])
            _keep_rights(fd, target)
        os.replace(made, target)
    except (OSError, L4lbError) as error:
        if made:
            with contextlib.suppress(OSError):
                os.unlink(made)
        if isinstance(error, L4lbError):
            raise
        raise L4lbError(f"cannot write {file}: {error.strerror}; it is as it was") from error


def _keep_rights(fd: int, target: str) -> None:
    """Keeps owner and mode of the old file. If it cannot be given back to its owner, only the
    owner's rights are kept."""
    try:
        old = os.stat(target)
    except FileNotFoundError:
        return
    mode = stat.S_IMODE(old.st_mode)
    try:
        os.fchown(fd, old.st_uid, old.st_gid)
    except PermissionError:
        mode &= PRIVATE
    os.fchmod(fd, mode)
