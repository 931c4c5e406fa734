# cython: language_level=3
"""What health needs of the shared table beside its rows: passive rules, and who changed.

Thin, like table.pyx; each function says which process may call it.
"""

from libc.stdint cimport uint32_t, uint64_t

from l4lb.native cimport c_l4 as c
from l4lb.native.table cimport Table
from l4lb.native import rows
from l4lb.native.results import CAUSES, CHECK_KINDS, HealthRow


def set_passive(Table table, pool, *, failures, eject_ms, max_eject_ms, max_ejected_percent):
    """The supervisor's: a pool's rule; failures 0: nobody is ejected."""
    cdef c.l4_pool *row = table._pool(pool)
    row.passive.eject_ms = eject_ms
    row.passive.max_eject_ms = max_eject_ms
    row.passive.max_ejected_percent = max_ejected_percent
    row.passive.failures = failures


def end_ejection(Table table, index, serial, *, since_ms, now_ms):
    """The checker's: ends an ejection that began before since_ms. False: there is none."""
    cdef c.l4_backend *row = table._backend(index)
    if row.used != serial:
        return False
    return c.l4_passive_end(table.handle(), index, since_ms, now_ms)


def health(Table table, index):
    """What is known of a backend's health; None: the row is free."""
    cdef c.l4_backend *row = table._backend(index)
    cdef uint32_t seq
    if not row.used:
        return None
    for _ in range(1000):
        seq = row.check_seq
        found = HealthRow(
            rows.HEALTHS[row.health],
            CHECK_KINDS[row.words.kind] if row.words.kind < len(CHECK_KINDS) else "?",
            row.words.code,
            row.words.text[:sizeof(row.words.text) - 1].split(b"\0")[0].decode(errors="replace"),
            row.words.cert_end_s,
            ("", "up", "down")[row.words.agent % 3],
            row.weight_change,
            row.ejected_until_ms,
            row.passive.ejected_at_ms,
            row.passive.duration_ms,
            row.passive.ejections,
            CAUSES[row.passive.cause % len(CAUSES)],
            row.passive.error,
            row.passive.unreached,
            row.passive.resets,
        )
        if not seq & 1 and row.check_seq == seq:
            break
    return found
