"""The memory in which workers leave what is recorded, and the folders where the recorder keeps it
(csrc/shm/record.h). The memory takes no room as long as nothing is recorded, so every service has
it: a reload can add the first record."""

from __future__ import annotations

import contextlib
import mmap
import os
from collections.abc import Iterator, Mapping
from typing import Any

from l4lb import tally
from l4lb.config.model import Config
from l4lb.native import record as native
from l4lb.record.opening import check_folder, open_folder
from l4lb.supervisor.process import memory_file
from l4lb.supervisor.process.privileges import User

RESULTS = ("kept", "cut", "skipped", "failed")  # of the tally


class Records:
    """fd: the memory. wake_fd: an eventfd to which workers write when much waits. tally_fd: what
    the recorder counts."""

    def __init__(self) -> None:
        self.fd = memory_file.make("l4lb-record", native.BYTES)
        self.tally_fd = tally.make("l4lb-record-tally")
        self.wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.folders: dict[str, int] = {}  # open folders by path
        self._chosen_before: Mapping[str, int] = {}  # by rules of the program before, by record

    @property
    def fds(self) -> list[int]:
        """The descriptors that workers keep."""
        return [self.fd, self.wake_fd]

    @contextlib.contextmanager
    def prepared(self, config: Config) -> Iterator[Mapping[str, int]]:
        """Opens the folders that a configuration needs and that are not open, for `put`. Closes
        them if what is done inside raises. Raises L4lbError."""
        user = config.process.user
        owner = User.named(user) if user and os.geteuid() == 0 else None
        opened: dict[str, int] = {}
        try:
            for name, record in config.record.items():
                fd = self.folders.get(record.folder)
                if fd is None or not _is_in_place(fd, record.folder):
                    opened[record.folder] = open_folder(record.folder, name, owner)
                else:
                    check_folder(record.folder, name, fd, owner)
            yield opened
        except BaseException:
            for fd in opened.values():
                os.close(fd)
            raise

    def put(self, config: Config, opened: Mapping[str, int]) -> None:
        """Takes these folders, and closes those that no record has any more."""
        used = {record.folder for record in config.record.values()}
        for path, fd in self.folders.items():
            if path in opened or path not in used:
                os.close(fd)
        known = {**self.folders, **opened}
        self.folders = {path: known[path] for path in known if path in used}

    def counted(self, chosen: Mapping[str, int]) -> dict[str, Any]:
        """Returns the totals of the recorder, and of what was chosen, for the next program."""
        both = {name: self._chosen(name, chosen) for name in {*chosen, *self._chosen_before}}
        return {**tally.read(self.tally_fd), "chosen": both}

    def _chosen(self, name: str, chosen: Mapping[str, int]) -> int:
        return chosen.get(name, 0) + self._chosen_before.get(name, 0)

    def restore(self, told: Mapping[str, Any]) -> None:
        """Takes the totals of the program before, as long as no recorder runs."""
        self._chosen_before = told.get("chosen", {})
        if "records" in told:  # a recorder has run
            with mmap.mmap(self.tally_fd, tally.BYTES) as area:
                tally.write(area, {**told, "in_rings": 0})  # these rings are new

    def shown(self, config: Config, chosen: Mapping[str, int]) -> list[dict[str, Any]]:
        """Returns the records as operators see them (docs/admin.md, records). chosen: requests that
        a rule of this program has chosen, by record."""
        told = tally.read(self.tally_fd).get("records", {})
        nothing = {"results": {}, "bytes": 0, "error": None}
        return [
            {
                "record": name,
                "folder": one.folder,
                "chosen": self._chosen(name, chosen),
                **{key: its["results"].get(key, 0) for key in RESULTS},
                "files_bytes": its["bytes"],
                "max_bytes": one.max_size,
                "error": its["error"],
            }
            for name, one in config.record.items()
            for its in [told.get(name, nothing)]
        ]


def _is_in_place(fd: int, path: str) -> bool:
    """Returns whether an open folder is still the one at its path. Not if somebody has removed or
    moved it."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # a service that became another user may not see it any more
        return os.fstat(fd).st_nlink > 0
