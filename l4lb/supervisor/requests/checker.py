"""What the checker asks of the supervisor, because only it may write it: weights in force, the
states and limits that agents say, and the end of a down backend's sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.control.cause import Cause
from l4lb.errors import AdminError
from l4lb.native.table import Table
from l4lb.supervisor.process.faults import fault
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.requests.control import Requests
from l4lb.supervisor.table.membership import find_backend

PUBLISH_MS = 100  # changes of weight within this time are one
LOG = l4lb.log.get("supervisor")


class CheckerRequests:
    """Does what the checker asks; a backend that has gone meanwhile is no fault."""

    def __init__(self, reactor: Reactor, table: Table, requests: Requests) -> None:
        self._reactor = reactor
        self._table = table
        self._requests = requests
        self._stale: set[str] = set()
        self._operations: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "publish": self._publish,
            "close": self._close,
            "state": self._state,
            "max_connections": self._max_connections,
        }

    def take(self, message: Mapping[str, Any]) -> None:
        """Carries one out."""
        operation = self._operations.get(str(message.get("ask")))
        if operation is None:
            LOG.error("the checker asks for what is not known", ask=str(message.get("ask")))
            return
        try:
            operation(message)
        except AdminError as error:
            LOG.info("not done for the checker", ask=message.get("ask"), why=error.message)
        except Exception:
            fault(f"what the checker asked: {message.get('ask')}")

    def _publish(self, message: Mapping[str, Any]) -> None:
        if not self._stale:
            self._reactor.after(PUBLISH_MS, self._publish_stale)
        self._stale.add(str(message.get("pool")))

    def _publish_stale(self) -> None:
        stale, self._stale = self._stale, set()
        for row in self._table.pools():
            if row.name in stale:
                self._table.publish(row.index)

    def _close(self, message: Mapping[str, Any]) -> None:
        name = str(message.get("backend"))
        backend = find_backend(self._table, name)
        if backend.serial != message.get("serial") or not backend.active:
            return
        self._request("kill_backend", {"backend": name}, f"kill --backend {name}")
        LOG.warning("sessions of a down backend are ended", backend=name, sessions=backend.active)

    def _state(self, message: Mapping[str, Any]) -> None:
        args = {"backend": message.get("backend"), "state": message.get("state")}
        self._request("state", args, f"{args['state']} {args['backend']}")
        LOG.warning("an agent changed a state", **args, why=message.get("why") or None)

    def _max_connections(self, message: Mapping[str, Any]) -> None:
        backend = find_backend(self._table, str(message.get("backend")))
        most = message.get("max_connections")
        if isinstance(most, int):
            self._table.set_max_connections(backend.index, most)
            name = f"{backend.pool}/{backend.name}"
            self._requests.record.add(_cause(f"max_connections {name} {most}", name), {})

    def _request(self, op: str, args: Mapping[str, Any], line: str) -> None:
        answers: list[dict[str, Any]] = []
        cause = _cause(line, str(args["backend"]))
        self._requests.handle({"op": op, "args": args, "cause": cause.plain()}, answers.append)
        (answer,) = answers
        if not answer["ok"]:
            raise AdminError(answer["error"]["code"], answer["error"]["message"])


def _cause(line: str, backend: str) -> Cause:
    """The checker's: of what agents say, or of a backend that is down."""
    return Cause({"via": "checker"}, line.partition(" ")[0], {"backend": backend}, line=line)
