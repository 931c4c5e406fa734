# cython: language_level=3
"""Health in the shared table beside its rows: ejections, and rows that have changed.

Thin, like table.pyx; each function says which process may call it.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from l4lb.native cimport c
from l4lb.native.memory cimport put_text
from l4lb.native.table cimport Table
from l4lb.native import rows
from l4lb.native.results import CAUSES, CHECK_KINDS, HealthRow


SHOWN = (*rows.HEALTHS, "ejected")
_EJECTED = SHOWN.index("ejected")


def end_ejection(Table table, index, serial, *, since_ms, now_ms):
    """For the checker: ends an ejection that began before since_ms. Returns False if there is
    none."""
    cdef c.l4_backend *row = table._backend(index)
    if row.used != serial:
        return False
    return c.l4_passive_end(table.handle(), index, since_ms, now_ms)


def set_health(Table table, index, serial, *, health, agent, at_ms):
    """For the checker: sets a backend's health when no result of a check does."""
    cdef c.l4_backend *row = table._backend(index)
    if row.used != serial:
        return False
    c.l4_check_say(row, rows.HEALTHS.index(health), rows.AGENT_WORDS.index(agent), at_ms)
    return True


def set_weight_change(Table table, index, serial, percent):
    """For the checker: sets the change of a backend's weight in percent. Returns False if it is
    unchanged."""
    cdef c.l4_backend *row = table._backend(index)
    if row.used != serial or row.weight_change == percent:
        return False
    row.weight_change = percent
    return True


def set_told(Table table, index, health):
    """For the checker: sets the health that was last reported as an event."""
    table._backend(index).words.told = 1 + SHOWN.index(health)


def health(Table table, index):
    """Returns a backend's health and what led to it; None: the row is free."""
    cdef c.l4_backend *row = table._backend(index)
    cdef c.l4_check_words words
    if not row.used:
        return None
    c.l4_check_read(row, &words)
    return HealthRow(
        _word(rows.HEALTHS, words.verdict),
        _word(CHECK_KINDS, words.kind),
        words.code,
        words.text.decode(errors="replace"),
        words.cert_end_s,
        _word(rows.AGENT_WORDS, words.agent),
        row.weight_change,
        row.ejected_until_ms,
        row.passive.ejected_at_ms,
        row.passive.duration_ms,
        row.passive.ejections,
        _word(CAUSES, row.passive.cause),
        row.passive.error,
        row.passive.unreached,
        row.passive.resets,
        _word(("", *SHOWN), words.told),
    )


def _word(words, number):
    """Numbers come from memory that other processes write."""
    return words[number] if number < len(words) else "?"


def exported(Table table, index):
    """Returns all health data of a backend as plain data, for restore."""
    cdef c.l4_backend *row = table._backend(index)
    return {
        "health": row.health, "result": row.check_result, "errno": row.check_errno,
        "streak": row.check_streak, "at_ms": row.check_at_ms,
        "duration_us": row.check_duration_us, "passed": row.checks_passed,
        "failed": row.checks_failed, "since_ms": row.health_since_ms,
        "up_since_ms": row.up_since_ms, "ready_since_ms": row.ready_since_ms,
        "response": row.response, "weight_change": row.weight_change,
        "kind": row.words.kind, "code": row.words.code, "cert_end_s": row.words.cert_end_s,
        "told": row.words.told, "agent": row.words.agent, "verdict": row.words.verdict,
        "text": row.words.text[:sizeof(row.words.text) - 1].split(b"\0")[0].decode(
            errors="replace"),
        "ejected_until_ms": row.ejected_until_ms, "unreached": row.passive.unreached,
        "resets": row.passive.resets, "level": row.passive.level, "cause": row.passive.cause,
        "error": row.passive.error, "eject_ms": row.passive.duration_ms,
        "ejected_at_ms": row.passive.ejected_at_ms, "ejections": row.passive.ejections,
    }


def restore(Table table, index, known):
    """Writes the data of exported into a row, before any other process runs."""
    cdef c.l4_backend *row = table._backend(index)
    row.check_result, row.check_errno = known["result"], known["errno"]
    row.check_streak, row.check_at_ms = known["streak"], known["at_ms"]
    row.check_duration_us = known["duration_us"]
    row.checks_passed, row.checks_failed = known["passed"], known["failed"]
    row.health_since_ms, row.up_since_ms = known["since_ms"], known["up_since_ms"]
    row.ready_since_ms, row.response = known["ready_since_ms"], known["response"]
    row.weight_change = known["weight_change"]
    row.words.kind, row.words.code = known["kind"], known["code"]
    row.words.cert_end_s, row.words.told = known["cert_end_s"], known["told"]
    row.words.agent, row.words.verdict = known["agent"], known["verdict"]
    put_text(row.words.text, sizeof(row.words.text), known["text"])
    row.passive.unreached, row.passive.resets = known["unreached"], known["resets"]
    row.passive.level, row.passive.cause = known["level"], known["cause"]
    row.passive.error, row.passive.duration_ms = known["error"], known["eject_ms"]
    row.passive.ejected_at_ms, row.passive.ejections = known["ejected_at_ms"], known["ejections"]
    row.ejected_until_ms = known["ejected_until_ms"]
    row.health = known["health"]


cdef class Watch:
    """The rows that have changed since the last look. A look is cheap, however many rows there
    are."""

    cdef Table _table
    cdef uint32_t *_used
    cdef uint32_t *_state
    cdef uint32_t *_weight
    cdef uint64_t _generation

    def __cinit__(self, Table table):
        self._table = table
        self._used = <uint32_t *>calloc(table.table.plan.caps.backends, sizeof(uint32_t))
        self._state = <uint32_t *>calloc(table.table.plan.caps.backends, sizeof(uint32_t))
        self._weight = <uint32_t *>calloc(table.table.plan.caps.backends, sizeof(uint32_t))
        if self._used is NULL or self._state is NULL or self._weight is NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self._used)
        free(self._state)
        free(self._weight)

    def changed(self, now_ms):
        """Returns rows that were assigned, removed or reconfigured, or whose health differs from
        the one reported."""
        cdef c.l4_backend *row
        cdef uint32_t shown
        cdef uint64_t now = now_ms
        cdef bint all_of_them = self._generation != self._table.table.header.generation
        self._generation = self._table.table.header.generation
        found = []
        for index in range(c.l4_table_backends_high(&self._table.table)):
            row = c.l4_table_backend(&self._table.table, index)
            if not row.used and not self._used[index]:
                continue
            shown = row.health
            if shown != c.L4_DOWN and row.ejected_until_ms > now:
                shown = _EJECTED
            if all_of_them or row.used != self._used[index] or \
                    row.state != self._state[index] or \
                    row.weight != self._weight[index] or row.words.told != shown + 1:
                self._used[index] = row.used
                self._state[index] = row.state
                self._weight[index] = row.weight
                found.append(index)
        return found
