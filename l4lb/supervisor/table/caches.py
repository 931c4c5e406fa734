"""The caches: which row of the shared table each has, and their memory.

All memory is in one memory file, which exists before the first worker does. A cache has a window
there. A worker may still send from the window of a cache that is gone: its memory is given back
when no worker has it open any more, and its row can then have another cache. The place in the file
is not used again, because that costs nothing. A cache whose size changes is another one, and begins
empty.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import l4lb.log
from l4lb.config.model import Cache, Config
from l4lb.errors import L4lbError
from l4lb.native import cache as native
from l4lb.native.caches import mapped
from l4lb.native.table import Table
from l4lb.supervisor.process import memory_file
from l4lb.supervisor.table.disks import Disks
from l4lb.supervisor.table.row_allocator import FullError, RowAllocator
from l4lb.supervisor.table.row_settings import of_cache

LOG = l4lb.log.get("supervisor")

Key = tuple[str, int, int | None]  # name, memory, max_object: another one of these, another cache


class _Window(NamedTuple):
    """The memory of a row: where it is, and the largest object that it takes."""

    at: int
    bytes: int
    max_object: int


class _Left(NamedTuple):
    """A window that no cache has any more. used: what the row's was."""

    row: int
    used: int
    window: _Window


class Caches:
    """The rows and the memory of all caches. fd: the memory file, which workers map."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.fd = memory_file.make("l4lb-caches", native.BANS_BYTES)
        with self.purges() as bans:
            native.begin_bans(bans)
        self._end = self._begin = native.BANS_BYTES  # _begin: of this program's own caches
        self._goes_on = False  # with the old program's list of purges
        self._windows: dict[int, _Window] = {}
        self._used: dict[int, int] = {}  # how often each row was given
        self._left: list[_Left] = []  # windows whose memory is still taken
        self.disks = Disks()
        self._rows: RowAllocator[Key] = RowAllocator(
            native.CACHES_MAX, is_idle=self._is_idle, recycle=self._recycle
        )

    def open_disks(
        self, config: Config, carried: Mapping[str, int] | None = None, *, must: bool = True
    ) -> None:
        """Opens the disks of a configuration, before there is a cache. The arguments are those of
        Disks.open. Raises L4lbError."""
        new = self.disks.open(config, carried or {}, must=must)
        with self.purges() as bans:
            if self._goes_on:
                self.disks.go_on(bans, new)
            else:
                self.disks.begin(bans)

    def carried(self) -> dict[str, int]:
        """Returns what the next program gets: the file, and where its caches begin."""
        return {"fd": self.fd, "end": self._end}

    def go_on(self, told: Mapping[str, int]) -> None:
        """Takes the old program's file in place of one of its own, before there is a cache: what is
        purged by one program's workers is then purged for the other's, too. The caches begin empty,
        because the old workers still write into theirs."""
        with mmap.mmap(told["fd"], native.BANS_BYTES) as bans:
            if not native.bans_are_known(bans):
                return  # another version's: the old workers' last purges are not known here
            native.share_bans(bans, shared=True)
        os.close(self.fd)
        self.fd, self._begin = told["fd"], told["end"]
        self._end = self._begin
        self._goes_on = True

    def close_unused(self, told: Mapping[str, int] | None) -> None:
        """Closes the old program's file if go_on did not take it."""
        if told is not None and told["fd"] != self.fd:
            os.close(told["fd"])

    def alone(self) -> None:
        """No older program's worker serves any more: gives the memory of its caches back."""
        with self.purges() as bans:
            native.share_bans(bans, shared=False)
        if self._begin > native.BANS_BYTES:
            try:
                native.punch(self.fd, native.BANS_BYTES, self._begin - native.BANS_BYTES)
            except OSError as error:
                LOG.warning("memory of old caches stays taken until the end", error=str(error))

    @property
    def fds(self) -> list[int]:
        """The memory and the folders, for processes that look at both."""
        return [self.fd, *self.disk_fds]

    @property
    def disk_fds(self) -> list[int]:
        """The folders of caches, which workers write to."""
        return self.disks.fds

    @property
    def rows(self) -> Mapping[str, int]:
        """The row of each cache in force, by name."""
        return {key[0]: row for key, row in self._rows.live.items()}

    @contextlib.contextmanager
    def prepared(self, config: Config) -> Iterator[Mapping[str, int]]:
        """Yields the row of each cache of a configuration, by name, with its memory. The rows of
        new ones are given back if the block raises. Raises L4lbError."""
        new: list[Key] = []
        self._give_back()
        try:
            for key, cache in _keys(config).items():
                if key not in self._rows:
                    self._take(key, cache, config.process.workers)
                    new.append(key)
            yield {key[0]: self._rows[key] for key in _keys(config)}
        except BaseException:
            for key in new:
                self._rows.give(key)
            raise

    def put(self, config: Config, purge_sets: Mapping[str, int | None]) -> None:
        """Writes the rules of all caches. purge_sets: by name, who may purge."""
        for key, cache in _keys(config).items():
            row = self._rows[key]
            window = self._windows[row]
            self._used.setdefault(row, 1)
            values = of_cache(cache, window.max_object, purge_sets[cache.name])
            native.put(
                self._table, row, name=cache.name, at=window.at, size=window.bytes,
                used=self._used[row], **self.disks.values(cache.name), **values,
            )  # fmt: skip

    def drop_others(self, config: Config) -> None:
        """Gives back the rows of caches that the configuration does not have."""
        gone = []
        for key in [key for key in self._rows.live if key not in _keys(config)]:
            row = self._rows.give(key)
            native.clear(self._table, row)
            # why: what is purged from now on is not purged there.
            self._left.append(_Left(row, self._used[row], self._windows.pop(row)))
            self._used[row] += 1
            gone.append(key[0])
        self.disks.renew(set(gone) - config.cache.keys())

    def look(self) -> None:
        """Does what could not be done before."""
        self.disks.look()
        self._give_back()

    def _give_back(self) -> None:
        """Gives the memory of caches back that are gone, where no worker has it any more."""
        for one in list(self._left):
            if not native.is_open(self._table, one.row, one.used):
                self._left.remove(one)
                self._punch(one.window)

    def _punch(self, window: _Window) -> None:
        try:
            native.punch(self.fd, window.at, window.bytes)
        except OSError as error:
            LOG.warning("memory of old caches stays taken until the end", error=str(error))

    def _is_idle(self, row: int) -> bool:
        return all(one.row != row for one in self._left)

    def _recycle(self, row: int) -> None:
        """Prepares an idle row for another cache. The counts stay with the cache that had it."""
        if row in self._windows:  # of a configuration that was not taken
            self._punch(self._windows.pop(row))
        native.move_counts(self._table, row, self.rows.get(native.name_of(self._table, row)))

    def forget(self, reader: int) -> None:
        """Forgets what a dead worker (or native.GUEST) read and fetched."""
        if reader != native.GUEST:
            native.closed(self._table, reader)
        for name in self.rows:
            with self.mapped(name) as area:
                native.forget(area, reader)

    def purges(self) -> mmap.mmap:
        """Returns the list of purges."""
        return mmap.mmap(self.fd, native.BANS_BYTES)

    def mapped(self, name: str) -> mmap.mmap:
        """Returns the memory of a cache in force."""
        window = self._windows[self.rows[name]]
        return mapped(self.fd, window.at, window.bytes)

    def close(self) -> None:
        os.close(self.fd)

    def _take(self, key: Key, cache: Cache, workers: int) -> None:
        try:
            row, _ = self._rows.take(key)
        except FullError:
            raise L4lbError(
                f"no room for the cache {cache.name}: clients still read from too many caches that"
                " were removed or have another size; try again later"
            ) from None
        if row not in self._windows:
            try:
                self._windows[row] = self._made(cache, workers)
            except BaseException:
                self._rows.give(key)
                raise

    def _made(self, cache: Cache, workers: int) -> _Window:
        """Makes an empty cache at the end of the file."""
        largest = cache.object_bytes(workers)
        needed = native.memory_bytes(cache.memory, workers, largest)
        if not needed:
            raise L4lbError(
                f"cache {cache.name}: max_object is too large for its memory with {workers} workers"
            )
        window = _Window(self._end, -(-needed // mmap.PAGESIZE) * mmap.PAGESIZE, largest)
        try:
            os.ftruncate(self.fd, window.at + window.bytes)
            with mapped(self.fd, window.at, window.bytes) as area:
                native.make(area, cache.memory, workers, largest)
        except (OSError, ValueError) as error:
            raise L4lbError(f"no memory for the cache {cache.name}: {error}") from error
        self._end = window.at + window.bytes
        return window


def _keys(config: Config) -> Mapping[Key, Cache]:
    return {(name, one.memory, one.max_object): one for name, one in config.cache.items()}
