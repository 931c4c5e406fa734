"""A worker's only call into C; see loop.pyx."""

from collections.abc import Sequence

from l4lb.native.table import Table

def run(
    table: Table,
    index: int,
    bounds: Sequence[tuple[int, int, int, bool]],
    *,
    command_fd: int,
    post_fd: int,
    event_fd: int,
    lifeline_fd: int,
    wakeups: Sequence[int] = (),
    vault_fd: int = 0,
    cache_fd: int = 0,
    gate_fd: int = 0,
    gate_wake_fd: int = 0,
    record_fd: int = 0,
    record_wake_fd: int = 0,
    flows_fd: int = 0,
    hold_udp: bool = False,
) -> None:
    """Serves until told to end. Python code does not run meanwhile.

    bounds: (descriptor, listener row, tag, exclusive) of each listening socket of this worker.
    wakeups: by index, the eventfd that wakes each worker (its command_fd). hold_udp: see struct
    l4_worker_setup. Raises OSError if the loop could not start or lost its epoll set.
    """
