"""`l4lb import`: converts haproxy.cfg, nginx.conf or squid.conf, and reports every line that was
left."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from l4lb.errors import ConfigError, Problem, UsageError

if TYPE_CHECKING:
    from l4lb.importer.draft import Draft

FILE_MAX = 8 << 20


@click.command("import")
@click.argument("file", metavar="FILE")
@click.option(
    "--from",
    "said",
    type=click.Choice(["auto", "haproxy", "nginx", "squid"]),
    default="auto",
    help="The program of the file; auto: by its content.",
)
@click.option("--strict", is_flag=True, help="Exit with status 1 if any line was not converted.")
@click.option("--json", "as_json", is_flag=True, help="The result and the report as JSON.")
def command(file: str, said: str, strict: bool, as_json: bool) -> int:
    """Converts haproxy.cfg, nginx.conf (TCP, UDP and HTTP) or squid.conf, and prints the result.

    Each line that is not converted, or that works differently, is reported on stderr and in the
    result, the most serious first. Exit status 1 if one of them is open, clear, unchecked or
    missing."""
    from l4lb.importer.settle import place_of, settle
    from l4lb.importer.text import toml

    draft = _read(file, said)
    problems = [
        f"{place_of(draft, one.key)}: {one.key}: {one.message}"
        for one in (*settle(draft, _refused), *_files_missing(toml(draft)))
    ]
    made = f"# Made by `l4lb import` from {file!r}.\n{toml(draft)}"
    status = int(bool(problems) or draft.grave or (strict and bool(draft.left)))
    if as_json:
        click.echo(json.dumps(_plain(draft, made, problems, status)))
        return status
    click.echo(made, nl=False)
    for one in draft.ranked():
        click.echo(str(one), err=True)
    for problem in problems:
        click.echo(f"to be put right by hand: {problem}", err=True)
    _summary(draft)
    return status


def _read(file: str, said: str) -> Draft:
    from l4lb.importer import haproxy, nginx, squid
    from l4lb.importer.kind import kind_of

    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read(FILE_MAX + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > FILE_MAX:
        raise UsageError(f"{file}: is larger than {FILE_MAX >> 20} MiB")
    kind = kind_of(text, os.path.basename(file)) if said == "auto" else said
    if kind == "squid":
        return squid.read(text, file)
    return haproxy.read(text, file) if kind == "haproxy" else nginx.read(file)


def _refused(text: str) -> Sequence[Problem]:
    """Returns the errors of a text as a configuration."""
    from l4lb.config.reading import parse

    try:
        parse.loads(text, "result")
    except ConfigError as error:
        return error.problems
    return ()


def _files_missing(text: str) -> Sequence[Problem]:
    """Returns the files in a text that cannot be used here: certificates, lists of networks."""
    from l4lb.certificates import bundle
    from l4lb.certificates.bundle import Profiles
    from l4lb.certificates.files import Files
    from l4lb.config.reading import parse
    from l4lb.supervisor.access import network_lists

    try:
        config = parse.loads(text, "result")
    except ConfigError:
        return ()
    found: list[Problem] = []
    for check in (
        lambda: bundle.build(config, Files(), Profiles()),
        lambda: network_lists.check(config),
    ):
        try:
            check()
        except ConfigError as error:
            found += error.problems
    return found


def _summary(draft: Draft) -> None:
    """Prints the number of lines of each rank, with the meaning of the ranks."""
    counts = Counter(one.rank for one in draft.left)
    for rank in sorted(counts):
        click.echo(f"{counts[rank]} {rank.word}: {rank.meaning}", err=True)


def _plain(draft: Draft, made: str, problems: Sequence[str], status: int) -> dict[str, object]:
    left = [
        {"rank": one.rank.word, "file": one.place.file, "line": one.place.line,
         "text": one.place.text, "why": one.why, "table": list(one.where)}
        for one in draft.ranked()
    ]  # fmt: skip
    return {
        "ok": status == 0,
        "configuration": made,
        "left": left,
        "problems": list(problems),
    }
