"""`l4lb admin cache warm`: fills the caches from a list of URLs.

The command line does it, not the service: it asks the service's own listeners as any client would,
so what is kept, and for how long, is decided as for every other request.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from l4lb.cli.asking import call
from l4lb.errors import L4lbError, UsageError

if TYPE_CHECKING:
    from l4lb.cli.warm_urls import Doors, Wanted

PARALLEL = (1, 64)
PARALLEL_USUAL = 8
FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+): *([\x20-\x7e]*)")
OWN_FIELDS = ("host", "connection", "content-length", "transfer-encoding")
OPTIONS = ("parallel", "listener", "header")
HOW = "warm takes a file of URLs (or -), --parallel, --listener and --header"


def add_to(cache: click.Command, complete: Callable[..., Any]) -> None:
    """Adds the action `warm` to the command `cache`. complete: finds names of listeners."""
    others = cache.callback
    assert others is not None

    @click.pass_obj
    def run(path: str, /, **given: Any) -> Any:
        own = {name: given.pop(name) for name in OPTIONS}
        if given["action"] == "warm":
            more = [key for key in given if given[key] and key not in ("action", "url", "as_json")]
            if more or not given["url"]:
                raise UsageError(f"{HOW} (see `l4lb admin cache --help`)")
            return warm(path, given["url"], as_json=given["as_json"], **own)
        if own["listener"] or own["header"] or own["parallel"] is not None:
            raise UsageError("--parallel, --listener and --header are for `cache warm`")
        return others(**given)

    cache.callback = run
    cache.params += [
        click.Option(["--parallel"], type=click.IntRange(*PARALLEL), metavar="N",
                     help=f"warm: connections at one time (default {PARALLEL_USUAL})."),
        click.Option(["--listener"], metavar="NAME", shell_complete=complete,
                     help="warm: ask this listener."),
        click.Option(["--header"], metavar="FIELD", multiple=True,
                     help="warm: send this field too, such as 'Accept-Encoding: gzip'."),
    ]  # fmt: skip


def warm(
    path: str,
    file: str,
    *,
    parallel: int | None,
    listener: str | None,
    header: tuple[str, ...],
    as_json: bool,
) -> int:
    """Returns 0 if no URL failed. Raises L4lbError."""
    from l4lb.cli.warm_client import Warming
    from l4lb.cli.warm_urls import Doors

    fields = [_field(text) for text in header]
    if all(name.lower() != "user-agent" for name, _ in fields):
        fields.append(("User-Agent", "l4lb"))
    wanted = _list(file)
    if not call(path, "cache", {}):
        raise L4lbError("there is no cache to fill: see [cache.NAME] in the configuration")
    doors = Doors(call(path, "listeners", {}), listener)
    # One host after the other: a connection is kept, and TLS shaken hands, for each host once.
    wanted.sort(key=lambda one: (one.secure, one.host, one.port))
    for one in wanted:
        _has_door(doors, one, file)
    warming = Warming(((one, doors.of(one)) for one in wanted), fields)
    whole = warming.run(min(parallel or PARALLEL_USUAL, max(1, len(wanted))))
    _show(asdict(warming.tally), as_json)
    if not whole:
        click.echo("interrupted: the rest was not asked for", err=True)
    return int(not whole or warming.tally.failed > 0)


def _list(file: str) -> list[Wanted]:
    from l4lb.cli.warm_urls import read

    if file == "-":
        return read(sys.stdin.buffer, "standard input")
    try:
        with open(file, "rb") as source:
            return read(source, file)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error


def _has_door(doors: Doors, one: Wanted, file: str) -> None:
    """Raises L4lbError, which names the line, if no listener serves a URL."""
    try:
        doors.of(one)
    except L4lbError as error:
        place = f"{'standard input' if file == '-' else file}:{one.line}"
        raise L4lbError(f"{place}: {one}: {error.message}") from error


def _field(text: str) -> tuple[str, str]:
    match = FIELD.fullmatch(text)
    if match is None or match[1].lower() in OWN_FIELDS:
        raise UsageError(f"--header {text[:80]!r} is no field that can be added, such as 'A: b'")
    return match[1], match[2].strip()


def _show(found: dict[str, Any], as_json: bool) -> None:
    failures = sorted(found["failures"])
    for line, url, reason in failures:
        click.echo(f"line {line}: {url}: {reason}", err=True)
    if len(failures) < found["failed"]:
        click.echo(f"and {found['failed'] - len(failures):,} more failed", err=True)
    if as_json:
        named = [dict(zip(("line", "url", "reason"), one, strict=True)) for one in failures]
        click.echo(json.dumps({**found, "failures": named}))
        return
    words = {"kept": "kept already", "fetched": "fetched", "not_kept": "not kept",
             "failed": "failed"}  # fmt: skip
    click.echo(", ".join(f"{found[key]:,} {word}" for key, word in words.items()))
