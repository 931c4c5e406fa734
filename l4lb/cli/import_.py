"""`l4lb import`: haproxy.cfg or nginx.conf to a configuration, with every line that was left."""

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
    type=click.Choice(["auto", "haproxy", "nginx"]),
    default="auto",
    help="Whose file it is; auto: by its content.",
)
@click.option("--strict", is_flag=True, help="Exit 1 if any line was not carried over as it is.")
@click.option("--json", "as_json", is_flag=True, help="The result and the report as JSON.")
def command(file: str, said: str, strict: bool, as_json: bool) -> int:
    """Prints the configuration that does what haproxy.cfg or nginx.conf does for TCP and UDP.

    Each line that is not carried over, or not as it is, is named on stderr and in the result, the
    gravest first. Exit status 1 if one of them is open, clear, unchecked or missing."""
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
    from l4lb.importer import haproxy, nginx
    from l4lb.importer.kind import kind_of

    try:
        with open(file, encoding="utf-8", errors="replace") as source:
            text = source.read(FILE_MAX + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > FILE_MAX:
        raise UsageError(f"{file}: is larger than {FILE_MAX >> 20} MiB")
    kind = kind_of(text, os.path.basename(file)) if said == "auto" else said
    return haproxy.read(text, file) if kind == "haproxy" else nginx.read(file)


def _refused(text: str) -> Sequence[Problem]:
    """What the configuration would refuse of a text."""
    from l4lb.config import parse

    try:
        parse.loads(text, "result")
    except ConfigError as error:
        return error.problems
    return ()


def _files_missing(text: str) -> Sequence[Problem]:
    """What cannot be used here of the files that a text names: certificates, lists of networks."""
    from l4lb.certificates import bundle
    from l4lb.certificates.bundle import Profiles
    from l4lb.certificates.files import Files
    from l4lb.config import parse
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
    """How many lines of each rank there are, and what the ranks mean."""
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
