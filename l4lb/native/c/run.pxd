"""run/setup.h, run/worker.h"""

from libc.stdint cimport uint32_t

from l4lb.native.c.table cimport l4_table


cdef extern from "run/setup.h":
    struct l4_bound:
        int fd
        uint32_t listener
        uint32_t tag
        bint exclusive

    struct l4_worker_setup:
        l4_table table
        uint32_t index
        const l4_bound *bounds
        uint32_t bound_count
        int command_fd
        int mailbox_fd
        int event_fd
        const int *wakeups
        uint32_t wakeup_count
        int lifeline_fd
        int vault_fd
        int cache_fd
        int gate_fd
        int gate_wake_fd
        int record_fd
        int record_wake_fd
        int flows_fd
        bint hold_udp


cdef extern from "run/worker.h":
    int l4_worker_run(const l4_worker_setup *setup) nogil
