"""Memory that several processes map, as a file without a name."""

from __future__ import annotations

import fcntl
import os


def make(name: str, size: int) -> int:
    """Returns the descriptor of one with so many zeros. It may grow, and never shrinks.

    why: a process that reads behind the end of a file that has shrunk is killed.
    """
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return fd
