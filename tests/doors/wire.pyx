# cython: language_level=3
"""What clients and proxies say first, read and written: the C parsers without a table."""

import socket

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from l4lb.native cimport c
from l4lb.native.memory cimport host_of, put_ip


cdef extern from "core/client_hello.h":
    enum l4_hello_result:
        L4_HELLO_MORE
        L4_HELLO_WHOLE
        L4_HELLO_NONE
    struct l4_hello:
        size_t due
        uint32_t name_bytes
        uint32_t alpn_bytes
        char name[256]
        uint8_t alpn[256]
    l4_hello_result l4_hello_await(const uint8_t *data, size_t bytes, size_t *due)
    l4_hello_result l4_hello_read(const uint8_t *data, size_t bytes, l4_hello *hello)


cdef extern from "core/proxy_protocol.h":
    enum l4_proxy_result:
        L4_PROXY_MORE
        L4_PROXY_WHOLE
        L4_PROXY_NONE
        L4_PROXY_BROKEN
    struct l4_proxy:
        size_t bytes
        uint8_t version
        bint local
        c.l4_addr from_ "from"
        c.l4_addr to
        const uint8_t *tlvs
        uint32_t tlvs_bytes
    struct l4_proxy_write:
        uint8_t version
        bint local
        bint crc32c
        c.l4_addr from_ "from"
        c.l4_addr to
        const uint8_t *tlvs
        uint32_t tlvs_bytes
    l4_proxy_result l4_proxy_read(const uint8_t *data, size_t bytes, l4_proxy *header)
    size_t l4_proxy_write_ "l4_proxy_write"(const l4_proxy_write *say, uint8_t *to)


def read_hello(data):
    """What a ClientHello's bytes so far say: ("more", bytes due), ("none",) if they are none, or
    ("whole", name, protocols)."""
    cdef bytes raw = bytes(data)
    cdef l4_hello hello
    cdef l4_hello_result result = l4_hello_read(<const unsigned char *>raw, len(raw), &hello)
    if result == L4_HELLO_MORE:
        return ("more", hello.due)
    if result == L4_HELLO_NONE:
        return ("none",)
    listed = hello.alpn[:hello.alpn_bytes]
    protocols = []
    while listed:
        protocols.append(listed[1:1 + listed[0]])
        listed = listed[1 + listed[0]:]
    return ("whole", hello.name[:hello.name_bytes].decode("ascii"), tuple(protocols))


def await_hello(data):
    """Is all of a hello there? ("more", bytes due), ("none", bytes due) or ("whole",)."""
    cdef bytes raw = bytes(data)
    cdef size_t due
    cdef l4_hello_result result = l4_hello_await(<const unsigned char *>raw, len(raw), &due)
    if result == L4_HELLO_WHOLE:
        return ("whole",)
    return ("more" if result == L4_HELLO_MORE else "none", due)


def read_proxy(data):
    """What a PROXY header's bytes so far say: ("more", bytes due), ("none",), ("broken",) or
    ("whole", bytes, version, from, to, tlvs); from and to are None where it tells none."""
    cdef bytes raw = bytes(data)
    cdef l4_proxy header
    cdef l4_proxy_result result = l4_proxy_read(<const unsigned char *>raw, len(raw), &header)
    if result == L4_PROXY_MORE:
        return ("more", header.bytes)
    if result != L4_PROXY_WHOLE:
        return ("none",) if result == L4_PROXY_NONE else ("broken",)
    tlvs, rest = [], header.tlvs[:header.tlvs_bytes]
    while rest:
        size = rest[1] << 8 | rest[2]
        tlvs.append((rest[0], rest[3:3 + size]))
        rest = rest[3 + size:]
    return ("whole", header.bytes, header.version,
            None if header.local else _text(&header.from_),
            None if header.local else _text(&header.to), tuple(tlvs))


def write_proxy(version, source=None, destination=None, tlvs=(), *, crc32c=False):
    """A PROXY header. source, destination: (IP, port), or None: the sender speaks for itself."""
    cdef l4_proxy_write say
    cdef unsigned char room[4096]
    packed = b"".join(bytes([kind]) + len(value).to_bytes(2, "big") + value
                      for kind, value in tlvs)
    memset(&say, 0, sizeof(say))
    say.version = {1: 1, 2: 2}[version]
    say.local = source is None
    say.crc32c = crc32c
    if source is not None:
        _put(&say.from_, source)
        _put(&say.to, destination)
    say.tlvs = <const unsigned char *>packed
    say.tlvs_bytes = len(packed)
    return room[:l4_proxy_write_(&say, room)]


cdef _put(c.l4_addr *to, address):
    put_ip(to, address[0])
    to.port = address[1]


cdef _text(const c.l4_addr *addr):
    return "unix:" if addr.family == socket.AF_UNIX else (host_of(addr), addr.port)
