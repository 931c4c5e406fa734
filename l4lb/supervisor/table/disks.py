"""The disks of caches: opened when the program starts, and in force until its end.

The disk of a cache that a reload adds, and a disk that it changes, wait for the next start: a
worker can open no folder later, and a folder must be made before rights are given up. An upgrade
passes the lock of each folder on (`carried`), and the new program goes on with the folder's key.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.clock import monotonic_ms
from l4lb.config.model import Config
from l4lb.config.tables.cache import Disk
from l4lb.disk.folder import Folder, open_folder
from l4lb.disk.main import KeptDisk
from l4lb.disk.state import KEY_BYTES, merged
from l4lb.errors import L4lbError
from l4lb.native import cache as native
from l4lb.supervisor.process.privileges import User

RETRY_MS = 10_000  # between two attempts to write purges
NONE = {"disk_fd": 0, "disk_key": bytes(KEY_BYTES), "disk_size": 0, "disk_max_object": 0}
LOG = l4lb.log.get("supervisor")


class Disks:
    """The open folders of this program's caches, by the names of the caches."""

    def __init__(self) -> None:
        self._folders: dict[str, Folder] = {}
        self._disks: dict[str, Disk] = {}
        self._retry_ms = 0

    def open(self, config: Config, carried: Mapping[str, int], *, must: bool) -> list[str]:
        """Opens the folders of a configuration, for the user that this process becomes. carried:
        the locks that the old program has passed on, by path. must: raises L4lbError if one cannot
        be opened; else its cache keeps in memory only. Returns the caches whose folder the old
        program did not have."""
        user, new = config.process.user, []
        owner = User.named(user) if user and os.geteuid() == 0 else None
        try:
            for name, disk in _disks(config).items():
                if disk.path in carried:
                    self._folders[name] = Folder(disk.path, name, carried[disk.path])
                else:
                    new.append(name)
                    self._open_new(name, disk, owner, must)
                self._disks[name] = disk
        except OSError as error:
            raise L4lbError(f"the folders of caches cannot be opened: {error}") from error
        except BaseException:
            for name in set(new) & set(self._folders):
                self._folders.pop(name).close()
            raise
        return [name for name in new if name in self._folders]

    def _open_new(self, name: str, disk: Disk, owner: User | None, must: bool) -> None:
        try:
            self._folders[name] = open_folder(disk.path, name, owner)
        except L4lbError as error:
            if must:
                raise
            LOG.error("a cache keeps in memory only", cache=name, error=error.message)

    def begin(self, purges: mmap.mmap) -> None:
        """Begins the list of purges with those that the folders know, and a new epoch. Raises
        L4lbError."""
        folders = self._folders.values()
        epoch = 1 + max((one.state.epoch for one in folders), default=0)
        floor = max((one.state.floor for one in folders), default=0)
        rows, floor = merged([row for one in folders for row in one.state.purges], floor)
        native.begin_bans(purges, epoch, floor, rows)
        for name in self._folders:
            self._begin(name, epoch, must=True)

    def go_on(self, purges: mmap.mmap, new: Collection[str]) -> None:
        """Goes on with the list of purges of the old program. new: the caches whose folder it did
        not have: what is there was stored by another one's count, and is not used. Raises
        L4lbError."""
        epoch = native.bans_epoch(purges)
        for name, folder in self._folders.items():
            if name not in new:
                folder.purged(native.bans_of(purges, name))
            self._begin(name, epoch, must=name in new, anew=name in new)

    def _begin(self, name: str, epoch: int, *, must: bool, anew: bool = False) -> None:
        folder = self._folders[name]
        try:
            folder.begin(epoch, anew=anew)
        except OSError as error:
            if must:
                raise L4lbError(
                    f"cache {name}: the state in {folder.path} cannot be written: {error.strerror}"
                ) from error
            self._tell_unsaved(name, error)

    # ---- what is in force ----------------------------------------------------------------------

    @property
    def fds(self) -> list[int]:
        """The folders, for workers and the keeper."""
        return [one.fd for one in self._folders.values()]

    @property
    def carried(self) -> dict[str, int]:
        """The lock of each folder, by path, for the next program."""
        return {self._disks[name].path: one.lock_fd for name, one in self._folders.items()}

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of each disk, by the name of its cache."""
        return {name: self._disks[name].size for name in self._folders}

    @property
    def kept(self) -> tuple[KeptDisk, ...]:
        """What the keeper keeps."""
        return tuple(
            KeptDisk(name, one.fd, self._disks[name].size) for name, one in self._folders.items()
        )

    def values(self, name: str) -> dict[str, Any]:
        """Returns what a cache's row says of its disk."""
        folder = self._folders.get(name)
        if folder is None:
            return NONE
        disk = self._disks[name]
        return {
            "disk_fd": folder.fd,
            "disk_key": folder.state.key,
            "disk_size": disk.size,
            "disk_max_object": disk.object_bytes,
        }

    def renew(self, names: Collection[str]) -> None:
        """Gives the folders of caches that a reload has taken out another key: what is purged from
        now on is not purged there, should they come back."""
        for name in set(names) & set(self._folders):
            self._begin(name, self._folders[name].state.epoch, must=False, anew=True)

    # ---- purges --------------------------------------------------------------------------------

    def purged(self, purges: mmap.mmap, names: Sequence[str]) -> list[str]:
        """Writes what was purged to the folders of these caches. Returns the caches of which that
        failed; it is tried again."""
        failed = []
        for name in names:
            folder = self._folders.get(name)
            if folder is None:
                continue
            folder.purged(native.bans_of(purges, name))
            if not self._save(name, folder):
                failed.append(name)
        return failed

    def look(self) -> None:
        """Tries again to write what could not be written."""
        if monotonic_ms() < self._retry_ms:
            return
        for name, folder in self._folders.items():
            if not folder.is_saved and self._save(name, folder):
                LOG.info("the purges of a cache are on its disk", cache=name)

    def _save(self, name: str, folder: Folder) -> bool:
        try:
            folder.save()
        except OSError as error:
            self._tell_unsaved(name, error)
            return False
        return True

    def _tell_unsaved(self, name: str, error: OSError) -> None:
        self._retry_ms = monotonic_ms() + RETRY_MS
        LOG.error(
            "purges cannot be written to a cache's disk: after a restart, what was purged could"
            " come back",
            cache=name,
            folder=self._folders[name].path,
            error=error.strerror or str(error),
        )

    # ---- the end -------------------------------------------------------------------------------

    def end(self) -> None:
        """Notes that the service has ended in order, and closes the folders. No worker runs any
        more."""
        for name, folder in self._folders.items():
            try:
                folder.end()
            except OSError as error:
                LOG.error("a cache's disk was not left in order", cache=name, error=str(error))
            folder.close()
        self._folders.clear()


def check_new(config: Config, carried: Collection[str]) -> None:
    """Opens the folders that the old program does not have, and closes them again. Raises
    L4lbError."""
    for name, disk in _disks(config).items():
        if disk.path not in carried:
            open_folder(disk.path, name).close()


def close_unused(config: Config, carried: Mapping[str, int]) -> None:
    """Closes the old program's folders that no cache of the configuration has any more. They get
    another key, because what is purged from now on is not purged there."""
    used = {disk.path for disk in _disks(config).values()}
    for path, fd in carried.items():
        if path in used:
            continue
        folder = Folder(path, "", fd)
        try:
            folder.save()
        except OSError as error:
            LOG.error("what a disk has could come back if it is used again", folder=path,
                      error=str(error))  # fmt: skip
        folder.close()


def _disks(config: Config) -> dict[str, Disk]:
    return {name: one.disk for name, one in config.cache.items() if one.disk is not None}
