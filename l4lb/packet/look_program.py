"""The program of wide port ranges (csrc/packet/look.bpf.c): loaded, and attached to this process's
network namespace.

The program is built only where libbpf and clang were there.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from l4lb.errors import L4lbError
from l4lb.native.bpf_rows import SK_LOOKUP, SK_LOOKUP_ATTACH, Kind, Map
from l4lb.packet import program
from l4lb.packet.look_written import BOUND, PARTS, SOCKETS

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

KIND = Kind("l4lb_look", SK_LOOKUP, (Map(PARTS, 24, 8), Map(SOCKETS, 4, 4), Map(BOUND, 20, 4)))


def load() -> Program:
    """Loads the program into the kernel. Raises L4lbError."""
    whole = program.of("look")
    from l4lb.native.bpf import Program

    try:
        return Program.load(whole, KIND)
    except OSError as error:
        raise L4lbError(program.why_not(error)) from error


def adopt(fds: Sequence[int]) -> Program:
    """Takes an older program's descriptors. Raises L4lbError."""
    from l4lb.native.bpf import Program

    try:
        return Program.adopt(fds, KIND)
    except OSError as error:
        raise L4lbError(program.why_not(error)) from error


def attach(made: Program) -> int:
    """Attaches the program to the network namespace of this process. Returns the descriptor of the
    link: the program is attached as long as the link is open. Raises OSError."""
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return made.link(namespace, SK_LOOKUP_ATTACH)
    finally:
        os.close(namespace)
