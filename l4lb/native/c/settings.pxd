"""shm/settings.h, shm/needs.h"""

from libc.stdint cimport uint32_t, uint64_t

from l4lb.native.c.table cimport l4_table


cdef extern from "shm/settings.h":
    enum l4_setting_kind:
        L4_OF_TABLE
        L4_OF_LISTENER
        L4_OF_POOL
        L4_OF_CACHE

    struct l4_setting:
        const char *path
        size_t bytes

    const l4_setting *l4_settings(l4_setting_kind kind, uint32_t *count)
    void *l4_settings_row(const l4_table *table, l4_setting_kind kind, uint32_t index)
    bint l4_setting_put(void *row, const l4_setting *setting, uint64_t value)


cdef extern from "shm/needs.h":
    void l4_needs_settle(const l4_table *table, uint32_t listener)
    void l4_needs_settle_all(const l4_table *table)
