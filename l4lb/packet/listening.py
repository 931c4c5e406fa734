"""The TCP sockets that listen on this host, as the kernel tells them (sock_diag(7)).

The kernel walks its table of listening sockets only, so the answer is quick however many
connections there are. No privilege is needed.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterator
from typing import NamedTuple

from l4lb.packet.look import Bound

NETLINK_SOCK_DIAG = 4  # linux/netlink.h
SOCK_DIAG_BY_FAMILY = 20  # linux/sock_diag.h
INET_DIAG_SKV6ONLY = 11  # linux/inet_diag.h: an attribute
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR, NLMSG_DONE = 2, 3
LISTEN = 1 << 10  # TCP_LISTEN as a bit
ANSWER_S = 2.0
CHUNK_BYTES = 1 << 18
SOCKETS_MAX = 100_000  # that are read

_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_REQUEST = struct.Struct("=BBBBI48s")  # struct inet_diag_req_v2
_TOLD = struct.Struct("=4B2s2s16s16sI2I5I")  # struct inet_diag_msg
_ATTRIBUTE = struct.Struct("=HH")


class Socket(NamedTuple):
    """A listening socket: the addresses that it takes, and its inode."""

    inode: int
    at: tuple[Bound, ...]


def sockets() -> list[Socket]:
    """Returns all TCP sockets of this network that listen. Raises OSError."""
    found: list[Socket] = []
    for family in (socket.AF_INET, socket.AF_INET6):
        found += _of(family)
    return found


def _of(family: int) -> Iterator[Socket]:
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, LISTEN, b"")
    head = _HEADER.pack(_HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
    count = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC,
                       NETLINK_SOCK_DIAG) as asked:  # fmt: skip
        asked.settimeout(ANSWER_S)
        asked.sendto(head + request, (0, 0))
        while True:
            for kind, body in _messages(asked.recv(CHUNK_BYTES)):
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    number = -int.from_bytes(body[:4], sys.byteorder, signed=True)
                    raise OSError(number, os.strerror(number))
                count += 1
                if count > SOCKETS_MAX:
                    raise OSError(errno.E2BIG, f"more than {SOCKETS_MAX} listening sockets")
                yield _read(body)


def _messages(chunk: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(chunk):
        length, kind, *_ = _HEADER.unpack_from(chunk, at)
        if length < _HEADER.size:
            return
        yield kind, chunk[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _read(body: bytes) -> Socket:
    family, _, _, _, port, _, address, _, interface, _, _, *_, inode = _TOLD.unpack_from(body)
    number = int.from_bytes(port, "big")
    if family == socket.AF_INET:
        return Socket(inode, (Bound(str(ipaddress.IPv4Address(address[:4])), number, interface),))
    ip = ipaddress.IPv6Address(address)
    own = Bound(str(ip), number, interface)
    if ip.ipv4_mapped is not None:
        return Socket(inode, (Bound(str(ip.ipv4_mapped), number, interface),))
    if ip.packed.strip(b"\0") or _only_ipv6(body):
        return Socket(inode, (own,))
    return Socket(inode, (own, Bound("0.0.0.0", number, interface)))


def _only_ipv6(body: bytes) -> bool:
    at = _TOLD.size
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if kind == INET_DIAG_SKV6ONLY:
            return body[at + _ATTRIBUTE.size] != 0
        at += max(_ATTRIBUTE.size, (length + 3) & ~3)
    return False
