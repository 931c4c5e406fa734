"""The memory in which workers ask the policy process, and the descriptor that wakes it
(csrc/shm/gate.h). It takes no memory as long as nobody asks, so every service has it: a reload can
add the first forward proxy."""

from __future__ import annotations

import fcntl
import mmap
import os

from l4lb import tally
from l4lb.native import gate


class Gate:
    """fd: the memory. wake_fd: an eventfd to which workers write when they have asked. tally_fd:
    what the policy process counts."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("l4lb-gate", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, gate.BYTES)
        # why: a process that reads behind the end of a file that has shrunk is killed.
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        self._area = mmap.mmap(self.fd, gate.BYTES)
        gate.make(self._area)
        self.tally_fd = tally.make("l4lb-policy")
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def fds(self) -> list[int]:
        """The descriptors that workers and the policy process keep."""
        return [self.fd, self.wake_fd]

    def forget(self, worker: int) -> None:
        """Drops what a dead worker asked."""
        gate.forget(self._area, worker)
