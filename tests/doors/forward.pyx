# cython: language_level=3
"""What forward proxies judge: the C code without a connection."""

from l4lb.native cimport c
from l4lb.native.memory cimport put_ip


cdef extern from "core/outside.h":
    unsigned l4_outside_judge(const c.l4_addr *addr)
    const char *l4_outside_word(unsigned outside)


def outside(host):
    """"outside" for an IP address that a forward proxy may connect to, else why it is inside."""
    cdef c.l4_addr addr
    put_ip(&addr, host)
    return l4_outside_word(l4_outside_judge(&addr)).decode()
