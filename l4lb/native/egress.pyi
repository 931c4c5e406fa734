"""Socket options by name, and how pools reach their backends."""

import socket
from collections.abc import Mapping, Sequence

from l4lb.native.table import Table

NAMES: tuple[str, ...]
SOURCES_MAX: int

class OptionError(OSError):
    """The kernel refused an option."""

    option: str

    def __init__(self, number: int, option: str) -> None: ...

def apply(sock: socket.socket, values: Mapping[str, int | str]) -> None:
    """Sets these options, by NAMES and "interface" ("": none), on a TCP or UDP socket. Those that
    its kind does not have are passed over. Raises OptionError."""

def read(sock: socket.socket) -> dict[str, int]:
    """What a socket has of each option that is its kind's, the interface not included."""

def set_pool(
    table: Table,
    pool: int,
    *,
    sources: Sequence[str] = (),
    transparent: bool = False,
    options: Mapping[str, int | str] | None = None,
) -> None:
    """How this pool's connections leave the host: local addresses (at most SOURCES_MAX), whether
    from the client's own, and options by name."""

def sources(table: Table, pool: int) -> tuple[str, ...]:
    """The local addresses of this pool's connections; none: the kernel chooses."""
