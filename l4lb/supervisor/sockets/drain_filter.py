"""Drains a listening socket without losing a client: keeps new connections away from it until it is
empty.

There are two programs for the kernel's classic packet filter. Neither needs a privilege.

- steer: new connections to an address go only to some of its SO_REUSEPORT sockets.
- shut: a socket takes no new connection. Its SYNs are dropped, so that a client tries again and
  meets another socket or a refusal. Handshakes that have begun still end, and their connections
  are queued.

With both a socket runs empty before it is closed. A close would reset the clients in its queue.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
from collections.abc import Sequence

SO_ATTACH_REUSEPORT_CBPF = 51
SO_DETACH_REUSEPORT_BPF = 68
SO_ATTACH_FILTER = 26

# linux/bpf_common.h, linux/filter.h
LD_W_ABS, LD_B_ABS, ALU_MOD, ALU_AND, JEQ, RET = 0x20, 0x30, 0x94, 0x54, 0x15, 0x06
AD_RANDOM = 0xFFFFF000 + 56
TCP_FLAGS, SYN_ACK, SYN = 13, 0x12, 0x02

Instruction = tuple[int, int, int, int]


def steering(places: Sequence[int]) -> list[Instruction]:
    """Returns the program that picks one of these places of the group, each equally often."""
    program = [(LD_W_ABS, 0, 0, AD_RANDOM), (ALU_MOD, 0, 0, len(places))]
    for number, place in enumerate(places):
        program += [(JEQ, 0, 1, number), (RET, 0, 0, place)]
    return [*program, (RET, 0, 0, places[0])]


def shutting() -> list[Instruction]:
    """Returns the program that drops the first segment of each TCP connection, and nothing else."""
    return [
        (LD_B_ABS, 0, 0, TCP_FLAGS),
        (ALU_AND, 0, 0, SYN_ACK),
        (JEQ, 0, 1, SYN),
        (RET, 0, 0, 0),
        (RET, 0, 0, 0xFFFFFFFF),
    ]


def _attach(sock: socket.socket, option: int, program: Sequence[Instruction]) -> None:
    code = b"".join(struct.pack("=HBBI", *one) for one in program)
    memory = ctypes.create_string_buffer(code)
    filled = struct.pack("@HP", len(program), ctypes.addressof(memory))
    sock.setsockopt(socket.SOL_SOCKET, option, filled)


def steer(sock: socket.socket, places: Sequence[int]) -> None:
    """Sends new connections to the group of sock only to these places in it (Listening.order), as
    long as the sockets there exist. If the kernel refuses, it goes on sharing connections out; then
    only shut keeps them away."""
    with contextlib.suppress(OSError):
        _attach(sock, SO_ATTACH_REUSEPORT_CBPF, steering(places))


def steer_no_more(sock: socket.socket) -> None:
    """Lets the kernel share connections out by itself again."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)


def shut(sock: socket.socket) -> None:
    """Keeps new connections away from this socket."""
    with contextlib.suppress(OSError):
        _attach(sock, SO_ATTACH_FILTER, shutting())
