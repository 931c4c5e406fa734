"""The UDP rooms of the shared table from Python."""

from l4lb.native.rows import UdpTally
from l4lb.native.table import Table

drops: tuple[str, ...]

def sessions(table: Table) -> int: ...
def limit(table: Table) -> int: ...
def set_seed(table: Table, seed: int) -> None:
    """Returns the number of set_seed."""

def seed(table: Table) -> int:
    """What set_seed said."""

def place(host: str, port: int, count: int, seed: int, *, by_port: bool = True) -> int:
    """Returns which of count sockets a client meets; csrc/core/udp_steering.h."""

def set_server_id(table: Table, index: int, server_id: bytes) -> None: ...
def tallies(table: Table) -> list[UdpTally]: ...
