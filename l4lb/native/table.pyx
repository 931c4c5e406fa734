# cython: language_level=3
"""The shared table from Python: made by the supervisor, inherited by its children.

Thin: each method converts, calls or copies, and raises. csrc/shm/layout.h says who may write what.
A process calls only the setters of its role.
"""

import time

from libc.stdint cimport uint16_t, uint32_t
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport clock_ms, cut_text, put_address, put_text
from l4lb.native.snapshots cimport Snapshots
from l4lb.native import rows, settings
from l4lb.native.snapshots import reasons

_NO_SETS = {"trusted_set": None, "access_set": None, "rules_set": None}
_COMMANDS = {
    "drain": c.L4_CMD_DRAIN, "stop": c.L4_CMD_STOP, "kill": c.L4_CMD_KILL,
    "kill_backend": c.L4_CMD_KILL_BACKEND, "secrets": c.L4_CMD_SECRETS,
    "recount": c.L4_CMD_RECOUNT,
}


cdef class Table(Snapshots):

    # ---- configuration: the supervisor's --------------------------------------------------------

    def set_listener(self, index, *, name, bind, **values):
        cdef c.l4_listener *row = self._listener(index)
        put_text(row.name, sizeof(row.name), name)
        put_text(row.bind, sizeof(row.bind), bind)
        settings.put(self, "listener", index, **(_NO_SETS | values))
        row.used = 1

    def clear_listener(self, index):
        self._listener(index).used = 0

    def set_pool(self, index, *, name, **values):
        cdef c.l4_pool *row = self._pool(index)
        put_text(row.name, sizeof(row.name), name)
        settings.put(self, "pool", index, **values)
        row.used = 1

    def clear_pool(self, index):
        self._pool(index).used = 0

    def set_backend(self, index, *, pool, name, address, weight, max_connections, backup, health):
        cdef c.l4_backend *row = self._backend(index)
        row.used = 0
        row.uses = row.uses + 1 or 1
        row.pool = pool
        put_text(row.name, sizeof(row.name), name)
        put_text(row.path, sizeof(row.path), address.path)
        put_address(&row.addr, address.path or address.host, address.port)
        c.l4_check_clear(row)
        c.l4_passive_clear(row)
        row.state = c.L4_READY
        row.weight = weight
        row.max_connections = max_connections
        row.flags = c.L4_BACKUP if backup else 0
        row.health = row.words.verdict = rows.HEALTHS.index(health)
        row.ready_since_ms = 0
        if index >= self.table.header.backends_high:
            self.table.header.backends_high = index + 1
        row.used = row.uses

    def set_state(self, index, state):
        """Sets a backend's state. A backend that becomes ready again starts slowly, if its pool has
        a slow start."""
        cdef c.l4_backend *row = self._backend(index)
        cdef uint32_t number = rows.STATES.index(state)
        if number == c.L4_READY and row.state != c.L4_READY:
            row.ready_since_ms = clock_ms()
        row.state = number

    def set_weight(self, index, weight):
        if not 0 <= weight <= c.L4_WEIGHT_MAX:
            raise ValueError(f"weight {weight} is not between 0 and {c.L4_WEIGHT_MAX}")
        self._backend(index).weight = weight

    def set_max_connections(self, index, maximum):
        if not 0 <= maximum < 1 << 32:
            raise ValueError(f"{maximum} is no limit of connections")
        self._backend(index).max_connections = maximum

    def publish(self, pool):
        """Rebuilds a pool's view, which picks read. Call it after any change of membership or
        weight."""
        self._pool(pool)
        cdef uint32_t index = pool
        cdef int error
        with nogil:
            error = c.l4_view_publish(&self.table, index)
        self._check(error, "rebuild the pool's view")

    def schedule(self, pool):
        """Returns the round-robin schedule in force: the backends' rows, for one period."""
        cdef c.l4_view *view = c.l4_table_view(&self.table, pool,
                                               self._pool(pool).view_generation)
        cdef uint16_t *slots = c.l4_view_slots(&self.table, view)
        return [slots[i] for i in range(view.slots)]

    # ---- workers: the supervisor's --------------------------------------------------------------

    def start_worker(self, index, *, pid, cpu, now_ms):
        cdef c.l4_worker *row = self._worker(index)
        row.pid = pid
        row.cpu = c.L4_NONE if cpu is None else cpu
        row.started_ms = now_ms
        row.hung = 0
        if index >= self.table.header.workers_high:
            self.table.header.workers_high = index + 1

    def prepare_worker(self, index):
        """Drops commands for an earlier process of this row. Call it before a process is
        started."""
        cdef c.l4_worker *row = self._worker(index)
        row.command_ring.tail = row.command_ring.head

    def end_worker(self, index, *, restarted):
        """Takes back everything that a dead worker held. Returns the number of sessions that died
        with it. Its UDP sessions stay in their rows for the process that replaces it
        (csrc/run/udp.h), if there is one."""
        cdef c.l4_worker *row = self._worker(index)
        cdef bint with_udp = not restarted
        cdef uint32_t lost = c.l4_account_lost(&self.table, index, with_udp,
                                               time.monotonic_ns() // 1000)
        c.l4_count_clear(&self.table, index)
        c.l4_passive_forget(&self.table, index)
        c.l4_sticky_forget(&self.table, index)
        row.pid = 0
        row.state = c.L4_WORKER_OFF
        row.paused = 0
        row.held = 0
        row.lost += lost
        row.restarts += 1 if restarted else 0
        return lost

    def settle(self):
        """Makes the counts over all workers exact again. Returns False if it must be tried again
        later."""
        cdef int error
        with nogil:
            error = c.l4_count_settle(&self.table)
        return error == 0

    def command(self, index, op, *, slot=0, serial=0, reason="stopped"):
        """Queues a command for a worker. Returns False if its queue is full."""
        cdef c.l4_worker *row = self._worker(index)
        cdef c.l4_command command
        command.op = _COMMANDS[op]
        command.slot = slot
        command.serial = serial
        command.reason = reasons.index(reason)
        return c.l4_ring_put(&row.command_ring, row.commands, &command, sizeof(command),
                             c.L4_COMMANDS)

    def session_serial(self, worker, slot):
        """Returns the serial of the session in that row; 0 if the row is free. Raises
        IndexError."""
        self._worker(worker)
        if not 0 <= slot < self.table.plan.caps.sessions + self.table.plan.caps.flows:
            raise IndexError(f"session {slot}")
        return c.l4_table_session(&self.table, worker, slot).serial

    def take_events(self, index):
        """Returns the worker's events since the last call."""
        cdef c.l4_worker *row = self._worker(index)
        cdef c.l4_event event
        found = []
        while len(found) < <int>c.L4_EVENTS and c.l4_ring_take(
                &row.event_ring, row.events, &event, sizeof(event), c.L4_EVENTS):
            kind = rows.EVENT_KINDS[event.kind] if event.kind < len(rows.EVENT_KINDS) else "?"
            found.append(rows.Event(event.at_ms, index, kind, event.a, event.b))
        return found

    def set_hung(self, index, hung):
        """Marks whether a worker gives no sign of life."""
        self._worker(index).hung = hung

    def retire_worker(self, index):
        """Hides the row of a worker whose process has ended for good; its counts stay."""
        self._worker(index).started_ms = 0

    # ---- health: the checker's ------------------------------------------------------------------

    def record_check(self, index, serial, *, health, passed, result, errno, streak, at_ms,
                     duration_us, kind=0, code=0, text="", cert_end_s=0, verdict=None):
        """Writes one check's result. Returns False if the row has another backend by now."""
        cdef c.l4_backend *row = self._backend(index)
        cdef c.l4_check check
        if row.used != serial:
            return False
        memset(&check, 0, sizeof(check))
        check.health = rows.HEALTHS.index(health)
        check.verdict = rows.HEALTHS.index(verdict or health)
        check.result = result
        check.error = errno
        check.streak = streak
        check.kind = kind
        check.code = code
        check.at_ms = at_ms
        check.duration_us = duration_us
        check.cert_end_s = cert_end_s
        check.passed = passed
        cut_text(check.text, sizeof(check.text), text)
        c.l4_check_record(row, &check)
        return True
