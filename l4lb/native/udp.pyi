"""The UDP rooms of the shared table from Python."""

from l4lb.native.rows import UdpTally
from l4lb.native.table import Table

drops: tuple[str, ...]

def set_limits(table: Table, *, max_sessions: int, share_percent: int) -> None: ...
def sessions(table: Table) -> int: ...
def limit(table: Table) -> int: ...
def set_pool(
    table: Table,
    index: int,
    *,
    idle_ms: int,
    requests: int = 0,
    responses: int = 0,
    per_datagram: bool = False,
    quic: tuple[int, int] | None = None,
    keep_down: bool = False,
    greets: str = "off",
) -> None: ...
def set_listener(
    table: Table,
    index: int,
    *,
    max_amplification: int = 0,
    max_per_source: int = 0,
    no_privileged: bool = False,
    counts: bool = False,
    in_turn: bool = False,
    quic: bool = False,
    routes: bool = False,
) -> None: ...
def set_seed(table: Table, seed: int) -> None:
    """What decides whose client is whose: 32 bits that outsiders do not know."""

def seed(table: Table) -> int:
    """What set_seed said."""

def place(host: str, port: int, count: int, seed: int, *, by_port: bool = True) -> int:
    """Which of count sockets a client meets; csrc/core/steer.h."""

def set_server_id(table: Table, index: int, server_id: bytes) -> None: ...
def tallies(table: Table) -> list[UdpTally]: ...
