"""The steward: a child of the old program that keeps its table's books until its workers are gone.

Only the old program knows its table. It exports the counts once more when the successor says that
the last worker has ended, and ends.
"""

from __future__ import annotations

import json
import socket

import setproctitle

from l4lb.native.table import Table
from l4lb.supervisor import counts
from l4lb.supervisor.apply import Membership
from l4lb.supervisor.child import Child, fork
from l4lb.supervisor.reactor import monotonic_ms

ASK_BYTES = 64
SETTLE_TRIES = 100


def _serve(sock: socket.socket, table: Table, membership: Membership, workers: list[int]) -> int:
    setproctitle.setproctitle("l4lb: steward")
    sock.setblocking(True)
    if not sock.recv(ASK_BYTES):
        return 0  # the successor is gone
    for index in workers:
        table.end_worker(index, restarted=False)
    sock.sendall(json.dumps(counts.taken(table, membership)).encode())
    return 0


def start(table: Table, membership: Membership, workers: list[int]) -> tuple[Child, socket.socket]:
    """The child, and this side of its socket: say anything to have the counts, which end with the
    stream. Raises OSError."""
    ours, theirs = socket.socketpair()
    try:
        child = fork(
            "steward",
            lambda: _serve(theirs, table, membership, workers),
            keep=[theirs.fileno()],
            now_ms=monotonic_ms(),
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return child, ours
