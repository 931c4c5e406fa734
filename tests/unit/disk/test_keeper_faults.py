"""The keeper of a cache's folder: what it leaves alone, and what it does when the disk fails."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from l4lb.disk import keeper as module
from l4lb.disk.keeper import UNTOUCHED_NS

from .keeping import Disk, taken, told

# ---- what is no answer ----


def test_a_file_whose_writer_has_died_is_removed(disk: Disk) -> None:
    with subprocess.Popen(["true"]) as ended:
        pid = ended.pid
    left = disk.other(f"t{pid}-1f")
    written = disk.other(f"t{os.getpid()}-20")
    disk.settle()
    assert not left.exists()
    assert written.exists()
    assert disk.counts.value == disk.on_disk == taken(written)


def test_a_file_that_nobody_has_written_to_for_an_hour_is_removed(disk: Disk) -> None:
    left = disk.other(f"t{os.getpid()}-1")
    disk.settle()
    disk.later_ns = left.stat().st_mtime_ns - disk.start_ns + UNTOUCHED_NS
    disk.rotate()
    assert left.exists()
    disk.later_ns += 1
    disk.rotate()
    assert not left.exists()
    assert disk.counts.value == 0


def test_what_is_not_the_caches_is_counted_left_alone_and_told_once(disk: Disk) -> None:
    disk.size = 400 * 4_096
    names = ("notes.txt", "a" * 29, "A" * 30, "t-1", "t12", f"t{'9' * 30}-1", "b" * 31)
    others = [disk.other(name) for name in names]
    (disk.path / "01" / ("c" * 30)).mkdir()
    for number in range(400):
        disk.answer(number % 256)
    disk.begin()
    with structlog.testing.capture_logs() as logs:
        disk.settle()
        disk.rotate()
    assert all(one.exists() for one in others)
    assert (disk.path / "01" / ("c" * 30)).is_dir()
    assert [one["log_level"] for one in logs] == ["warning"]
    assert disk.counts.value == disk.on_disk <= 360 * 4_096


def test_links_are_neither_followed_nor_used(disk: Disk, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ("a" * 30)).write_bytes(bytes(100_000))
    (disk.path / "00").rmdir()
    (disk.path / "00").symlink_to(outside)
    (disk.path / "01" / ("b" * 30)).symlink_to(outside / ("a" * 30))
    disk.size = 1
    disk.begin()
    with structlog.testing.capture_logs() as logs:
        disk.settle()
        disk.rotate()
    assert (outside / ("a" * 30)).exists()
    assert ("error", os.strerror(errno.ENOTDIR)) in told(logs)


# ---- faults ----


def test_a_folder_that_has_vanished_is_made_again(disk: Disk) -> None:
    disk.answer(0)
    disk.settle()
    for one in (disk.path / "00").iterdir():
        one.unlink()
    (disk.path / "00").rmdir()
    disk.rotate()
    assert (disk.path / "00").is_dir()
    assert disk.counts.value == disk.on_disk == 0


def test_folders_that_workers_miss_are_made_again_at_once(disk: Disk) -> None:
    disk.settle()
    for folder in disk.path.glob("[0-9a-f][0-9a-f]"):
        folder.rmdir()
    disk.counts.failed = (1, errno.ENOENT)
    disk.keeper.tick()
    disk.settle()
    assert len(list(disk.path.glob("[0-9a-f][0-9a-f]"))) == 256


def test_what_a_dead_worker_has_begun_is_removed_at_once_when_the_keeper_hurries(
    disk: Disk,
) -> None:
    disk.settle()
    with subprocess.Popen(["true"]) as ended:
        left = disk.other(f"t{ended.pid}-1f")
    disk.keeper.tick()
    disk.settle()
    disk.keeper.hurry()
    disk.settle()
    assert not left.exists()


def test_a_disk_that_fails_is_told_once_and_again_when_it_is_well(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.settle()
    disk.answer(0)

    def broken(_: int) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with structlog.testing.capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(module, "_entries", broken)
            disk.rotate()
            disk.rotate()
        assert told(logs) == [("error", "Input/output error")]
        disk.rotate()
    assert told(logs)[1:] == [("info", "")]
    assert disk.counts.value == disk.on_disk


def test_a_read_only_disk_is_told_and_makes_no_busy_loop(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.size = 10 * 4_096
    disk.begin()
    for number in range(12):
        disk.answer(number)

    def refused(*_: Any) -> bool:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with structlog.testing.capture_logs() as logs:
        with monkeypatch.context() as patch:
            patch.setattr(module, "_removed", refused)
            disk.settle()
        disk.settle()
    assert told(logs)[0] == ("error", "Read-only file system")
    assert disk.counts.value == disk.on_disk == 9 * 4_096


def test_the_first_count_ends_though_a_folder_cannot_be_read(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: int) -> Any:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(module, "_entries", broken)
    disk.settle()
    assert disk.counts.value == 0


def test_errors_of_workers_are_told_every_ten_seconds_at_most(disk: Disk) -> None:
    disk.settle()
    with structlog.testing.capture_logs() as logs:
        for count in range(1, 12):
            disk.counts.failed = (count, errno.EIO)
            disk.keeper.tick()
            disk.now_s += 1
    assert [(one["times"], one["error"]) for one in logs] == [
        (1, "Input/output error"),
        (10, "Input/output error"),
    ]
