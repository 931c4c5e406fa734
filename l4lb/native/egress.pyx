# cython: language_level=3
"""Socket options by name, and egress: how pools connect to their backends. csrc/shm/egress.h says
who reads it.

Thin, as table.pyx is.
"""

import os
import socket

from libc.stdint cimport uint32_t
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport host_of, put_address, put_text
from l4lb.native.table cimport Table

NAMES = ("mark", "dscp", "keepalive", "keepalive_idle_s", "keepalive_interval_s",
         "keepalive_probes", "user_timeout_ms", "transparent")  # enum l4_option
assert len(NAMES) == <int>c.L4_OPTIONS
SOURCES_MAX = <int>c.L4_SOURCES_MAX


class OptionError(OSError):
    """The kernel refused an option; `option` is its name."""

    def __init__(self, number, option):
        super().__init__(number, os.strerror(number))
        self.option = option


cdef _put(c.l4_options *to, values):
    memset(to, 0, sizeof(to[0]))
    for name, value in values.items():
        if name == "interface":
            put_text(to.interface, sizeof(to.interface), value)
        else:
            at = NAMES.index(name)
            to.values[<int>at] = value
            to.set |= 1 << <int>at


def apply(sock, values):
    """Sets these options on a TCP or UDP socket, by NAMES and "interface" ("": none). Options that
    this kind of socket does not have are skipped. Raises OptionError."""
    cdef c.l4_options options
    cdef c.l4_option failed = <c.l4_option>0
    _put(&options, values)
    error = c.l4_options_apply(&options, sock.fileno(), sock.family,
                               sock.type == socket.SOCK_STREAM, &failed)
    if error:
        names = (*NAMES, "interface")
        raise OptionError(-error, names[<int>failed])
    if values.get("interface") == "" and sock.family != socket.AF_UNIX:
        error = c.l4_option_interface(sock.fileno(), b"")
        if error:
            raise OptionError(-error, "interface")


def read(sock):
    """Returns the socket's value of each option that this kind of socket has, without the
    interface."""
    cdef c.l4_options options
    c.l4_options_read(&options, sock.fileno(), sock.family, sock.type == socket.SOCK_STREAM)
    return {name: options.values[<int>at] for at, name in enumerate(NAMES)
            if options.set & (1 << <int>at)}


def set_pool(Table table, pool, *, sources=(), transparent=False, options=None):
    """Sets a pool's egress: local addresses (at most SOURCES_MAX), whether the client's own address
    is used, and socket options by name."""
    cdef c.l4_egress next
    if len(sources) > SOURCES_MAX:
        raise ValueError(f"more than {SOURCES_MAX} addresses")
    memset(&next, 0, sizeof(next))
    ordered = sorted(sources, key=lambda text: ":" in text)
    for at, text in enumerate(ordered):
        put_address(&next.sources[<int>at], text, 0)
    _put(&next.options, options or {})
    next.transparent = 1 if transparent else 0
    next.sources4 = sum(":" not in text for text in ordered)
    next.sources6 = len(ordered) - next.sources4
    next.used = 1 if sources or transparent or options else 0
    c.l4_egress_write(&table._pool(pool).egress, &next)


def sources(Table table, pool):
    """Returns the local addresses of a pool's connections; with none the kernel chooses."""
    cdef c.l4_egress *row = &table._pool(pool).egress
    found = []
    for at in range(min(row.sources4 + row.sources6, <uint32_t>c.L4_SOURCES_MAX)):
        found.append(host_of(&row.sources[<int>at]))
    return tuple(found)
