"""Emptying a listening socket without losing a client: which new ones come to it, and when none do.

Two programs for the kernel's classic packet filter, both needing no privilege:

- steer: new connections to an address go to these of its SO_REUSEPORT sockets only;
- shut: a socket takes no new connection (its SYNs are dropped, so a client tries again and meets
  another socket or a refusal), while handshakes that have begun still end and queue.

Together they let a socket run empty before it is closed; a close with clients in its queue would
reset them.
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
    """The program that answers one of these places in the group, each as often as the others."""
    program = [(LD_W_ABS, 0, 0, AD_RANDOM), (ALU_MOD, 0, 0, len(places))]
    for number, place in enumerate(places):
        program += [(JEQ, 0, 1, number), (RET, 0, 0, place)]
    return [*program, (RET, 0, 0, places[0])]


def shutting() -> list[Instruction]:
    """The program that drops the first segment of a TCP connection and nothing else."""
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
    """New connections to the group of sock go to these places of it (Listening.order), as long as
    they are there. A kernel that refuses shares out as before: shut is then all there is."""
    with contextlib.suppress(OSError):
        _attach(sock, SO_ATTACH_REUSEPORT_CBPF, steering(places))


def steer_no_more(sock: socket.socket) -> None:
    """The kernel shares out by itself again."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0)


def shut(sock: socket.socket) -> None:
    """No new connection comes to this socket."""
    with contextlib.suppress(OSError):
        _attach(sock, SO_ATTACH_FILTER, shutting())
