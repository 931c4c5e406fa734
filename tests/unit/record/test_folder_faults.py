"""The folder of recordings when the disk fails or the process dies: nothing is ever half there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from l4lb.record import folder as module
from l4lb.record.folder import FINAL, Folder

from .making import MASKS, NOW_NS, recording

LATER_NS = 10**9
MIB = 1 << 20
CALLS = ("close", "fchmod", "fstat", "listdir", "mkdir", "open", "rename", "rmdir", "stat",
         "unlink", "write")  # fmt: skip
FILES = {"request", "answer", "about.json"}


class Crash(BaseException):
    """The process has died: nothing that it would do afterwards is done."""


class Disk:
    """Stands for the module os. fault: is called with the number and the name of each call, and may
    raise. A call that crashes, and each one after it, is not made."""

    def __init__(self, fault: Callable[[int, str], None] | None = None) -> None:
        self.fault = fault
        self.calls: list[str] = []
        self.told: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.is_dead = False
        self.open_fds: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return (lambda *a, **k: self._call(name, real, *a, **k)) if name in CALLS else real

    def _call(self, name: str, real: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self.calls.append(name)
        self.told.append((name, args, options))
        if self.is_dead:
            raise Crash
        if self.fault is not None:
            try:
                self.fault(len(self.calls), name)
            except Crash:
                self.is_dead = True
                raise
            except OSError:
                if name == "close":  # the descriptor is gone, whatever close says
                    self._note(name, args, real(*args))
                raise
        found = real(*args, **options)
        self._note(name, args, found)
        return found

    def _note(self, name: str, args: tuple[Any, ...], found: Any) -> None:
        if name == "open":
            self.open_fds.add(found)
        elif name == "close":
            self.open_fds.discard(args[0])


class Place:
    """A folder with one older recording, and the disk under it."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._patch = monkeypatch
        path.mkdir(0o700)
        self.fd = os.open(path, os.O_RDONLY)

    def disk(self, fault: Callable[[int, str], None] | None = None) -> Disk:
        disk = Disk(fault)
        self._patch.setattr(module, "os", disk)
        return disk

    def opened(self, max_bytes: int = MIB) -> Folder:
        return Folder(self.fd, max_bytes, MASKS)

    def check_whole(self) -> None:
        """Asserts that each recording is whole."""
        for one in self.path.iterdir():
            if FINAL.fullmatch(one.name):
                assert {file.name for file in one.iterdir()} == FILES
                assert (one / "about.json").read_text().endswith("}\n")
                assert (one / "answer").read_bytes() == b"HTTP/1.1 200 OK\r\n\r\ntold"
                assert (one / "request").read_bytes().endswith(b"asked")

    @property
    def numbers(self) -> list[int]:
        names = sorted(os.listdir(self.fd))
        return [int(name.split("-")[2]) for name in names if FINAL.fullmatch(name)]

    @property
    def begun(self) -> list[str]:
        return [name for name in os.listdir(self.fd) if name.startswith(".")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    made = Place(tmp_path / "debug", monkeypatch)
    yield made
    os.close(made.fd)


def keep(folder: Folder, number: int) -> None:
    folder.keep(recording(number=number), NOW_NS + number * LATER_NS)


def error_of(folder: Folder, number: int) -> int | None:
    """Returns with which error a recording is refused."""
    try:
        keep(folder, number)
    except OSError as error:
        return error.errno
    return None


def at_call(wanted: int, error: BaseException) -> Callable[[int, str], None]:
    def fault(call: int, _: str) -> None:
        if call == wanted:
            raise error

    return fault


def test_every_call_is_relative_to_a_descriptor(place: Place) -> None:
    room = room_for_two(place)
    disk = place.disk()
    keep(place.opened(room), 2)
    assert place.numbers == [1, 2]
    named = [(args, options) for _, args, options in disk.told if isinstance(args[0], str)]
    assert len(named) > 10
    for args, options in named:
        assert not any("/" in str(one) for one in args)
        assert {name for name in options if name.endswith("dir_fd")}
    assert {name for name, *_ in disk.told} == set(CALLS)


def room_for_two(place: Place) -> int:
    """Keeps two recordings. Returns the bytes for them and no third."""
    folder = place.opened()
    keep(folder, 0)
    keep(folder, 1)
    return max(folder.used, 2 * 4 * module.UNIT)


def calls_of_one(place: Place, room: int) -> int:
    """Returns how many calls keeping another one makes, for which the oldest leaves."""
    folder = place.opened(room)
    disk = place.disk()
    keep(folder, 2)
    assert place.numbers == [1, 2]
    return len(disk.calls)


def test_wherever_the_process_dies_no_recording_is_half_there(place: Place) -> None:
    room = room_for_two(place)
    for call in range(1, calls_of_one(place, room) + 1):
        place.disk()
        folder = place.opened(room)
        disk = place.disk(at_call(call, Crash()))
        with pytest.raises(Crash):
            keep(folder, 2 + call)
        for fd in disk.open_fds:
            os.close(fd)
        place.check_whole()
        place.disk()
        again = place.opened(room)
        assert place.begun == []
        while again.count < 2:
            keep(again, 2 + call)
        place.check_whole()


@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EACCES])
def test_wherever_the_disk_fails_nothing_half_is_left_and_the_error_is_told(
    place: Place, number: int
) -> None:
    room = room_for_two(place)
    for call in range(1, calls_of_one(place, room) + 1):
        place.disk()
        folder = place.opened(room)
        disk = place.disk(at_call(call, OSError(number, os.strerror(number))))
        kept, evicted = folder.kept, folder.evicted
        told = error_of(folder, 2 + call)
        if told is None:  # the removal of the oldest has failed: the next start removes it
            assert disk.calls[call - 1] in ("unlink", "rmdir", "open", "close")
            assert (folder.kept, folder.evicted) == (kept + 1, evicted + 1)
        else:
            assert (told, folder.kept) == (number, kept)
        assert disk.open_fds == set()
        place.check_whole()
        assert all(name.startswith(".old-") for name in place.begun)
        place.disk()
        again = place.opened(room)
        assert place.begun == []
        assert again.used <= folder.used
        while again.count < 2:
            keep(again, 2 + call)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("call", ["mkdir", "open", "write", "close", "rename"])
def test_on_a_full_disk_the_oldest_leave_and_it_is_tried_again(
    place: Place, number: int, call: str
) -> None:
    folder = place.opened()
    for one in range(40):
        keep(folder, one)
    failed: list[str] = []

    def fault(_: int, name: str) -> None:
        if name == call and not failed:
            failed.append(name)
            raise OSError(number, os.strerror(number))

    place.disk(fault)
    keep(folder, 40)
    assert failed == [call]
    assert place.numbers == list(range(2, 41))  # a twentieth of 40 has left
    assert (folder.evicted, folder.kept) == (2, 41)
    assert place.begun == []
    place.check_whole()


def test_a_disk_that_stays_full_is_told_after_the_second_time(place: Place) -> None:
    folder = place.opened()
    for number in range(5):
        keep(folder, number)

    def fault(_: int, name: str) -> None:
        if name in ("write", "rename"):  # a rename may need room, too
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk = place.disk(fault)
    with pytest.raises(OSError, match="No space left"):
        keep(folder, 5)
    assert disk.calls.count("write") == 2
    assert 1 <= folder.evicted <= 2
    assert place.numbers == list(range(folder.evicted, 5))
    assert (folder.count, place.begun, disk.open_fds) == (len(place.numbers), [], set())


def test_a_write_that_takes_a_part_goes_on_with_the_rest(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.opened()
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    keep(folder, 0)
    place.check_whole()


def test_a_folder_that_was_removed_is_told(place: Place) -> None:
    folder = place.opened()
    place.path.rmdir()
    with pytest.raises(FileNotFoundError):
        keep(folder, 0)
    assert (folder.kept, folder.used) == (0, 0)


def test_a_recording_that_cannot_leave_still_counts(place: Place) -> None:
    room = room_for_two(place)
    folder = place.opened(room)
    used = folder.used

    def fault(_: int, name: str) -> None:
        if name == "rename":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    place.disk(fault)
    with pytest.raises(OSError, match="Read-only"):
        keep(folder, 2)
    assert (folder.used, folder.count, place.numbers) == (used, 2, [0, 1])
    place.disk()
    keep(folder, 2)
    assert place.numbers == [1, 2]


def test_a_process_that_still_writes_cannot_name_what_another_has_removed(place: Place) -> None:
    folder = place.opened()

    def fault(_: int, name: str) -> None:
        if name == "write":
            place.disk()
            place.opened()  # another process starts, and removes what is begun

    place.disk(fault)
    with pytest.raises(FileNotFoundError):
        keep(folder, 0)
    place.disk()
    place.opened()
    assert os.listdir(place.fd) == []
    assert (folder.kept, folder.used) == (0, 0)
