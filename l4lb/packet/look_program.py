"""The program of wide port ranges (csrc/packet/look.bpf.c): loaded, and attached to this process's
network namespace.

The program is built only where libbpf and clang were there.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from l4lb.errors import L4lbError
from l4lb.native.bpf_rows import SK_LOOKUP, SK_LOOKUP_ATTACH, Kind, Map
from l4lb.packet.look_written import BOUND, PARTS, SOCKETS

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

OBJECT = Path(__file__).with_name("look.bpf.o")
KIND = Kind("l4lb_look", SK_LOOKUP, (Map(PARTS, 24, 8), Map(SOCKETS, 4, 4), Map(BOUND, 20, 4)))
SAID_MAX = 200  # characters of what the kernel said
HINTS = {
    errno.EACCES: "start the service as root",
    errno.EPERM: "it needs CAP_BPF and CAP_NET_ADMIN: start the service as root",
    errno.ENOSYS: "the kernel has no BPF",
}


def load() -> Program:
    """Loads the program into the kernel. Raises L4lbError."""
    try:
        from l4lb.native.bpf import Program

        whole = OBJECT.read_bytes()
    except (ImportError, FileNotFoundError):
        raise L4lbError("this l4lb was built without libbpf or clang") from None
    try:
        return Program.load(whole, KIND)
    except OSError as error:
        raise L4lbError(_why_not(error)) from error


def adopt(fds: Sequence[int]) -> Program:
    """Takes an older program's descriptors. Raises L4lbError."""
    from l4lb.native.bpf import Program

    try:
        return Program.adopt(fds, KIND)
    except OSError as error:
        raise L4lbError(_why_not(error)) from error


def attach(program: Program) -> int:
    """Attaches the program to the network namespace of this process. Returns the descriptor of the
    link: the program is attached as long as the link is open. Raises OSError."""
    namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return program.link(namespace, SK_LOOKUP_ATTACH)
    finally:
        os.close(namespace)


def _why_not(error: OSError) -> str:
    number = error.errno or 0
    lines = str(getattr(error, "said", "")).splitlines()
    hint = HINTS.get(number) or (lines[-1][:SAID_MAX] if lines else "")
    text = f"the kernel does not take the program of wide ranges: {os.strerror(number)}"
    return f"{text}; {hint}" if hint else text
