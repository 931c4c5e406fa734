"""A worker's one entry into C; see loop.pyx and csrc/run/worker.h."""

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
    bells: Sequence[int] = (),
    vault_fd: int = 0,
    hold_udp: bool = False,
) -> None:
    """Serves until told to end; Python is not entered meanwhile.

    bounds: (descriptor, listener row, tag, shared with other workers) of each listening socket.
    bells: each worker's command_fd, by index. hold_udp: UDP listeners wait until the worker before
    this one has handed its sessions over.
    Raises OSError if the loop could not start or lost its epoll set."""
