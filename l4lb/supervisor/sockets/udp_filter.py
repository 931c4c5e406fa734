"""Selects which of an address's sockets gets a datagram: a classic BPF program that the kernel
runs.

Only the client's address and port decide, mixed with a secret number. A client therefore meets one
worker as long as the number of workers stays, whatever the key of the kernel's own hash and
whichever address of this host the client uses. The program needs no privilege
(SO_ATTACH_REUSEPORT_CBPF, Linux 4.5). If it cannot be attached, the kernel's own choice stays in
force: it is stable too while no socket of the address comes or goes.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Iterator

SO_ATTACH_REUSEPORT_CBPF = 51  # <asm-generic/socket.h>
NETWORK = -0x100000  # SKF_NET_OFF of <linux/filter.h>: offsets from the IP header
IPV4_SOURCE, IPV6_SOURCE, IPV6_BYTES = 12, 8, 40
MIX, MIX_LAST = 0x9E3779B1, 0x85EBCA6B  # odd multipliers of Knuth and of MurmurHash3

# Codes of <linux/bpf_common.h>; _program shows what each does.
LD_IMM, LD_WORD, LD_HALF, LD_HALF_X, LDX_HEADER_BYTES = 0x00, 0x20, 0x28, 0x48, 0xB1
ST, LDX_MEM, XOR_X, MUL, RSH, MOD, RET_A = 0x02, 0x61, 0xAC, 0x24, 0x74, 0x94, 0x16

Step = tuple[int, int]  # code, operand


def _mixed(multiplier: int, shift: int) -> Iterator[Step]:
    """Yields steps that mix register A into the hash in memory word 0."""
    yield LDX_MEM, 0
    yield XOR_X, 0
    yield MUL, multiplier
    yield ST, 0
    yield RSH, shift
    yield LDX_MEM, 0
    yield XOR_X, 0
    yield ST, 0


def _program(family: int, count: int, seed: int, by_port: bool) -> Iterator[Step]:
    yield LD_IMM, seed
    yield ST, 0
    words = range(IPV4_SOURCE, 16, 4) if family == socket.AF_INET else range(IPV6_SOURCE, 24, 4)
    for offset in words:
        yield LD_WORD, NETWORK + offset
        yield from _mixed(MIX, 15)
    if not by_port:
        yield LD_IMM, 0
    elif family == socket.AF_INET:  # the port follows the header, whose length varies
        yield LDX_HEADER_BYTES, NETWORK
        yield LD_HALF_X, NETWORK
    else:
        yield LD_HALF, NETWORK + IPV6_BYTES
    yield from _mixed(MIX, 15)
    yield LD_IMM, 0
    yield from _mixed(MIX_LAST, 13)
    yield MOD, count
    yield RET_A, 0


def steer(sock: socket.socket, count: int, seed: int, *, by_port: bool = True) -> bool:
    """Shares clients out over the first `count` sockets of sock's address by the program.

    seed: 32 bits that outsiders do not know. by_port: clients of one IP address may meet different
    sockets. Returns False if this kernel refuses the program.
    """
    steps = [
        struct.pack("HBBI", code, 0, 0, operand & 0xFFFFFFFF)
        for code, operand in _program(sock.family, count, seed, by_port)
    ]
    program = ctypes.create_string_buffer(b"".join(steps))
    try:
        sock.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_REUSEPORT_CBPF,
            struct.pack("HP", len(steps), ctypes.addressof(program)),
        )
    except OSError:
        return False
    return True
