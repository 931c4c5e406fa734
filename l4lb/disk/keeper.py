"""Keeps the folder of one cache within its size.

Workers add what they write to the count of used bytes, and to a count for its folder (`pending`).
The keeper walks the folders in rotation, and puts right what the counts say: so faults of the file
system, files that somebody else removes, and deaths of workers correct themselves. Before the first
count is complete, the used bytes are unknown, and workers do not write.

A folder is listed after its pending bytes were taken. What a worker adds between the two is counted
twice until the next rotation, never too little.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import stat
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import l4lb.log
from l4lb.disk import eviction
from l4lb.disk.eviction import File
from l4lb.disk.folder import ANSWER, FOLDER_MODE, FOLDERS, FULL, OPEN, TEMPORARY, name_of

BLOCK = 512  # stat(2)
UNTOUCHED_NS = 3_600 * 10**9  # a file that nobody has written to for so long is not being written
TELL_EVERY_S = 10.0
PORTION = 64  # files that are removed before the supervisor is listened to again
FULL_PART = 20  # of the used bytes, a twentieth leaves when the file system is full
LOG = l4lb.log.get("keeper")


class Account(Protocol):
    """The counts of one cache in shared memory. errors: how often workers failed, and the last
    errno."""

    def used(self) -> int | None: ...
    def set_used(self, used: int) -> None: ...
    def add_used(self, delta: int) -> None: ...
    def take_pending(self, folder: int) -> int: ...
    def errors(self) -> tuple[int, int]: ...


class Keeper:
    """Counts and removes files of one cache. fd: its folder."""

    def __init__(
        self,
        name: str,
        fd: int,
        size: int,
        account: Account,
        *,
        chance: random.Random | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._fd = fd
        self._size = size
        self._account = account
        self._chance = chance or random.Random()
        self._now_ns = now_ns
        self._monotonic = monotonic
        self._last = [0] * FOLDERS  # bytes of each folder, when it was walked last
        self._next = 0
        self._counted = False
        self._hurry = 0  # folders that are walked at once
        self._leaving = False  # files leave until there is room again
        self._queue: list[File] = []  # that leave next
        self._extra = 0  # bytes that are to leave because the file system is full
        self._faults: dict[int, int] = {}  # errno of each folder that cannot be used
        self._strangers = False
        self._seen = self._told = account.errors()[0]  # errors of workers
        self._told_at: float | None = None

    # ---- counts --------------------------------------------------------------------------------

    def turn(self) -> bool:
        """Does a part of what there is to do. Returns whether there is more to do at once."""
        if not self._counted:
            self._walk_next()
            if self._next == 0:
                self._count_is_complete()
            return True
        if self._hurry:
            self._hurry -= 1
            self._walk_next()
            return True
        return self._make_room()

    def hurry(self) -> None:
        """Makes the next turns walk all folders, without waiting for the rotation."""
        self._hurry = FOLDERS

    def _count_is_complete(self) -> None:
        self._counted = True
        used = self._account.used()
        if used is None:
            self._account.set_used(sum(self._last))
            return
        # This process takes the place of one that has died, and workers have written meanwhile.
        for folder in range(FOLDERS):
            self._last[folder] += self._account.take_pending(folder)
        self._account.add_used(sum(self._last) - used)

    def tick(self) -> None:
        """Walks the next folder, and looks at what workers could not do."""
        if self._counted:
            self._walk_next()
        count, number = self._account.errors()
        if count != self._seen and number == errno.ENOENT:
            self.hurry()  # somebody has removed folders: they are made again
        self._seen = count
        self._tell_errors(count, number)

    def _walk_next(self) -> None:
        self._walk(self._next)
        self._next = (self._next + 1) % FOLDERS

    def _walk(self, folder: int) -> None:
        """Counts a folder, and puts its part of the used bytes right."""
        pending = self._account.take_pending(folder)
        try:
            found = self._bytes_in(folder)
        except OSError as error:
            self._fault(folder, error.errno or 0)
            self._last[folder] += pending
            return
        self._fault(folder, 0)
        if self._counted:
            self._account.add_used(found - (self._last[folder] + pending))
        self._last[folder] = found

    def _bytes_in(self, folder: int) -> int:
        """Returns the bytes of a folder without the files that no one writes any more, which it
        removes. Raises OSError."""
        total = 0
        with self._opened(folder) as fd:
            for name, about in _entries(fd):
                if TEMPORARY.fullmatch(name):
                    if self._is_left(name, about) and _removed(fd, name):
                        continue
                elif not _is_answer(name, about):
                    self._tell_stranger(folder, name)
                total += about.st_blocks * BLOCK
        return total

    @contextlib.contextmanager
    def _opened(self, folder: int) -> Iterator[int]:
        """Opens a folder, made again if it has vanished. Raises OSError."""
        name = name_of(folder)
        try:
            fd = os.open(name, OPEN, dir_fd=self._fd)
        except FileNotFoundError:
            os.mkdir(name, FOLDER_MODE, dir_fd=self._fd)
            fd = os.open(name, OPEN, dir_fd=self._fd)
        try:
            yield fd
        finally:
            os.close(fd)

    def _is_left(self, name: str, about: os.stat_result) -> bool:
        """Returns whether the writer of a temporary file has gone."""
        match = TEMPORARY.fullmatch(name)
        pid = int(match[1]) if match else 0
        return self._now_ns() - about.st_mtime_ns > UNTOUCHED_NS or not runs(pid)

    # ---- room ----------------------------------------------------------------------------------

    def _make_room(self) -> bool:
        """Removes files if the disk is full. Returns whether more are to leave at once."""
        if not self._queue and not self._choose():
            return False
        portion, self._queue = self._queue[:PORTION], self._queue[PORTION:]
        freed = sum(map(self._remove, portion))
        self._extra = max(0, self._extra - freed)
        if not freed:
            self._queue = []  # why: what cannot be removed now is tried again later, not at once
        return freed > 0

    def _choose(self) -> bool:
        """Chooses the files that leave next. Returns whether there are any."""
        used = self._account.used()
        if used is None:
            self._account.set_used(used := max(0, sum(self._last)))
        wanted = max(eviction.excess(used, self._size, leaving=self._leaving), self._extra)
        self._leaving = wanted > 0
        if wanted:
            sample, whole = self._sample()
            self._queue = eviction.chosen(sample, wanted, whole=whole)
        return bool(self._queue)

    def _sample(self) -> tuple[list[File], bool]:
        """Returns the answers of random folders, and whether they are all that there are."""
        files: list[File] = []
        order = self._chance.sample(range(FOLDERS), FOLDERS)
        for at, folder in enumerate(order):
            if len(files) >= eviction.SAMPLE_FILES:
                return files, at == FOLDERS
            try:
                with self._opened(folder) as fd:
                    files += (
                        File(about.st_atime_ns, about.st_blocks * BLOCK, folder, name)
                        for name, about in _entries(fd)
                        if _is_answer(name, about)
                    )
            except OSError as error:
                self._fault(folder, error.errno or 0)
        return files, True

    def _remove(self, one: File) -> int:
        """Removes an answer. Returns the bytes that this has freed."""
        try:
            with self._opened(one.folder) as fd:
                if not _removed(fd, one.name):
                    return 0
        except OSError as error:
            self._fault(one.folder, error.errno or 0)
            return 0
        self._last[one.folder] -= one.bytes
        self._account.add_used(-one.bytes)
        return one.bytes

    # ---- what is told --------------------------------------------------------------------------

    def _fault(self, folder: int, number: int) -> None:
        """Notes whether a folder can be used (0), and tells when this changes for the disk."""
        before = set(self._faults.values())
        if number:
            self._faults[folder] = number
        else:
            self._faults.pop(folder, None)
        after = set(self._faults.values())
        if after - before:
            why = os.strerror(number)
            LOG.error("the cache's disk cannot be kept in order", target=self._name, error=why)
        elif before and not after:
            LOG.info("the cache's disk is in order again", target=self._name)

    def _tell_stranger(self, folder: int, name: str) -> None:
        if not self._strangers:
            self._strangers = True
            LOG.warning(
                "files that are not the cache's take room on its disk; they are left alone",
                target=self._name,
                first=f"{name_of(folder)}/{name}",
            )

    def _tell_errors(self, count: int, number: int) -> None:
        """Tells that workers could not use the disk, every TELL_EVERY_S at most."""
        now = self._monotonic()
        if count == self._told:
            return
        if self._told_at is not None and now - self._told_at < TELL_EVERY_S:
            return
        LOG.warning(
            "workers could not read or write the cache's disk",
            target=self._name,
            times=count - self._told,
            error=os.strerror(number),
        )
        self._told, self._told_at = count, now
        if number in FULL:
            self._extra = (self._account.used() or 0) // FULL_PART


def _entries(fd: int) -> Iterator[tuple[str, os.stat_result]]:
    """Yields what is in an open folder. Raises OSError."""
    with os.scandir(fd) as entries:
        for one in entries:
            with contextlib.suppress(FileNotFoundError):  # it was removed meanwhile
                yield one.name, one.stat(follow_symlinks=False)


def _is_answer(name: str, about: os.stat_result) -> bool:
    return bool(ANSWER.fullmatch(name)) and stat.S_ISREG(about.st_mode)


def _removed(fd: int, name: str) -> bool:
    """Removes a file. Returns False if it was gone, or is none. Raises OSError."""
    try:
        os.unlink(name, dir_fd=fd)
    except (FileNotFoundError, IsADirectoryError):
        return False
    return True


def runs(pid: int) -> bool:
    """Returns whether a process of this number runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
