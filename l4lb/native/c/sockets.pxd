"""io/sockopt.h, core/udp_steering.h"""

from libc.stdint cimport uint16_t, uint32_t

from l4lb.native.c.base cimport l4_addr, l4_option, l4_options


cdef extern from "io/sockopt.h":
    int l4_options_apply(const l4_options *options, int fd, uint16_t family, bint stream,
                         l4_option *failed)
    int l4_option_interface(int fd, const char *name)
    void l4_options_read(l4_options *options, int fd, uint16_t family, bint stream)


cdef extern from "core/udp_steering.h":
    uint32_t l4_steer_place(const l4_addr *client, uint32_t count, uint32_t seed, bint by_port)
