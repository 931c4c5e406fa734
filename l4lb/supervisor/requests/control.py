"""What the control process may ask of the supervisor, one function each.

Requests come as maps `{id, op, args}` over the channel; answers go back as `{id, ok, result}` or
`{id, ok, error: {code, message}}`. The control process checks who asks; this side checks every
argument again, because a wrong row in the table is everybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from l4lb.errors import AdminError
from l4lb.native.rows import STATES
from l4lb.native.table import Table
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.requests.change_record import Record
from l4lb.supervisor.table import sticky
from l4lb.supervisor.table.membership import find_backend, pool_index

Command = Callable[..., bool]  # (worker index, op, slot=, serial=)
Reply = Callable[[Any], None]  # a result, or an AdminError
Later = Callable[[Mapping[str, Any], Reply], None]  # answers by itself, now or later


class Notes(Protocol):
    """Keeps in mind what was changed while the service runs."""

    def note_state(self, pool: str, name: str, state: str) -> None: ...

    def note_weight(self, pool: str, name: str, weight: int) -> None: ...


class Requests:
    """Carries requests out on the table; send queues a command for a worker; later are requests
    whose answer takes time. record: where those that bring a cause along are written down."""

    def __init__(
        self,
        table: Table,
        send: Command,
        notes: Notes | None = None,
        later: Mapping[str, Later] | None = None,
        record: Record | None = None,
    ) -> None:
        self._table = table
        self._send = send
        self._notes = notes
        self._later = later or {}
        self.record = record or Record(lambda _kind, _fields: None)
        self._operations: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "state": self._state,
            "weight": self._weight,
            "kill": self._kill,
            "kill_backend": self._kill_backend,
            "refused": _already_refused,
            "sticky_set": lambda args: sticky.put(self._table, args),
            "sticky_clear": lambda args: sticky.clear(self._table, args),
        }

    def also(self, op: str, operation: Callable[[Mapping[str, Any]], Any]) -> None:
        """One more that may be asked, of another part of the supervisor."""
        self._operations[op] = operation

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Carries one request out; every fault becomes an answer."""
        head = {"id": request.get("id")}
        args = request.get("args")
        operation = self._operations.get(str(request.get("op")))
        try:
            if operation is None or not isinstance(args, Mapping):
                raise AdminError("bad_request", "the supervisor knows no such request")
            return head | {"ok": True, "result": operation(args)}
        except AdminError as error:
            return head | _refused(error)
        except Exception:
            return head | _refused(fault(f"request {request.get('op')}"))

    def handle(self, request: Mapping[str, Any], send: Callable[[dict[str, Any]], object]) -> None:
        """Carries one request out; send gets its answer, perhaps later."""
        cause = request.get("cause")
        send = self.record.sending(cause, send)
        later = self._later.get(str(request.get("op")))
        args = request.get("args")
        if later is None or not isinstance(args, Mapping):
            send(self.answer(request))
            return
        head = {"id": request.get("id")}

        def reply(result: Any) -> None:
            if isinstance(result, AdminError):
                send(head | _refused(result))
            else:
                send(head | {"ok": True, "result": result})

        try:
            later({**args, "request": request.get("id"), "cause": cause}, reply)
        except AdminError as error:
            reply(error)
        except Exception:
            reply(fault(f"request {request.get('op')}"))

    def _state(self, args: Mapping[str, Any]) -> dict[str, Any]:
        backend = find_backend(self._table, str(args.get("backend")))
        state = args.get("state")
        if state not in STATES:
            raise AdminError("bad_argument", f"state {state!r} is none of {', '.join(STATES)}")
        self._table.set_state(backend.index, state)
        if self._notes is not None:
            self._notes.note_state(backend.pool, backend.name, state)
        return {"pool": backend.pool, "name": backend.name, "state": state}

    def _weight(self, args: Mapping[str, Any]) -> dict[str, Any]:
        backend = find_backend(self._table, str(args.get("backend")))
        weight = args.get("weight")
        if not isinstance(weight, int) or isinstance(weight, bool):
            raise AdminError("bad_argument", f"weight {weight!r} is not a whole number")
        try:
            self._table.set_weight(backend.index, weight)
        except ValueError as error:
            raise AdminError("bad_argument", str(error)) from error
        self._table.publish(pool_index(self._table, backend.pool))
        if self._notes is not None:
            self._notes.note_weight(backend.pool, backend.name, weight)
        return {"pool": backend.pool, "name": backend.name, "weight": weight}

    def _kill(self, args: Mapping[str, Any]) -> dict[str, Any]:
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

    def _kill_backend(self, args: Mapping[str, Any]) -> dict[str, Any]:
        backend = find_backend(self._table, str(args.get("backend")))
        for worker in self._table.workers():
            if worker.pid:
                self._send(worker.index, "kill_backend", slot=backend.index)
        return {"pool": backend.pool, "name": backend.name, "sessions": backend.active}


def _already_refused(args: Mapping[str, Any]) -> Any:
    """What the control process did not even ask for: to be recorded."""
    raise AdminError(str(args.get("code")), str(args.get("message")))


def _refused(error: AdminError) -> dict[str, Any]:
    return {"ok": False, "error": {"code": error.code, "message": error.message}}
