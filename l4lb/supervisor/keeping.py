"""The keeper: the process that keeps the disks of caches within their sizes."""

from __future__ import annotations

import socket

import l4lb.disk.main
from l4lb.disk.main import KeeperSetup
from l4lb.native.table import Table
from l4lb.supervisor.process.helper import Helper
from l4lb.supervisor.process.reactor import Reactor
from l4lb.supervisor.process.seccomp import Guards
from l4lb.supervisor.table.caches import Caches


class Keeping(Helper):
    """Runs the keeper, if a cache has a disk."""

    def __init__(self, reactor: Reactor, table: Table, caches: Caches, guards: Guards) -> None:
        self._table = table
        self._caches = caches
        super().__init__(
            reactor,
            "keeper",
            self._run,
            keep=caches.fds,
            guard=lambda: guards.keeper(caches.disk_fds),
        )

    def start(self) -> None:
        if self._caches.disks.kept:
            super().start()

    def _run(self, channel: socket.socket) -> int:
        disks = self._caches.disks.kept
        return l4lb.disk.main.run(KeeperSetup(self._table, channel, self._caches.fd, disks))
