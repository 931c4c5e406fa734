"""The conditions that `wait` can wait for: each a predicate over the shared table."""

from __future__ import annotations

from collections.abc import Callable

from l4lb.errors import AdminError
from l4lb.native.rows import BackendRow
from l4lb.native.table import Table

Predicate = Callable[[Table], bool]


def _backend(table: Table, full_name: str) -> BackendRow:
    pool, _, name = full_name.partition("/")
    for row in table.backends():
        if row.pool == pool and row.name == name:
            return row
    raise AdminError("not_found", f"no backend is named {full_name}; see `l4lb admin backends`")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise AdminError("bad_argument", f"{text!r} is not a whole number")
    return int(text)


def _drained(operand: str) -> Predicate:
    return lambda table: _backend(table, operand).active == 0


def _up(operand: str) -> Predicate:
    return lambda table: _backend(table, operand).health == "up"


def _down(operand: str) -> Predicate:
    return lambda table: _backend(table, operand).health == "down"


def _sessions_below(operand: str) -> Predicate:
    most = _number(operand)
    return lambda table: table.connections < most


def _generation(operand: str) -> Predicate:
    least = _number(operand)
    return lambda table: table.generation >= least


CONDITIONS: dict[str, Callable[[str], Predicate]] = {
    "backend-drained": _drained,
    "backend-up": _up,
    "backend-down": _down,
    "sessions-below": _sessions_below,
    "generation": _generation,
}


def condition(name: str, operand: str) -> Predicate:
    """The predicate `name operand` stands for. It raises AdminError not_found when asked about a
    backend that is not there. Raises AdminError bad_argument."""
    if name not in CONDITIONS:
        raise AdminError("bad_argument", f"no condition {name!r}; one of {', '.join(CONDITIONS)}")
    return CONDITIONS[name](operand)
