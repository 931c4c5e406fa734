"""The keeper of a cache's folder: its count, and what it removes."""

from __future__ import annotations

import errno
import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
import structlog.testing
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from l4lb.disk import keeper as module
from l4lb.disk.folder import FOLDERS

from .keeping import MIB, Disk, told

# ---- the count ----


def test_the_first_count_knows_all_files_and_is_told_when_it_is_complete(disk: Disk) -> None:
    for folder in (0, 17, 255):
        disk.answer(folder, 10_000)
    for _ in range(FOLDERS):
        assert disk.counts.value is None
        assert disk.keeper.turn()
    assert disk.counts.value == disk.on_disk > 0
    assert not disk.keeper.turn()


def test_what_workers_write_is_counted_once(disk: Disk) -> None:
    disk.settle()
    for folder in (3, 3, 200):
        disk.answer(folder)
    for _ in range(3):
        disk.rotate()
        assert disk.counts.value == disk.on_disk


def test_what_others_remove_or_write_is_found_within_a_rotation(disk: Disk) -> None:
    gone = disk.answer(5, 50_000)
    disk.settle()
    gone.unlink()
    (disk.path / "09" / ("b" * 30)).write_bytes(bytes(9_000))
    assert disk.counts.value != disk.on_disk
    disk.rotate()
    assert disk.counts.value == disk.on_disk


def test_what_a_worker_adds_while_its_folder_is_listed_is_right_after_a_rotation(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.settle()
    entries = module._entries

    def while_listed(fd: int) -> Any:
        monkeypatch.setattr(module, "_entries", entries)
        disk.answer(0)
        return entries(fd)

    monkeypatch.setattr(module, "_entries", while_listed)
    disk.keeper.tick()
    assert disk.counts.value == 2 * disk.on_disk
    disk.rotate()
    assert disk.counts.value == disk.on_disk


def test_a_keeper_that_takes_the_place_of_a_dead_one_counts_what_is_written_meanwhile(
    disk: Disk,
) -> None:
    disk.answer(1)
    disk.settle()
    disk.answer(2)
    disk.begin()
    for step in range(FOLDERS):
        if step in (0, 1, 100, 255):
            disk.answer(step)
            disk.answer(1)
        disk.keeper.turn()
    assert disk.counts.value == disk.on_disk
    disk.rotate()
    assert disk.counts.value == disk.on_disk


class Workers(RuleBasedStateMachine):
    """Workers, a keeper that may die, and somebody who removes files."""

    path: Path

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk(Path(tempfile.mkdtemp(dir=self.path)), size=16 * MIB)
        self.disk.settle()

    @rule(folder=st.integers(0, 3), size=st.integers(0, 200_000), used_s=st.integers(0, 50))
    def store(self, folder: int, size: int, used_s: int) -> None:
        self.disk.answer(folder, size, used_s)

    @rule(chance=st.randoms())
    def lose(self, chance: random.Random) -> None:
        files = sorted(self.disk.path.glob("0[0-3]/*"))
        if files:
            chance.choice(files).unlink()

    @rule(times=st.integers(1, FOLDERS))
    def tick(self, times: int) -> None:
        for _ in range(times):
            self.disk.keeper.tick()

    @rule(times=st.integers(1, FOLDERS))
    def turn(self, times: int) -> None:
        for _ in range(times):
            self.disk.keeper.turn()

    @rule()
    def die(self) -> None:
        self.disk.begin()

    @invariant()
    def is_never_counted_as_less_than_nothing(self) -> None:
        assert (self.disk.counts.value or 0) >= 0

    def teardown(self) -> None:
        try:
            self.disk.settle()
            self.disk.rotate()
            assert self.disk.counts.value == self.disk.on_disk
        finally:
            self.disk.folder.close()


def test_the_count_is_right_after_a_rotation_whatever_has_happened(tmp_path: Path) -> None:
    case = type("Case", (Workers,), {"path": tmp_path})
    case.TestCase.settings = settings(max_examples=5, stateful_step_count=25, deadline=None)
    case.TestCase().runTest()


# ---- what leaves ----


def test_a_disk_that_is_not_full_loses_nothing(disk: Disk) -> None:
    disk.size = 400 * 4_096
    disk.begin()
    for number in range(370):
        disk.answer(number % 256)
    disk.settle()
    disk.rotate()
    assert disk.on_disk == 370 * 4_096


def test_of_a_full_disk_the_least_recently_used_leave_until_there_is_room(disk: Disk) -> None:
    disk.size = 400 * 4_096
    disk.begin()
    files = [disk.answer(number % 256, used_s=5_000 - number) for number in range(390)]
    disk.settle()
    left = [one for one in files if one.exists()]
    assert left == files[:360]
    assert disk.counts.value == disk.on_disk == 360 * 4_096
    disk.rotate()
    assert disk.counts.value == 360 * 4_096


def test_of_many_files_those_that_leave_are_among_the_old_ones(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.eviction, "SAMPLE_FILES", 64)
    disk.size = 1_000 * 4_096
    disk.begin()
    files = [disk.answer(number % 256, used_s=number) for number in range(1_000)]
    disk.settle()
    gone = [at for at, one in enumerate(files) if not one.exists()]
    assert 100 <= len(gone) <= 116
    assert max(gone) < 500
    assert disk.counts.value == disk.on_disk


def test_a_disk_of_nothing_but_others_files_ends_in_no_loop(disk: Disk) -> None:
    disk.size = 10 * 4_096
    disk.begin()
    for number in range(12):
        disk.other(f"other-{number}")
    disk.settle()
    assert disk.counts.value == 12 * 4_096


def test_a_file_that_is_gone_before_it_is_removed_does_not_count_twice(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.size = 20 * 4_096
    disk.begin()
    files = [disk.answer(0, used_s=number) for number in range(20)]
    chosen = module.eviction.chosen

    def removed_meanwhile(*args: Any, **named: Any) -> Any:
        files[0].unlink(missing_ok=True)
        return chosen(*args, **named)

    monkeypatch.setattr(module.eviction, "chosen", removed_meanwhile)
    disk.settle()
    disk.rotate()
    assert disk.counts.value == disk.on_disk == 17 * 4_096


def test_a_full_file_system_makes_a_twentieth_leave(disk: Disk) -> None:
    files = [disk.answer(number, used_s=number) for number in range(100)]
    disk.settle()
    disk.counts.failed = (3, errno.ENOSPC)
    with structlog.testing.capture_logs() as logs:
        disk.keeper.tick()
        disk.settle()
    assert [one.exists() for one in files] == [False] * 5 + [True] * 95
    assert told(logs) == [("warning", "No space left on device")]
    disk.keeper.tick()
    disk.settle()
    assert disk.on_disk == 95 * 4_096
