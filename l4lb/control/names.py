"""Names in the arguments of commands: pools, backends (POOL/NAME) and listeners.

A name is only checked after a command has found nothing: a pool or backend that was removed may
still have sessions and recorded picks.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from l4lb.control.command import TEXT_MAX, Command
from l4lb.errors import AdminError
from l4lb.native import cache
from l4lb.native.table import Table

COMPARED_MAX = 4_096  # known names that a wrong name is compared with

KNOWN: Mapping[str, Callable[[Table], Iterable[str]]] = {
    "pool": lambda table: [row.name for row in table.pools()],
    "listener": lambda table: dict.fromkeys(row.name for row in table.listeners()),
    "cache": lambda table: [row.name for row in cache.rows(table)],
    "backend": lambda table: [f"{row.pool}/{row.name}" for row in table.backends()],
}
SHOWN_BY = {"pool": "pools", "listener": "listeners", "cache": "cache", "backend": "backends"}


def near(said: str, known: Iterable[str]) -> str:
    """Returns a hint in parentheses if a known name is similar or ends with /said; else ""."""
    compared = list(itertools.islice(known, COMPARED_MAX))
    found = difflib.get_close_matches(said[:TEXT_MAX], compared, n=1)
    found = found or [name for name in compared if name.endswith(f"/{said}")][:1]
    return f" (did you mean {found[0]}?)" if found else ""


def unknown(table: Table, kind: str, said: str) -> AdminError:
    """Returns the refusal of a name that nothing of this kind has."""
    hint = near(said, KNOWN[kind](table))
    shown = SHOWN_BY[kind]
    return AdminError("not_found", f"no {kind} is named {said}{hint}; see `l4lb admin {shown}`")


def check(table: Table, command: Command, args: Mapping[str, Any]) -> None:
    """Raises AdminError not_found if an argument names a pool, listener or backend that is
    unknown."""
    for arg in command.args:
        said = args.get(arg.name)
        if arg.of and said is not None and said not in KNOWN[arg.of](table):
            raise unknown(table, arg.of, said)
