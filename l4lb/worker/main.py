"""The Python part of a worker: a few settings, then the call into the C loop."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import setproctitle

from l4lb.native import loop
from l4lb.native.table import Table

# why: only the supervisor ends a worker, through the shared table. Signals to the whole process
# group or control group (Ctrl-C, systemd's SIGTERM) are ignored.
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
    """One listening socket of this worker. listener: the listener's row. tag: the supervisor's
    number of the address. shared: other workers have this socket too."""

    fd: int
    listener: int
    tag: int
    shared: bool


class SharedFds(NamedTuple):
    """Descriptors that all workers have. vault: certificates and keys. cache: the memory of caches.
    gate: where they ask the policy process; gate_wake: an eventfd that wakes it. record: where they
    leave pieces for the recorder; record_wake: an eventfd that wakes it. flows: the kernel's map of
    flows, for UDP sessions; 0: none."""

    vault: int
    cache: int
    gate: int
    gate_wake: int
    record: int
    record_wake: int
    flows: int = 0


@dataclass(frozen=True)
class WorkerSetup:
    """The settings of a worker. Its descriptors are open in the worker's process."""

    table: Table
    index: int
    bounds: Sequence[Bound]
    command_fd: int
    post_fd: int
    event_fd: int
    lifeline_fd: int
    shared: SharedFds
    cpu: int | None
    wakeup_fds: Sequence[int] = ()  # each worker's command_fd, by index
    hold_udp: bool = False  # UDP datagrams wait until the old worker has handed its sessions over

    @property
    def fds(self) -> list[int]:
        """Returns its descriptors."""
        own = [self.command_fd, self.post_fd, self.event_fd, self.lifeline_fd, *self.wakeup_fds]
        return [*own, *(fd for fd in self.shared if fd), *(bound.fd for bound in self.bounds)]


def run(setup: WorkerSetup) -> int:
    """Serves until told to end. Returns the exit status: 0, or 1 if the loop failed. Raises
    nothing: the supervisor reads the status and the log line."""
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
        wakeups=setup.wakeup_fds,
        vault_fd=setup.shared.vault,
        cache_fd=setup.shared.cache,
        gate_fd=setup.shared.gate,
        gate_wake_fd=setup.shared.gate_wake,
        record_fd=setup.shared.record,
        record_wake_fd=setup.shared.record_wake,
        flows_fd=setup.shared.flows,
        hold_udp=setup.hold_udp,
    )
    return 0
