"""Finds workers that hang, reports them, and replaces them if the configuration says so.

An idle worker makes no turns of its loop. A worker without a turn since the last look is therefore
woken, and must then show a sign of life (pulse.py decides). A worker that has not made its first
turn is not judged: it may be loading many certificates.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.config.model import Process
from l4lb.native.rows import WorkerRow
from l4lb.native.table import Table
from l4lb.supervisor.process.child import Child
from l4lb.supervisor.process.pulse import LOOK_EVERY_MS, SILENT_S, Pulse
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.workers.workers import Workers

LOG = l4lb.log.get("supervisor")


class HungWorkers:
    """Looks at all workers as long as they serve. process: returns the settings in force."""

    def __init__(
        self,
        reactor: Reactor,
        table: Table,
        workers: Workers,
        process: Callable[[], Process],
        tell: Callable[[str, Mapping[str, Any]], None],
    ) -> None:
        self._table = table
        self._workers = workers
        self._process = process
        self._tell = tell
        self._pulses: dict[int, Pulse] = {}  # by pid
        reactor.every(LOOK_EVERY_MS, self.look)

    def look(self) -> None:
        """Looks once at each worker; called every LOOK_EVERY_MS."""
        if self._workers.stopping:
            return
        before, self._pulses = self._pulses, {}
        for row in self._table.workers():
            slot = self._workers.slots.get(row.index)
            if slot is None or slot.child is None or row.beat_ms < row.started_ms:
                continue
            first = Pulse(monotonic_ms(), row.beat_ms)
            known = before.get(slot.child.pid, first)
            now = known.after(monotonic_ms(), row.beat_ms) if known is not first else first
            self._pulses[slot.child.pid] = now
            if now.beat == known.beat:
                os.eventfd_write(slot.wakeup_fd, 1)
            self._judge(row, slot.child, now)

    def _judge(self, row: WorkerRow, child: Child, now: Pulse) -> None:
        hung = row.state == "hung"
        fields = {"worker": row.index, "pid": child.pid}
        if hung and not now.silent:
            self._table.set_hung(row.index, False)
            LOG.warning("a worker that gave no sign of life goes on", **fields)
            self._tell("worker_goes_on", fields)
        elif now.is_lost and not hung:
            self._table.set_hung(row.index, True)
            replaced = self._process().hung_worker == "replace"
            then = "it is killed and another takes its place" if replaced else "its clients wait"
            text = f"it gave no sign of life for {SILENT_S} s; {then}"
            LOG.error("a worker hangs", text=text, connections=row.active, **fields)
            self._tell("worker_hung", {**fields, "text": text})
            if replaced:
                child.kill()
