# cython: language_level=3
"""The shared table from Python: made by the supervisor, inherited by its children.

Thin: each method converts, calls or copies, and raises. Who may write what is csrc/shm/layout.h's
to say; a process calls only the setters of its role.
"""

import ipaddress
import itertools
import os
import socket
import time

from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c_l4 as c
from l4lb.native cimport c_sticky as sticky
from l4lb.native import rows

cdef class Table:

    def __cinit__(self, capacities):
        cdef c.l4_caps caps
        (caps.workers, caps.listeners, caps.pools, caps.backends, caps.sessions,
         caps.flows, caps.sticky) = rows.Capacities(*capacities)
        self._check(c.l4_table_create(&self.table, &caps), "make the shared table")

    def __dealloc__(self):
        if self.table.header is not NULL:
            c.l4_table_close(&self.table)

    @staticmethod
    def _check(int error, what):
        if error < 0:
            raise OSError(-error, f"cannot {what}: {os.strerror(-error)}")

    cdef const c.l4_table *handle(self):
        return &self.table

    def attach_copy(self):
        """Maps the same table once more from its descriptor, with all its checks."""
        cdef Table other = Table.__new__(Table, self.capacities)
        c.l4_table_close(&other.table)
        cdef int fd = os.dup(self.table.fd)
        cdef int error = c.l4_table_attach(&other.table, fd)
        if error:
            os.close(fd)
        self._check(error, "attach the shared table")
        return other

    # ---- the whole ------------------------------------------------------------------------------

    @property
    def capacities(self):
        cdef c.l4_caps caps = self.table.plan.caps
        return rows.Capacities(caps.workers, caps.listeners, caps.pools, caps.backends,
                               caps.sessions, caps.flows, caps.sticky)

    @property
    def size_bytes(self):
        return self.table.plan.bytes

    @property
    def connections(self):
        return self.table.header.connections

    @property
    def generation(self):
        return self.table.header.generation

    @generation.setter
    def generation(self, value):
        self.table.header.generation = value

    @property
    def max_connections(self):
        return self.table.header.max_connections

    @max_connections.setter
    def max_connections(self, value):
        self.table.header.max_connections = value

    @property
    def drain_timeout_ms(self):
        return self.table.header.drain_timeout_ms

    @drain_timeout_ms.setter
    def drain_timeout_ms(self, value):
        self.table.header.drain_timeout_ms = value

    def set_hung(self, index, hung):
        """The supervisor's: a worker gives no sign of life."""
        self._worker(index).hung = hung

    @property
    def checker_beat_ms(self):
        return self.table.header.checker_beat_ms

    def beat_checker(self, now_ms):
        self.table.header.checker_beat_ms = now_ms

    @property
    def checker_pid(self):
        return self.table.header.checker_pid

    @checker_pid.setter
    def checker_pid(self, value):
        self.table.header.checker_pid = value

    # ---- rows by index --------------------------------------------------------------------------

    cdef c.l4_listener *_listener(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.listeners:
            raise IndexError(f"listener {index}")
        return c.l4_table_listener(&self.table, index)

    cdef c.l4_pool *_pool(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.pools:
            raise IndexError(f"pool {index}")
        return c.l4_table_pool(&self.table, index)

    cdef c.l4_backend *_backend(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.backends:
            raise IndexError(f"backend {index}")
        return c.l4_table_backend(&self.table, index)

    cdef c.l4_worker *_worker(self, index) except NULL:
        if not 0 <= index < self.table.plan.caps.workers:
            raise IndexError(f"worker {index}")
        return c.l4_table_worker(&self.table, index)

    @property
    def hash_key(self):
        cdef c.l4_hash_key key = self.table.header.hash_key
        return int(key.k0).to_bytes(8, "little") + int(key.k1).to_bytes(8, "little")

    def set_hash_key(self, key):
        """key: the 16 secret bytes of every hash of a client. Before the first fork."""
        if len(key) != 16:
            raise ValueError("a hash key has 16 bytes")
        self.table.header.hash_key.k0 = int.from_bytes(key[:8], "little")
        self.table.header.hash_key.k1 = int.from_bytes(key[8:], "little")

    # ---- configuration: the supervisor's --------------------------------------------------------

    def set_listener(self, index, *, name, bind, protocol, pool):
        cdef c.l4_listener *row = self._listener(index)
        _put_text(row.name, sizeof(row.name), name)
        _put_text(row.bind, sizeof(row.bind), bind)
        row.protocol = rows.PROTOCOLS.index(protocol)
        row.pool = pool
        row.used = 1

    def clear_listener(self, index):
        self._listener(index).used = 0

    def set_pool(self, index, *, name, balance, when_all_down, retries, connect_timeout_ms,
                 idle_timeout_ms, half_closed_timeout_ms, max_connections=0,
                 hash_key="source_ip", hash_prefix=(32, 128), hash_balance_percent=0,
                 maglev_size=0, all_backups=False, slow_start_ms=0, queue_length=0,
                 queue_timeout_ms=0):
        cdef c.l4_pool *row = self._pool(index)
        _put_text(row.name, sizeof(row.name), name)
        row.balance = rows.BALANCES.index(balance)
        row.all_down = rows.WHEN_ALL_DOWN.index(when_all_down)
        row.retries = retries
        row.connect_timeout_ms = connect_timeout_ms
        row.idle_timeout_ms = idle_timeout_ms
        row.half_closed_timeout_ms = half_closed_timeout_ms
        row.max_connections = max_connections
        row.hash_rule.kind = rows.HASH_KEYS.index(hash_key)
        row.hash_rule.prefix4, row.hash_rule.prefix6 = hash_prefix
        row.hash_balance_percent = hash_balance_percent
        row.maglev_size = maglev_size
        row.all_backups = all_backups
        row.slow_start_ms = slow_start_ms
        row.queue.timeout_ms = queue_timeout_ms
        row.queue.length = queue_length
        row.used = 1

    def clear_pool(self, index):
        self._pool(index).used = 0

    def set_backend(self, index, *, pool, name, address, weight, max_connections, backup, health):
        cdef c.l4_backend *row = self._backend(index)
        row.used = 0
        row.uses = row.uses + 1 or 1
        row.pool = pool
        _put_text(row.name, sizeof(row.name), name)
        _put_text(row.path, sizeof(row.path), address.path)
        _put_address(&row.addr, address.path or address.host, address.port)
        row.check_result = row.check_errno = row.check_streak = 0
        row.check_at_ms = row.check_duration_us = 0
        row.checks_passed = row.checks_failed = row.health_since_ms = 0
        row.state = 0
        row.weight = weight
        row.max_connections = max_connections
        row.flags = 1 if backup else 0
        row.health = rows.HEALTHS.index(health)
        row.response = row.up_since_ms = row.ready_since_ms = 0
        c.l4_passive_clear(row)
        row.words.verdict = rows.HEALTHS.index(health)
        if index >= self.table.header.backends_high:
            self.table.header.backends_high = index + 1
        row.used = row.uses

    def set_state(self, index, state):
        """A backend made ready again starts slowly from now, where its pool says so."""
        cdef c.l4_backend *row = self._backend(index)
        cdef uint32_t number = rows.STATES.index(state)
        if number == 0 and row.state != 0:
            row.ready_since_ms = _now_ms()
        row.state = number

    def set_weight(self, index, weight):
        if not 0 <= weight <= c.L4_WEIGHT_MAX:
            raise ValueError(f"weight {weight} is not between 0 and {c.L4_WEIGHT_MAX}")
        self._backend(index).weight = weight

    def set_max_connections(self, index, most):
        if not 0 <= most < 1 << 32:
            raise ValueError(f"{most} is no limit of connections")
        self._backend(index).max_connections = most

    def publish(self, pool):
        """Rebuilds what picks read of a pool: after any change of membership or weight."""
        self._pool(pool)
        cdef uint32_t index = pool
        cdef int error
        with nogil:
            error = c.l4_view_publish(&self.table, index)
        self._check(error, "rebuild the pool's view")

    def schedule(self, pool):
        """The round-robin schedule in force: backend indexes, one period."""
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
        """Before a process is started for this row: commands meant for an earlier one are gone."""
        cdef c.l4_worker *row = self._worker(index)
        row.command_ring.tail = row.command_ring.head

    def end_worker(self, index, *, restarted):
        """Takes back what a dead worker held; returns how many sessions died with it. Its UDP
        sessions wait in their rows for the process that is started for it again (csrc/run/udp.h),
        if one is."""
        cdef c.l4_worker *row = self._worker(index)
        cdef bint with_udp = not restarted
        cdef uint32_t lost = c.l4_account_lost(&self.table, index, with_udp,
                                               time.monotonic_ns() // 1000)
        c.l4_count_clear(&self.table, index)
        c.l4_passive_forget(&self.table, index)
        sticky.l4_sticky_forget(&self.table, index)
        row.pid = 0
        row.state = 0
        row.paused = 0
        row.held = 0
        row.lost += lost
        row.restarts += 1 if restarted else 0
        return lost

    def settle(self):
        """Makes the counts over all workers exact again; False: try again in a moment."""
        cdef int error
        with nogil:
            error = c.l4_count_settle(&self.table)
        return error == 0

    def command(self, index, op, *, slot=0, serial=0, reason="stopped"):
        """Queues a command for a worker. False: its queue is full."""
        cdef c.l4_worker *row = self._worker(index)
        cdef c.l4_command command
        command.op = {"drain": c.L4_CMD_DRAIN, "stop": c.L4_CMD_STOP, "kill": c.L4_CMD_KILL,
                      "kill_backend": c.L4_CMD_KILL_BACKEND, "secrets": c.L4_CMD_SECRETS,
                      "recount": c.L4_CMD_RECOUNT}[op]
        command.slot = slot
        command.serial = serial
        command.reason = reasons.index(reason)
        return c.l4_ring_put(&row.command_ring, row.commands, &command, sizeof(command),
                             sizeof(row.commands) // sizeof(command))

    def session_serial(self, worker, slot):
        """The serial of the session in that row; 0 if it is free."""
        self._worker(worker)
        if not 0 <= slot < self.table.plan.caps.sessions + self.table.plan.caps.flows:
            raise IndexError(f"session {slot}")
        return c.l4_table_session(&self.table, worker, slot).serial

    def take_events(self, index):
        """What the worker has told since the last call."""
        cdef c.l4_worker *row = self._worker(index)
        cdef c.l4_event event
        found = []
        while len(found) < 256 and c.l4_ring_take(&row.event_ring, row.events, &event,
                                                  sizeof(event),
                                                  sizeof(row.events) // sizeof(event)):
            kind = rows.EVENT_KINDS[event.kind] if event.kind < len(rows.EVENT_KINDS) else "?"
            found.append(rows.Event(event.at_ms, index, kind, event.a, event.b))
        return found

    # ---- health: the checker's ------------------------------------------------------------------

    def record_check(self, index, serial, *, health, passed, result, errno, streak, at_ms,
                     duration_us, kind=0, code=0, text="", cert_end_s=0, verdict=None):
        """Writes one check's result. False: the row has been given to another backend."""
        cdef c.l4_backend *row = self._backend(index)
        if row.used != serial:
            return False
        row.check_seq |= 1  # a checker that died here left it odd
        row.check_result = result
        row.check_errno = errno
        row.check_streak = streak
        row.check_at_ms = at_ms
        row.check_duration_us = duration_us
        row.words.verdict = rows.HEALTHS.index(verdict or health)
        row.words.kind = kind
        row.words.code = code
        row.words.cert_end_s = cert_end_s
        _cut_text(row.words.text, sizeof(row.words.text), text)
        if passed:
            row.checks_passed += 1
        else:
            row.checks_failed += 1
        self._put_health(row, rows.HEALTHS.index(health), at_ms)
        row.check_seq += 1
        return True

    cdef void _put_health(self, c.l4_backend *row, uint32_t word, uint64_t at_ms):
        if row.health != word:
            if row.health == 2:
                row.up_since_ms = at_ms
            row.health_since_ms = at_ms
            row.health = word

    # ---- reading --------------------------------------------------------------------------------

    def listeners(self):
        cdef c.l4_listener *row
        cdef c.l4_tally *tally
        found = []
        for index in range(self.table.plan.caps.listeners):
            row = c.l4_table_listener(&self.table, index)
            if not row.used:
                continue
            active = accepted = refused = 0
            for worker in self._counted():
                tally = c.l4_table_tally(&self.table, worker, index)
                active += tally.active
                accepted += tally.accepted
                refused += tally.refused
            found.append(rows.ListenerRow(
                index, row.name.decode(), row.bind.decode(), rows.PROTOCOLS[row.protocol],
                self._pool(row.pool).name.decode(), active, accepted, refused))
        return found

    def pools(self):
        cdef c.l4_pool *row
        found = []
        for index in range(self.table.plan.caps.pools):
            row = c.l4_table_pool(&self.table, index)
            if row.used:
                found.append(rows.PoolRow(
                    index, row.name.decode(), rows.BALANCES[row.balance],
                    rows.WHEN_ALL_DOWN[row.all_down], row.retries, row.connect_timeout_ms,
                    row.idle_timeout_ms, row.half_closed_timeout_ms,
                    row.view_generation, row.max_connections, row.inflight,
                    rows.HASH_KEYS[row.hash_rule.kind],
                    (row.hash_rule.prefix4, row.hash_rule.prefix6), row.hash_balance_percent,
                    row.maglev_size, bool(row.all_backups), row.slow_start_ms,
                    row.queue.length, row.queue.timeout_ms, row.queue.waiting,
                    row.sticky.ttl_ms))
        return found

    def backends(self):
        found = []
        for index in range(self.table.header.backends_high):
            row = self.backend(index)
            if row is not None:
                found.append(row)
        return found

    def backend(self, index):
        cdef c.l4_backend *row = self._backend(index)
        cdef c.l4_column *column
        cdef uint32_t worker, at = index
        if not row.used:
            return None
        cdef uint64_t active = 0, total = 0, connect_errors = 0, bytes_in = 0, bytes_out = 0
        cdef uint64_t resets = 0
        for worker in self._counted():
            column = c.l4_table_column(&self.table, worker, at)
            active += column.active
            total += column.total
            connect_errors += column.connect_errors
            bytes_in += column.bytes_in
            bytes_out += column.bytes_out
            resets += column.resets
        address = rows.Address(_host(&row.addr), row.addr.port, row.path.decode())
        return rows.BackendRow(
            index, row.used, self._pool(row.pool).name.decode(), row.name.decode(), address,
            row.weight, row.max_connections, bool(row.flags & 1), rows.STATES[row.state],
            "ejected" if row.health != 2 and c.l4_passive_ejected(row, _now_ms())
            else rows.HEALTHS[row.health], row.inflight, active, total, connect_errors, bytes_in,
            bytes_out, resets, c.l4_response_read(&row.response, _now_ms()), row.check_result,
            row.check_errno,
            row.check_streak, row.check_at_ms, row.check_duration_us, row.checks_passed,
            row.checks_failed, row.health_since_ms)

    def workers(self):
        return [row for row in self.all_workers() if row.started_ms or row.pid]

    def all_workers(self):
        """As workers(), with rows that have no process any more and the supervisor's book."""
        cdef c.l4_worker *row
        found = []
        for index in self._counted():
            row = c.l4_table_worker(&self.table, index)
            ended = {reasons[i]: row.ended[i] for i in range(1, len(reasons))}
            found.append(rows.WorkerRow(
                index, row.pid, None if row.cpu == c.L4_NONE else row.cpu,
                "hung" if row.hung else rows.WORKER_STATES[row.state],
                row.capacity, row.restarts, row.lost,
                row.started_ms, row.active, bool(row.paused), row.accepted, row.turns,
                row.beat_ms, ended, row.udp_active, row.udp_capacity, row.held))
        return found

    cdef object _counted(self):
        """The worker rows that have counts: those ever used, and the supervisor's book."""
        book = c.l4_table_book(&self.table)
        return [*range(min(self.table.header.workers_high, book)), book]

    def retire_worker(self, index):
        """Its process has ended and none is to follow: it is shown no more, its counts stay."""
        self._worker(index).started_ms = 0

    def sessions(self, now_ms, limit):
        """Up to `limit` live sessions of all workers; now_ms is CLOCK_MONOTONIC."""
        cdef c.l4_session *row
        found = []
        for worker in range(self.table.header.workers_high):
            for slot in self._slots(worker):
                if len(found) >= limit:
                    return found
                row = c.l4_table_session(&self.table, worker, slot)
                if row.serial:
                    session = self._session(row, worker, slot, now_ms)
                    if session is not None:
                        found.append(session)
        return found

    def _slots(self, worker):
        """The session rows of a worker that were ever used: TCP ones, then UDP ones."""
        caps = self.table.plan.caps
        row = self._worker(worker)
        first = caps.sessions
        return itertools.chain(range(min(row.sessions_high, first)),
                               range(first, first + min(row.flows_high, caps.flows)))

    cdef object _client_text(self, const c.l4_addr *addr):
        host = _host(addr)
        return str(rows.Address(host, addr.port)) if host else "unix:"

    cdef object _session(self, c.l4_session *row, worker, slot, now_ms):
        cdef uint32_t serial = row.serial
        cdef c.l4_session copy
        memcpy(&copy, row, sizeof(copy))
        if row.serial != serial:
            return None
        backend = ""
        if copy.backend < self.table.header.backends_high:
            backend = c.l4_table_backend(&self.table, copy.backend).name.decode()
        if copy.listener >= self.table.plan.caps.listeners or \
                copy.pool >= self.table.plan.caps.pools:
            return None
        state = c.l4_state_word(copy.state).decode()
        client = self._client_text(&copy.client)
        return rows.SessionRow(
            f"{worker}.{slot}.{serial}", worker, state,
            c.l4_table_listener(&self.table, copy.listener).name.decode(),
            c.l4_table_pool(&self.table, copy.pool).name.decode(), backend, client,
            copy.bytes[0], copy.bytes[1], max(0, now_ms - copy.started_us // 1000),
            max(0, now_ms - <object>copy.active_ms), copy.connect_us, copy.attempts,
            "udp" if slot >= self.table.plan.caps.sessions else "tcp",
            *self._told(row, &copy, worker, slot))

    cdef tuple _told(self, c.l4_session *row, const c.l4_session *copy, worker, slot):
        """What was learnt of its client; nothing if the row has another session meanwhile."""
        cdef c.l4_told told
        if slot >= self.table.plan.caps.sessions or \
                not c.l4_told_read(&self.table, worker, slot, copy, &told) or \
                row.serial != copy.serial:
            return ()
        via = self._client_text(&told.via) if told.via.family else ""
        return via, *(text.decode("ascii", "backslashreplace") for text in (
            <bytes>told.name, <bytes>told.version, <bytes>told.cipher, <bytes>told.protocol))


cdef _now_ms():
    return time.monotonic_ns() // 1000000


cdef _put_text(char *to, size_t size, text):
    data = text.encode()
    if len(data) >= <Py_ssize_t>size:
        raise ValueError(f"{text!r} is longer than {size - 1} bytes")
    if <bytes>to == data:
        return  # why: others read it, also between the two writes below
    memset(to, 0, size)
    memcpy(to, <const char *>data, len(data))


cdef _cut_text(char *to, size_t size, text):
    data = text.encode(errors="replace")[:size - 1]
    memset(to, 0, size)
    memcpy(to, <const char *>data, len(data))


cdef _put_address(c.l4_addr *to, host, port):
    """host: an IP literal, a unix path (begins with / or @), or "" for none."""
    memset(to, 0, sizeof(to[0]))
    if not host:
        return
    if host[0] in "/@":
        to.family = socket.AF_UNIX
        return
    ip = ipaddress.ip_address(host)
    packed = ip.packed
    to.family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    to.port = port
    memcpy(to.ip, <const char *>packed, len(packed))


cdef _host(const c.l4_addr *addr):
    if addr.family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, addr.ip[:4])
    if addr.family == socket.AF_INET6:
        return socket.inet_ntop(socket.AF_INET6, addr.ip[:16])
    return ""


reasons = tuple(c.l4_reason_word(i).decode() for i in range(c.L4_REASON_COUNT))
