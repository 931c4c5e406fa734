"""The conditions of the command `wait`: each is a predicate over the shared table."""

from __future__ import annotations

from collections.abc import Callable

from l4lb.control import names
from l4lb.errors import AdminError
from l4lb.native import udp
from l4lb.native.rows import BackendRow
from l4lb.native.table import Table

Predicate = Callable[[Table], bool]


def _backend(table: Table, full_name: str) -> BackendRow:
    pool, _, name = full_name.partition("/")
    for row in table.backends():
        if row.pool == pool and row.name == name:
            return row
    raise names.unknown(table, "backend", full_name)


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise AdminError("bad_argument", f"{text!r} is not a whole number")
    return int(text)


def _of_backend(test: Callable[[BackendRow], bool]) -> Callable[[str], Predicate]:
    """Makes a condition on one backend. The backend is searched by name once; after that only its
    own row is read."""

    def made(operand: str) -> Predicate:
        known: BackendRow | None = None

        def holds(table: Table) -> bool:
            nonlocal known
            row = table.backend(known.index) if known else _backend(table, operand)
            if row is None or (known and row.serial != known.serial):
                raise AdminError("not_found", f"{operand} was removed")
            known = row
            return test(row)

        return holds

    return made


def _sessions_below(operand: str) -> Predicate:
    maximum = _number(operand)
    return lambda table: table.connections + udp.sessions(table) < maximum


def _generation(operand: str) -> Predicate:
    minimum = _number(operand)
    return lambda table: table.generation >= minimum


# condition_names.py says in words what each condition means.
CONDITIONS: dict[str, Callable[[str], Predicate]] = {
    "backend-drained": _of_backend(lambda row: row.active == 0),
    "backend-up": _of_backend(lambda row: row.health == "up"),
    "backend-down": _of_backend(lambda row: row.health == "down"),
    "backend-ejected": _of_backend(lambda row: row.health == "ejected"),
    "sessions-below": _sessions_below,
    "generation": _generation,
}


def condition(name: str, operand: str) -> Predicate:
    """Returns the predicate for a condition and its operand. A predicate is for one table. It
    raises AdminError not_found when the backend is not there. Raises AdminError bad_argument."""
    if name not in CONDITIONS:
        raise AdminError("bad_argument", f"no condition {name!r}; one of {', '.join(CONDITIONS)}")
    return CONDITIONS[name](operand)
