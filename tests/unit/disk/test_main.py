"""The keeper process: which caches it keeps, in whose memory, and when it ends."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from l4lb.disk import main
from l4lb.disk.folder import FOLDERS, Folder, open_folder
from l4lb.disk.main import Keepers, KeeperSetup, KeptDisk
from l4lb.disk.state import PURGES_MAX
from l4lb.native import cache as native
from l4lb.native.caches import Disk, mapped
from l4lb.native.table import Table
from l4lb.supervisor.process.child import channel
from tests.unit.supervisor.tables import cache_in, table_of

SIZE = 64 << 20


class Running:
    """A table with a cache, and the disk of the cache, which has answers of `size` bytes."""

    def __init__(self, table: Table, fd: int, folder: Folder, size: int) -> None:
        self.size = size
        self.table = table
        self.fd = fd
        self.ours, theirs = channel()
        disks = (KeptDisk("pages", folder.fd, SIZE), KeptDisk("not in force", folder.fd, SIZE))
        self.setup = KeeperSetup(table, theirs, fd, disks)

    def area(self) -> mmap.mmap:
        (row,) = native.rows(self.table)
        return mapped(self.fd, row.at, row.size)

    @property
    def counts(self) -> Disk:
        with self.area() as area:
            return native.disk(area)

    def move(self) -> None:
        """Gives the cache other memory, as a reload with another size does."""
        (row,) = native.rows(self.table)
        os.ftruncate(self.fd, 2 * row.size)
        with mapped(self.fd, row.size, row.size) as area:
            native.make(area, 4 << 20, 1, 1 << 16)
        native.put(self.table, 0, name="pages", at=row.size, size=row.size, used=1)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    table, folder = table_of({}), open_folder(str(tmp_path / "pages"), "pages")
    answer = tmp_path / "pages" / "00" / ("a" * 30)
    answer.write_bytes(bytes(10_000))
    with cache_in(table) as fd:
        yield Running(table, fd, folder, answer.stat().st_blocks * 512)
    folder.close()


def settled(keepers: Keepers) -> None:
    while keepers.turn():
        pass


def test_limits_that_both_sides_have_agree() -> None:
    assert native.DISK_FOLDERS == FOLDERS
    assert native.BANS_MAX > PURGES_MAX


def test_the_count_is_in_the_memory_of_the_cache(running: Running) -> None:
    assert running.counts.used is None
    settled(Keepers(running.setup))
    assert running.counts.used == running.size


def test_a_cache_that_gets_other_memory_is_counted_again(running: Running) -> None:
    keepers = Keepers(running.setup)
    settled(keepers)
    running.move()
    assert running.counts.used is None
    keepers.tick()
    settled(keepers)
    assert running.counts.used == running.size


def test_a_cache_that_a_reload_takes_out_is_left_alone(running: Running) -> None:
    keepers = Keepers(running.setup)
    settled(keepers)
    native.clear(running.table, 0)
    keepers.tick()
    assert not keepers.turn()


def test_a_count_below_zero_is_zero(running: Running) -> None:
    with running.area() as area:
        account = main.Account(running.area())
        native.disk_set_used(area, 4_096)
        account.add_used(-8_192)
        assert account.used() == 0
        assert native.disk(area).used == 0
        account.close()


def test_what_workers_have_written_is_taken_once(running: Running) -> None:
    account = main.Account(running.area())
    assert account.take_pending(7) == 0
    assert account.errors() == (0, 0)
    account.close()


def test_it_ends_with_its_supervisor(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.gc, "freeze", lambda: None)
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr(main.setproctitle, "setproctitle", lambda _: None)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(main.run(running.setup)))
    thread.start()
    running.ours.close()
    thread.join(30)
    assert done == [0]
