"""The packet process; see csrc/packet/forwarder.h. This module is only there if libbpf was there
when the package was built."""

from collections.abc import Sequence
from typing import Self

from l4lb.native.table import Table

MAPS: int  # of the program that forwards, in the order of its descriptors
TICK_MS: int
TRACKED_BYTES: int  # of a flow in the memory file
HEAD_BYTES: int  # before the first of them

class Forwarder:
    """Follows the shared table and the kernel's flows."""

    def __new__(cls, table: Table, worker: int, maps: Sequence[int], memory_fd: int) -> Self:
        """worker: the row of the shared table that it counts in. memory_fd: of a memory file in
        which it keeps what it knows of flows. Raises OSError."""

    def tick(self) -> None:
        """Does what is due. Call it every TICK_MS. Raises OSError: a map cannot be read."""
