"""Requests about one backend or one session: its state, its weight, its end.

Every argument is checked here, even if the asker has checked it before: a wrong row in the table
harms every process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from l4lb.errors import AdminError
from l4lb.native.rows import STATES
from l4lb.native.table import Table
from l4lb.supervisor.table.membership import find_backend, pool_index

Send = Callable[..., bool]  # (worker index, op, slot=, serial=)


class Notes(Protocol):
    """Keeps run-time changes for later configurations."""

    def note_state(self, pool: str, name: str, state: str) -> None: ...

    def note_weight(self, pool: str, name: str, weight: int) -> None: ...


class BackendRequests:
    """Carries the requests out on the table. send queues a command for a worker."""

    def __init__(self, table: Table, send: Send, notes: Notes) -> None:
        self._table = table
        self._send = send
        self._notes = notes

    def state(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """args: backend (POOL/NAME), state."""
        backend = find_backend(self._table, str(args.get("backend")))
        state = args.get("state")
        if state not in STATES:
            raise AdminError("bad_argument", f"state {state!r} is none of {', '.join(STATES)}")
        self._table.set_state(backend.index, state)
        self._notes.note_state(backend.pool, backend.name, state)
        return {"pool": backend.pool, "name": backend.name, "state": state}

    def weight(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """args: backend, weight."""
        backend = find_backend(self._table, str(args.get("backend")))
        weight = args.get("weight")
        if not isinstance(weight, int) or isinstance(weight, bool):
            raise AdminError("bad_argument", f"weight {weight!r} is not a whole number")
        try:
            self._table.set_weight(backend.index, weight)
        except ValueError as error:
            raise AdminError("bad_argument", str(error)) from error
        self._table.publish(pool_index(self._table, backend.pool))
        self._notes.note_weight(backend.pool, backend.name, weight)
        return {"pool": backend.pool, "name": backend.name, "weight": weight}

    def kill(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """args: session (WORKER.SLOT.SERIAL)."""
        name = str(args.get("session"))
        parts = name.split(".")
        if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
            raise AdminError("bad_argument", f"{name!r} is no session id (WORKER.SLOT.SERIAL)")
        worker, slot, serial = (int(part) for part in parts)
        try:
            alive = serial != 0 and self._table.session_serial(worker, slot) == serial
        except IndexError:
            alive = False
        if not alive:
            raise AdminError("not_found", f"no session {name} is alive; see `l4lb admin sessions`")
        self._send(worker, "kill", slot=slot, serial=serial)
        return {"session": name}

    def kill_backend(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """args: backend. All its sessions end."""
        backend = find_backend(self._table, str(args.get("backend")))
        for worker in self._table.workers():
            if worker.pid:
                self._send(worker.index, "kill_backend", slot=backend.index)
        return {"pool": backend.pool, "name": backend.name, "sessions": backend.active}
