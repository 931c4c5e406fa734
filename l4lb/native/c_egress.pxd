"""What Python sees of socket options and of how pools reach their backends."""

from libc.stdint cimport uint16_t, uint32_t

from l4lb.native.c_l4 cimport l4_addr


cdef extern from "base/option.h":
    enum l4_option:
        L4_OPTIONS
        L4_INTERFACE_MAX
        L4_SOURCES_MAX

    struct l4_options:
        uint32_t set
        uint32_t values[8]
        char interface[16]


cdef extern from "shm/egress.h":
    struct l4_egress:
        uint32_t seq
        uint32_t used
        uint32_t transparent
        uint32_t sources4
        uint32_t sources6
        l4_options options
        l4_addr sources[64]


cdef extern from "shm/layout.h":
    struct l4_pool:
        l4_egress egress


cdef extern from "io/option.h":
    int l4_options_apply(const l4_options *options, int fd, uint16_t family, bint stream,
                         l4_option *failed)
    int l4_option_interface(int fd, const char *name)
    void l4_options_read(l4_options *options, int fd, uint16_t family, bint stream)
