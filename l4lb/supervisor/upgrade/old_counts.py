"""The steward: a child of the old program that watches its table until the old workers have ended.

Only the old program knows the layout of its table. The steward tells workers to end their sessions,
and reports the sessions that they still have. When the new program says that the last worker has
ended, the steward sends the final counts and ends.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from typing import Any

import setproctitle

from l4lb.clock import monotonic_ms
from l4lb.native import counts as native_counts
from l4lb.native.table import Table
from l4lb.supervisor.process.child import Child, fork
from l4lb.supervisor.table.membership import Membership
from l4lb.supervisor.upgrade import carried_counts

ASK_BYTES = 64
# Messages of the new program, whatever its version. STOP and HELD end with a newline; COUNTS has
# none and comes last.
STOP, HELD, COUNTS = b"stop ", b"held", b"counts"
HELD_BYTES = 1 << 20
SETTLE_TRIES = 100


def _serve(
    sock: socket.socket, table: Table, membership: Membership, workers: Mapping[int, int]
) -> int:
    setproctitle.setproctitle("l4lb: steward")
    sock.setblocking(True)
    held = _Held(table, membership)
    asked = b""
    while asked != COUNTS:
        more = sock.recv(ASK_BYTES)
        if not more:
            return 0  # the new program has gone
        *lines, asked = (asked + more).split(b"\n")
        for line in lines:
            if line == HELD:
                sock.sendall(json.dumps(held.look()).encode() + b"\n")
            else:
                _stop(table, workers, line.removeprefix(STOP).decode())
    for index in workers:
        table.end_worker(index, restarted=False)
    sock.sendall(json.dumps(carried_counts.taken(table, membership)).encode())
    return 0


class _Held:
    """The sessions that old workers still have: {left, backends: [[pool, name, sessions], ...]}.
    left: no old worker takes clients any more."""

    def __init__(self, table: Table, membership: Membership) -> None:
        self._table = table
        self._names = {**membership.backends.gone, **membership.backends.live}
        self._before: dict[int, int] = {}

    def look(self) -> dict[str, Any]:
        waited_for = {row.name for row in self._table.pools() if row.waiting}
        held = native_counts.parts(self._table)
        for (pool, _), row in self._names.items():
            if pool in waited_for:  # a place that becomes free goes to a client in the old queue
                held[row] = max(held.get(row, 0), self._before.get(row, 0))
        self._before = held
        return {
            "left": not any(row.pid and row.state == "runs" for row in self._table.workers()),
            "backends": [[*key, held[row]] for key, row in self._names.items() if row in held],
        }


def _stop(table: Table, workers: Mapping[int, int], reason: str) -> None:
    for index, wakeup_fd in workers.items():
        table.command(index, "stop", reason=reason)
        os.eventfd_write(wakeup_fd, 1)


def stop(reason: str) -> bytes:
    """Returns the message that makes the old workers end all their sessions."""
    return STOP + reason.encode() + b"\n"


def start(
    table: Table, membership: Membership, workers: Mapping[int, int]
) -> tuple[Child, socket.socket]:
    """Starts the steward. Returns the child and the other end of its socket. stop(reason) sent
    there ends all sessions. COUNTS asks for the counts, which end with the stream. workers: by
    index, the eventfd that wakes each. Raises OSError."""
    ours, theirs = socket.socketpair()
    try:
        child = fork(
            "steward",
            lambda: _serve(theirs, table, membership, workers),
            keep=[theirs.fileno(), *workers.values()],
            now_ms=monotonic_ms(),
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return child, ours
