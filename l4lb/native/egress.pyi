"""Socket options by name, and how pools connect to their backends; see egress.pyx."""

import socket
from collections.abc import Mapping, Sequence

from l4lb.native.table import Table

NAMES: tuple[str, ...]
SOURCES_MAX: int

class OptionError(OSError):
    """The kernel refused an option; `option` is its name."""

    option: str

    def __init__(self, number: int, option: str) -> None: ...

def apply(sock: socket.socket, values: Mapping[str, int | str]) -> None:
    """Sets these options on a TCP or UDP socket, by NAMES and "interface" ("": none). Options that
    this kind of socket does not have are skipped. Raises OptionError."""

def read(sock: socket.socket) -> dict[str, int]:
    """Returns the socket's value of each option that this kind of socket has, without the
    interface."""

def set_pool(
    table: Table,
    pool: int,
    *,
    sources: Sequence[str] = (),
    transparent: bool = False,
    options: Mapping[str, int | str] | None = None,
) -> None:
    """Sets a pool's egress: local addresses (at most SOURCES_MAX), whether the client's own address
    is used, and socket options by name."""

def sources(table: Table, pool: int) -> tuple[str, ...]:
    """Returns the local addresses of a pool's connections; with none the kernel chooses."""
