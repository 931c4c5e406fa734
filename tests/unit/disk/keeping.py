"""A folder with a keeper, and what workers do there."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

from l4lb.disk.folder import FOLDERS, open_folder
from l4lb.disk.keeper import Keeper

MIB = 1 << 20


class Counts:
    """The counts in shared memory."""

    def __init__(self) -> None:
        self.value: int | None = None
        self.pending: Counter[int] = Counter()
        self.failed = (0, 0)

    def used(self) -> int | None:
        return self.value

    def set_used(self, used: int) -> None:
        self.value = used

    def add_used(self, delta: int) -> None:
        assert self.value is not None
        self.value += delta

    def take_pending(self, folder: int) -> int:
        return self.pending.pop(folder, 0)

    def errors(self) -> tuple[int, int]:
        return self.failed


class Disk:
    """A folder with a keeper, and what workers do there."""

    def __init__(self, path: Path, size: int = 64 * MIB) -> None:
        self.path = path
        self.folder = open_folder(str(path), "pages")
        self.counts = Counts()
        self.size = size
        self.now_s = 1_000.0
        self.later_ns = 0
        self.names = 0
        self.begin()

    def begin(self) -> None:
        """Begins a keeper process."""
        self.keeper = Keeper(
            "pages", self.folder.fd, self.size, self.counts, chance=random.Random(7),
            now_ns=lambda: self.start_ns + self.later_ns, monotonic=lambda: self.now_s,
        )  # fmt: skip

    @property
    def start_ns(self) -> int:
        return self.path.stat().st_mtime_ns

    def answer(self, folder: int = 0, size: int = 4_096, used_s: int = 0) -> Path:
        """Stores an answer as a worker does."""
        self.names += 1
        path = self.path / f"{folder:02x}" / f"{self.names:030x}"
        path.write_bytes(bytes(size))
        os.utime(path, (used_s, used_s))
        if self.counts.value is not None:
            self.counts.value += taken(path)
            self.counts.pending[folder] += taken(path)
        return path

    def other(self, name: str, size: int = 4_096) -> Path:
        path = self.path / "00" / name
        path.write_bytes(bytes(size))
        return path

    def settle(self) -> None:
        """Does all that there is to do at once."""
        for _ in range(10_000):
            if not self.keeper.turn():
                return
        raise AssertionError("there is always more to do")

    def rotate(self) -> None:
        """Lets the time of one rotation pass."""
        for _ in range(FOLDERS):
            self.keeper.tick()
            self.settle()

    @property
    def on_disk(self) -> int:
        return sum(taken(one) for one in self.path.glob("[0-9a-f][0-9a-f]/*"))


def taken(path: Path) -> int:
    return os.lstat(path).st_blocks * 512


def told(logs: list[Any]) -> list[tuple[str, str]]:
    return [(one["log_level"], one.get("error", "")) for one in logs]
