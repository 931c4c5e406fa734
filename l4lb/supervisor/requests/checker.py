"""Requests of the checker for changes that only the supervisor may make: weights in force, states
and limits from agents, and the end of a down backend's sessions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.control.cause import Cause
from l4lb.errors import AdminError
from l4lb.native.table import Table
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.requests.backends import BackendRequests
from l4lb.supervisor.requests.change_record import Record
from l4lb.supervisor.table.membership import find_backend

PUBLISH_MS = 100  # changes of weight within this time are published together
LOG = l4lb.log.get("supervisor")


class CheckerRequests:
    """Carries the checker's requests out. Each raises AdminError if its backend was removed
    meanwhile."""

    def __init__(
        self, reactor: Reactor, table: Table, backends: BackendRequests, record: Record
    ) -> None:
        self._reactor = reactor
        self._table = table
        self._backends = backends
        self._record = record
        self._stale: set[str] = set()

    def publish(self, message: Mapping[str, Any]) -> None:
        """Puts a pool's changed weights in force within PUBLISH_MS."""
        if not self._stale:
            self._reactor.after(PUBLISH_MS, self._publish_stale)
        self._stale.add(str(message.get("pool")))

    def _publish_stale(self) -> None:
        stale, self._stale = self._stale, set()
        for row in self._table.pools():
            if row.name in stale:
                self._table.publish(row.index)

    def close(self, message: Mapping[str, Any]) -> None:
        """Ends the sessions of a backend that is down, if the row still holds that backend."""
        name = str(message.get("backend"))
        backend = find_backend(self._table, name)
        if backend.serial != message.get("serial") or not backend.active:
            return
        args = {"backend": name}
        self._recorded(f"kill --backend {name}", args, self._backends.kill_backend)
        LOG.warning("sessions of a down backend are ended", backend=name, sessions=backend.active)

    def agent_state(self, message: Mapping[str, Any]) -> None:
        """Sets the state that an agent gave its backend."""
        args = {"backend": message.get("backend"), "state": message.get("state")}
        self._recorded(f"{args['state']} {args['backend']}", args, self._backends.state)
        LOG.warning("an agent changed a state", **args, why=message.get("why") or None)

    def agent_max_connections(self, message: Mapping[str, Any]) -> None:
        """Sets the max_connections that an agent gave its backend."""
        backend = find_backend(self._table, str(message.get("backend")))
        maximum = message.get("max_connections")
        if isinstance(maximum, int):
            self._table.set_max_connections(backend.index, maximum)
            name = f"{backend.pool}/{backend.name}"
            self._record.add(_cause(f"max_connections {name} {maximum}", name), {})

    def _recorded(
        self,
        line: str,
        args: Mapping[str, Any],
        work: Callable[[Mapping[str, Any]], dict[str, Any]],
    ) -> None:
        cause = _cause(line, str(args["backend"]))
        try:
            self._record.add(cause, work(args))
        except AdminError as error:
            self._record.add(cause, error)
            raise


def _cause(line: str, backend: str) -> Cause:
    """Returns the cause of a change by the checker: an agent's answer, or a backend that is
    down."""
    return Cause({"via": "checker"}, line.partition(" ")[0], {"backend": backend}, line=line)
