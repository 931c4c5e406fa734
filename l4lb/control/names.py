"""Names that operators say: of pools, backends (POOL/NAME) and listeners.

A name is looked at when nothing was found by it: what is gone may still have sessions and picks.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from l4lb.control.command import TEXT_MAX, Command
from l4lb.errors import AdminError
from l4lb.native.table import Table

COMPARED_MAX = 4_096  # names that one that is wrong is compared with

KNOWN: Mapping[str, Callable[[Table], Iterable[str]]] = {
    "pool": lambda table: [row.name for row in table.pools()],
    "listener": lambda table: dict.fromkeys(row.name for row in table.listeners()),
    "backend": lambda table: [f"{row.pool}/{row.name}" for row in table.backends()],
}


def near(said: str, known: Iterable[str]) -> str:
    """A hint in parentheses, if one of the known names is near or ends so; else ""."""
    compared = list(itertools.islice(known, COMPARED_MAX))
    found = difflib.get_close_matches(said[:TEXT_MAX], compared, n=1)
    found = found or [name for name in compared if name.endswith(f"/{said}")][:1]
    return f" (did you mean {found[0]}?)" if found else ""


def unknown(table: Table, kind: str, said: str) -> AdminError:
    """The refusal of a name that nothing of this kind has."""
    hint = near(said, KNOWN[kind](table))
    return AdminError("not_found", f"no {kind} is named {said}{hint}; see `l4lb admin {kind}s`")


def check(table: Table, command: Command, args: Mapping[str, Any]) -> None:
    """Are all names there that these arguments say? Raises AdminError not_found."""
    for arg in command.args:
        said = args.get(arg.name)
        if arg.of and said is not None and said not in KNOWN[arg.of](table):
            raise unknown(table, arg.of, said)
