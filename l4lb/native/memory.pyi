"""The memory of the shared table; see memory.pyx and csrc/shm/layout.h."""

from typing import Self

from l4lb.native.rows import Capacities

class Memory:
    """The table's life and its header. The supervisor makes it once, its children inherit it."""

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
        """The 16 secret bytes that key every hash of a client."""
    def set_hash_key(self, key: bytes) -> None:
        """Sets the 16 secret bytes that key every hash of a client. Call it before the first
        fork."""
