# cython: language_level=3
"""What clients and proxies say first, read and written: the C parsers without a table."""

import ipaddress
import socket

from libc.string cimport memcpy, memset

from l4lb.native cimport c_edge as e
from l4lb.native.c_l4 cimport l4_addr


def read_hello(data):
    """What a ClientHello's bytes so far say: ("more", bytes due), ("none",) if they are none, or
    ("whole", name, protocols)."""
    cdef bytes raw = bytes(data)
    cdef e.l4_hello hello
    cdef e.l4_hello_result result = e.l4_hello_read(<const unsigned char *>raw, len(raw), &hello)
    if result == e.L4_HELLO_MORE:
        return ("more", hello.due)
    if result == e.L4_HELLO_NONE:
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
    cdef e.l4_hello_result result = e.l4_hello_await(<const unsigned char *>raw, len(raw), &due)
    if result == e.L4_HELLO_WHOLE:
        return ("whole",)
    return ("more" if result == e.L4_HELLO_MORE else "none", due)


def read_proxy(data):
    """What a PROXY header's bytes so far say: ("more", bytes due), ("none",), ("broken",) or
    ("whole", bytes, version, from, to, tlvs); from and to are None where it tells none."""
    cdef bytes raw = bytes(data)
    cdef e.l4_ppv header
    cdef e.l4_ppv_result result = e.l4_ppv_read(<const unsigned char *>raw, len(raw), &header)
    if result == e.L4_PPV_MORE:
        return ("more", header.bytes)
    if result != e.L4_PPV_WHOLE:
        return ("none",) if result == e.L4_PPV_NONE else ("broken",)
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
    cdef e.l4_ppv_write say
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
    return room[:e.l4_ppv_write_(&say, room)]


cdef _put(l4_addr *to, address):
    ip = ipaddress.ip_address(address[0])
    to.family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    to.port = address[1]
    packed = ip.packed
    memcpy(to.ip, <const char *>packed, len(packed))


cdef _text(const l4_addr *addr):
    if addr.family == socket.AF_UNIX:
        return "unix:"
    size = 4 if addr.family == socket.AF_INET else 16
    return (socket.inet_ntop(addr.family, addr.ip[:size]), addr.port)
