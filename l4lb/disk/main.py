"""The entry of the keeper process, which keeps the disks of all caches within their sizes.

All work on the folders of disks is done here, where a slow disk holds up nobody: workers read the
used bytes in shared memory, and do not write when there is no room.
"""

from __future__ import annotations

import gc
import mmap
import select
import signal
import socket
import time
from dataclasses import dataclass

import setproctitle

from l4lb.disk.keeper import Keeper
from l4lb.frames import Inbox
from l4lb.native import cache as native
from l4lb.native.caches import CacheRow, mapped
from l4lb.native.table import Table

TICK_S = 0.5
NEGATIVE = 1 << 63  # from here on, the number of used bytes is one below zero


@dataclass(frozen=True)
class KeptDisk:
    """The disk of a cache. fd: its folder. size: the bytes that its files may take."""

    cache: str
    fd: int
    size: int


@dataclass(frozen=True)
class KeeperSetup:
    """channel: to the supervisor; its end of file ends this process. cache_fd: the memory of all
    caches."""

    table: Table
    channel: socket.socket
    cache_fd: int
    disks: tuple[KeptDisk, ...]


class Account:
    """The counts of one cache's disk, in the memory of the cache."""

    def __init__(self, area: mmap.mmap) -> None:
        self._area = area

    def used(self) -> int | None:
        used = native.disk(self._area).used
        if used is not None and used >= NEGATIVE:
            self.set_used(0)  # why: what was taken from it was more than there was
            return 0
        return used

    def set_used(self, used: int) -> None:
        native.disk_set_used(self._area, used)

    def add_used(self, delta: int) -> None:
        native.disk_add_used(self._area, delta)

    def take_pending(self, folder: int) -> int:
        return native.disk_take_pending(self._area, folder)

    def errors(self) -> tuple[int, int]:
        found = native.disk(self._area)
        return found.errors, found.error

    def close(self) -> None:
        self._area.close()


class Keepers:
    """The keepers of all disks whose caches are in force."""

    def __init__(self, setup: KeeperSetup) -> None:
        self._setup = setup
        self._rows: dict[str, CacheRow] = {}
        self._accounts: dict[str, Account] = {}
        self._keepers: dict[str, Keeper] = {}
        self._workers: set[int] = set()  # their pids
        self._follow()

    def turn(self) -> bool:
        """Does a part of what there is to do. Returns whether there is more to do at once."""
        more = [keeper.turn() for keeper in self._keepers.values()]  # all have a turn
        return any(more)

    def tick(self) -> None:
        """Does what is due every TICK_S."""
        self._follow()
        workers = {row.pid for row in self._setup.table.workers()}
        for keeper in self._keepers.values():
            if self._workers != workers:
                keeper.hurry()  # one may have ended while it wrote
            keeper.tick()
        self._workers = workers

    def _follow(self) -> None:
        """Begins anew where a reload has given a cache other memory: nothing is counted there."""
        rows = {row.name: row for row in native.rows(self._setup.table)}
        for disk in self._setup.disks:
            row = rows.get(disk.cache)
            if row == self._rows.get(disk.cache):
                continue
            if disk.cache in self._rows:
                del self._keepers[disk.cache], self._rows[disk.cache]
                self._accounts.pop(disk.cache).close()
            if row is not None:
                account = Account(mapped(self._setup.cache_fd, row.at, row.size))
                self._rows[disk.cache], self._accounts[disk.cache] = row, account
                self._keepers[disk.cache] = Keeper(disk.cache, disk.fd, disk.size, account)


def run(setup: KeeperSetup) -> int:
    """Keeps the disks in order until the supervisor has gone. Returns the exit status."""
    setproctitle.setproctitle("l4lb: keeper")
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    gc.freeze()
    keepers, inbox = Keepers(setup), Inbox(setup.channel)
    poll = select.poll()
    poll.register(setup.channel.fileno(), select.POLLIN)
    due = time.monotonic() + TICK_S
    while not inbox.ended:
        wait_s = 0.0 if keepers.turn() else max(0.0, due - time.monotonic())
        if poll.poll(wait_s * 1_000):
            inbox.take()
        if time.monotonic() >= due:
            keepers.tick()
            due = time.monotonic() + TICK_S
    return 0
