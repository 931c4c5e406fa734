"""The memory in which workers ask the policy process, and the descriptor that wakes it
(csrc/shm/gate.h). It takes no memory as long as nobody asks, so every service has it: a reload can
add the first forward proxy."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from typing import Any

from l4lb import tally
from l4lb.native import gate
from l4lb.supervisor.process import memory_file

TOTALS = ("results", "requests", "hits")  # of the tally; policy/counts.py
TOPS_BYTES = 8 << 20  # a table that is longer than half of it is not kept


class Gate:
    """fd: the memory. wake_fd: an eventfd to which workers write when they have asked. tally_fd:
    totals of what the policy process counts. tops_fd: its tables of users, hosts and rules."""

    def __init__(self) -> None:
        self.fd = memory_file.make("l4lb-gate", gate.BYTES)
        self._area = mmap.mmap(self.fd, gate.BYTES)
        gate.make(self._area)
        self.tally_fd = tally.make("l4lb-policy")
        self.tops_fd = tally.make("l4lb-policy-tops", TOPS_BYTES)
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @property
    def fds(self) -> list[int]:
        """The descriptors that workers and the policy process keep."""
        return [self.fd, self.wake_fd]

    def counted(self) -> dict[str, Any]:
        """Returns the totals of the policy process, for the next program."""
        told = tally.read(self.tally_fd)
        return {key: told[key] for key in TOTALS if key in told}

    def restore(self, told: Mapping[str, Any]) -> None:
        """Takes the totals of the program before, as long as no policy process runs."""
        with mmap.mmap(self.tally_fd, tally.BYTES) as area:
            tally.write(area, told)

    def forget(self, worker: int) -> None:
        """Drops what a dead worker asked."""
        gate.forget(self._area, worker)
