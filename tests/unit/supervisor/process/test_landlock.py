"""What processes with folders can do to files, under their filters of system calls and Landlock."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from l4lb.record.folder import CREATE, Folder
from l4lb.supervisor.process import landlock
from l4lb.supervisor.process.system_calls import KEEPER, NEW_FILE, RECORDER, WORKER_OF_FILES
from tests.unit.record.making import MASKS, NOW_NS, recording
from tests.unit.supervisor.process.filtering import (
    Told,
    Under,
    filtered,
    refused,
    told,
    tried,
    under,
)

__all__ = ["told", "under"]  # fixtures


@pytest.fixture
def cache_folder(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "cache").mkdir()
    fd = os.open(tmp_path / "cache", os.O_RDONLY | os.O_DIRECTORY)
    yield fd
    os.close(fd)


@filtered
def test_a_worker_with_a_cache_on_disk_writes_files_only_there(
    under: Under, told: Told, tmp_path: Path, cache_folder: int
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("as it was")

    def work() -> int:
        new = os.open("new", NEW_FILE, 0o600, dir_fd=cache_folder)
        os.write(new, b"x")
        os.utime(new)
        os.rename("new", "named", src_dir_fd=cache_folder, dst_dir_fd=cache_folder)
        found = [
            tried(lambda: os.open(tmp_path / "other", NEW_FILE, 0o600)),
            tried(lambda: os.unlink(outside, dir_fd=cache_folder)),
            tried(lambda: os.rename("named", outside, src_dir_fd=cache_folder)),
            tried(lambda: os.unlink("named", dir_fd=cache_folder)),
        ]
        refusals = {"EACCES", "EXDEV"}
        return 0 if found[3] == "" and set(found[:3]) <= refusals else 1

    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    assert under(WORKER_OF_FILES, work, [cache_folder]) == "exited"
    assert outside.read_text() == "as it was"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["outside"]
    assert not told


@filtered
@pytest.mark.parametrize("call", ["mkdir", "link", "open to change", "rmdir"])
def test_a_worker_with_a_cache_on_disk_does_nothing_else_to_files(
    under: Under, told: Told, cache_folder: int, call: str
) -> None:
    flags = os.O_RDWR | os.O_CREAT
    work: dict[str, Callable[[], object]] = {
        "mkdir": lambda: os.mkdir("a", dir_fd=cache_folder),
        "link": lambda: os.symlink("a", "b", dir_fd=cache_folder),
        "open to change": lambda: os.open("a", flags, 0o600, dir_fd=cache_folder),
        "rmdir": lambda: os.rmdir("a", dir_fd=cache_folder),
    }
    assert under(WORKER_OF_FILES, work[call], [cache_folder]) == "killed by SIGSYS"
    assert refused(told)


@filtered
def test_the_keeper_removes_files_only_in_the_folders_of_caches_and_writes_none(
    under: Under, told: Told, tmp_path: Path, cache_folder: int
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("as it was")
    (tmp_path / "cache" / "old").write_text("")

    def work() -> int:
        os.unlink("old", dir_fd=cache_folder)
        os.mkdir("aa", dir_fd=cache_folder)
        found = [
            tried(lambda: os.unlink(outside, dir_fd=cache_folder)),
            tried(lambda: os.mkdir(tmp_path / "other", dir_fd=cache_folder)),
            tried(lambda: os.open("new", NEW_FILE, 0o600, dir_fd=cache_folder)),
            tried(lambda: os.rename("aa", "bb", src_dir_fd=cache_folder)),
        ]
        os.kill(os.getppid(), 0)
        return int(set(found) != {"EACCES"})

    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    assert under(KEEPER, work, [cache_folder]) == "exited"
    assert outside.read_text() == "as it was"
    assert os.listdir(tmp_path / "cache") == ["aa"]
    assert not told


@filtered
@pytest.mark.parametrize("call", ["signal", "socket", "remove a folder"])
def test_the_keeper_signals_nobody_and_connects_nowhere(
    under: Under, told: Told, cache_folder: int, call: str
) -> None:
    work: dict[str, Callable[[], object]] = {
        "signal": lambda: os.kill(os.getppid(), signal.SIGURG),
        "socket": lambda: socket.socket(socket.AF_INET),
        "remove a folder": lambda: os.rmdir("a", dir_fd=cache_folder),
    }
    assert under(KEEPER, work[call], [cache_folder]) == "killed by SIGSYS"
    assert refused(told)


@filtered
def test_the_recorder_writes_only_in_the_folders_of_records(
    under: Under, told: Told, tmp_path: Path, cache_folder: int
) -> None:
    """It keeps more than there is room for, so the oldest leave. cache_folder: a folder of ours."""
    outside = tmp_path / "outside"
    outside.write_text("as it was")

    def work() -> int:
        folder = Folder(cache_folder, 64 << 10, MASKS)
        for number in range(8):
            folder.keep(recording(number=number, answer_body=b"x" * 10_000), NOW_NS)
        found = [
            tried(lambda: os.unlink(outside, dir_fd=cache_folder)),
            tried(lambda: os.mkdir(tmp_path / "other", dir_fd=cache_folder)),
            tried(lambda: os.open(outside, CREATE, 0o600, dir_fd=cache_folder)),
        ]
        found.remove("EEXIST")
        return int(folder.kept != 8 or folder.evicted == 0 or set(found) != {"EACCES"})

    if not landlock.version():
        pytest.skip("this kernel has no Landlock")
    assert under(RECORDER, work, [cache_folder]) == "exited"
    assert outside.read_text() == "as it was"
    assert os.listdir(tmp_path / "cache")
    assert not told


@filtered
@pytest.mark.parametrize("call", ["signal", "socket", "open to change"])
def test_the_recorder_signals_nobody_and_connects_nowhere(
    under: Under, told: Told, cache_folder: int, call: str
) -> None:
    work: dict[str, Callable[[], object]] = {
        "signal": lambda: os.kill(os.getppid(), signal.SIGURG),
        "socket": lambda: socket.socket(socket.AF_INET),
        "open to change": lambda: os.open("a", os.O_RDWR, dir_fd=cache_folder),
    }
    assert under(RECORDER, work[call], [cache_folder]) == "killed by SIGSYS"
    assert refused(told)
