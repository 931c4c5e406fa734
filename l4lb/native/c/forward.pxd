"""packet/forwarder.h. Only native/forward.pyx uses it: it needs libbpf."""

from libc.stdint cimport uint32_t, uint64_t

from l4lb.native.c.table cimport l4_table


cdef extern from "packet/forwarder.h":
    enum:
        L4_FORWARD_MAPS
        L4_FORWARDER_TICK_MS

    struct l4_tracked:
        pass

    struct l4_forwarder:
        pass

    int l4_forwarder_open(l4_forwarder *f, const l4_table *table, uint32_t worker,
                          const int *maps, int memory_fd) nogil
    void l4_forwarder_close(l4_forwarder *f)
    int l4_forwarder_tick(l4_forwarder *f, uint64_t now_us) nogil
