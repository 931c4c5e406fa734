"""What a worker does in Python: very little, once, before it enters the C loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass

import setproctitle

from l4lb.native import loop
from l4lb.native.table import Table

# A worker is ended by its supervisor, over the table, never by a signal that the service's whole
# process group or control group gets (Ctrl-C, systemd's SIGTERM).
IGNORED_SIGNALS = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGPIPE,
)


@dataclass(frozen=True)
class Bound:
    """One listening socket of this worker: descriptor, listener row, the supervisor's number of its
    address, shared with other workers."""

    fd: int
    listener: int
    tag: int
    shared: bool


@dataclass(frozen=True)
class WorkerSetup:
    """All that a worker is told; descriptors are the process's own."""

    table: Table
    index: int
    bounds: Sequence[Bound]
    command_fd: int
    post_fd: int
    event_fd: int
    lifeline_fd: int
    vault_fd: int
    cpu: int | None
    wakeup_fds: Sequence[int] = ()  # each worker's command_fd, by index
    hold_udp: bool = False  # UDP clients wait for the sessions of the worker before this one


def run(setup: WorkerSetup) -> int:
    """Serves until told to end. Returns the exit status: 0, or 1 if the loop failed (raises
    nothing: the supervisor reads the status and the log line)."""
    setproctitle.setproctitle(f"l4lb: worker {setup.index}")
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if setup.cpu is not None:
        os.sched_setaffinity(0, {setup.cpu})
    loop.run(
        setup.table,
        setup.index,
        [(bound.fd, bound.listener, bound.tag, bound.shared) for bound in setup.bounds],
        command_fd=setup.command_fd,
        post_fd=setup.post_fd,
        event_fd=setup.event_fd,
        lifeline_fd=setup.lifeline_fd,
        bells=setup.wakeup_fds,
        vault_fd=setup.vault_fd,
        hold_udp=setup.hold_udp,
    )
    return 0
