# cython: language_level=3
"""The rows of the shared table as plain tuples that every process may read. Each row is a
snapshot."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy, memset

from l4lb.native cimport c
from l4lb.native.memory cimport Memory, add_column, clock_ms, host_of
from l4lb.native import rows


reasons = tuple(c.l4_reason_word(i).decode() for i in range(c.L4_REASON_COUNT))


cdef _key(Memory memory, index, kind, key):
    """Returns a key of a pool as the configuration writes it, such as "header:x-user"."""
    cdef c.l4_texts texts
    cdef c.l4_text name
    while True:
        texts = c.l4_texts_begin(&memory.table)
        name = c.l4_texts_key(&texts, index, key)
        told = b"" if name.at is NULL else name.at[:name.bytes]
        if c.l4_texts_hold(&memory.table, &texts):
            word = rows.HASH_KEYS[kind]
            return f"{word}:{told.decode('ascii', 'replace')}" if told else word


cdef class Snapshots(Memory):

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
                    _key(self, index, row.hash_rule.kind, c.L4_TEXTS_KEY_HASH),
                    (row.hash_rule.prefix4, row.hash_rule.prefix6), row.hash_balance_percent,
                    row.maglev_size, bool(row.all_backups), row.slow_start_ms,
                    row.queue.length, row.queue.timeout_ms, row.queue.waiting,
                    row.sticky.ttl_ms,
                    _key(self, index, row.sticky.key.kind, c.L4_TEXTS_KEY_STICKY)
                    if row.sticky.ttl_ms else ""))
        return found

    def backends(self):
        found = []
        for index in range(c.l4_table_backends_high(&self.table)):
            row = self.backend(index)
            if row is not None:
                found.append(row)
        return found

    def backend(self, index):
        cdef c.l4_backend *row = self._backend(index)
        cdef c.l4_column *column
        cdef c.l4_column sum
        cdef uint32_t worker, at = index
        if not row.used:
            return None
        cdef uint64_t active = 0
        memset(&sum, 0, sizeof(sum))
        for worker in self._counted():
            column = c.l4_table_column(&self.table, worker, at)
            active += column.active
            add_column(&sum, column)
        address = rows.Address(host_of(&row.addr), row.addr.port, row.path.decode())
        return rows.BackendRow(
            index, row.used, self._pool(row.pool).name.decode(), row.name.decode(), address,
            row.weight, row.max_connections, bool(row.flags & c.L4_BACKUP), rows.STATES[row.state],
            "ejected" if row.health != c.L4_DOWN and c.l4_passive_ejected(row, clock_ms())
            else rows.HEALTHS[row.health], row.inflight, active, sum.total, sum.connect_errors,
            sum.bytes_in, sum.bytes_out, sum.resets,
            c.l4_response_read(&row.response, clock_ms()), row.check_result, row.check_errno,
            row.check_streak, row.check_at_ms, row.check_duration_us, row.checks_passed,
            row.checks_failed, row.health_since_ms)

    def workers(self):
        return [row for row in self.all_workers() if row.started_ms or row.pid]

    def all_workers(self):
        """Returns the rows of workers(), rows without a process any more, and the book (the
        supervisor's own)."""
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

    def sessions(self, now_ms, limit):
        """Returns up to `limit` live sessions of all workers. now_ms: CLOCK_MONOTONIC."""
        cdef c.l4_session *row
        found = []
        for worker in range(c.l4_table_workers_high(&self.table)):
            for slot in self._slots(worker):
                if len(found) >= limit:
                    return found
                row = c.l4_table_session(&self.table, worker, slot)
                if row.serial:
                    session = self._session(row, worker, slot, now_ms)
                    if session is not None:
                        found.append(session)
        return found

    cdef object _client_text(self, const c.l4_addr *addr):
        host = host_of(addr)
        # Of a client that a proxy tells of, no port is known.
        return "unix:" if not host else str(rows.Address(host, addr.port)) if addr.port else host

    cdef object _session(self, c.l4_session *row, worker, slot, now_ms):
        cdef uint32_t serial = row.serial
        cdef c.l4_session copy
        memcpy(&copy, row, sizeof(copy))
        if row.serial != serial:
            return None
        backend = ""
        if copy.backend < c.l4_table_backends_high(&self.table):
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
            "udp" if slot >= self.table.plan.caps.sessions else "http" if copy.http else "tcp",
            *self._told(row, &copy, worker, slot))

    cdef tuple _told(self, c.l4_session *row, const c.l4_session *copy, worker, slot):
        """Returns the facts known of the client; nothing if the row has another session
        meanwhile."""
        cdef c.l4_client_info told
        if slot >= self.table.plan.caps.sessions or \
                not c.l4_client_info_read(&self.table, worker, slot, copy, &told) or \
                row.serial != copy.serial:
            return ()
        via = self._client_text(&told.via) if told.via.family else ""
        texts = <bytes>told.name, <bytes>told.version, <bytes>told.cipher, <bytes>told.protocol
        return via, *(one.decode("ascii", "backslashreplace") for one in texts), told.port
