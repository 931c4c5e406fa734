"""The entry of the packet process, which keeps the kernel's program up with the shared table and
the table up with the kernel's flows (csrc/packet/forwarder.h)."""

from __future__ import annotations

import gc
import select
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import setproctitle

import l4lb.log
from l4lb.frames import Inbox
from l4lb.native.table import Table

LOG_EVERY = 3000  # ticks between two reports of a map that cannot be read
LOG = l4lb.log.get("packet")


@dataclass(frozen=True)
class PacketSetup:
    """channel: to the supervisor; its end of file ends this process. row: of the shared table, in
    which it counts. maps: descriptors of the program's maps. memory_fd: what it knows of flows."""

    table: Table
    channel: socket.socket
    row: int
    maps: Sequence[int]
    memory_fd: int


def run(setup: PacketSetup) -> int:
    """Follows until the supervisor has gone. Returns the exit status."""
    from l4lb.native.forward import TICK_MS, Forwarder

    setproctitle.setproctitle("l4lb: packets")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    gc.freeze()
    forwarder = Forwarder(setup.table, setup.row, setup.maps, setup.memory_fd)
    inbox = Inbox(setup.channel)
    poll = select.poll()
    poll.register(setup.channel.fileno(), select.POLLIN)
    quiet = 0
    while not inbox.ended:
        for _ in poll.poll(TICK_MS):
            inbox.take()
        quiet = max(0, quiet - 1)
        try:
            forwarder.tick()
        except OSError as error:
            if not quiet:
                LOG.error(
                    "the kernel's flows cannot be read; packets are forwarded", why=str(error)
                )
            quiet = LOG_EVERY
    return 0
