"""The memory of the shared table; see memory.pyx and csrc/shm/layout.h."""

from typing import Self

from l4lb.native.rows import Capacities

class Memory:
    """The table's life and its header; made once by the supervisor, inherited by its children."""

    generation: int
    checker_pid: int

    def __new__(cls, capacities: Capacities) -> Self:
        """Raises OSError."""
    @property
    def capacities(self) -> Capacities: ...
    @property
    def connections(self) -> int: ...
    @property
    def max_connections(self) -> int: ...
    @property
    def checker_beat_ms(self) -> int: ...
    def beat_checker(self, now_ms: int) -> None: ...
    @property
    def hash_key(self) -> bytes:
        """The 16 secret bytes of every hash of a client."""
    def set_hash_key(self, key: bytes) -> None:
        """The 16 secret bytes of every hash of a client. Before the first fork."""
