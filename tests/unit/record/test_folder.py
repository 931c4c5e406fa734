"""The folder of recordings: what is written there, how much, and what is left alone."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from l4lb.record import folder as module
from l4lb.record.assembly import Reason
from l4lb.record.folder import Folder
from l4lb.record.pieces import Side

from .making import MASKS, NOW_NS, SECRET, recording, request

MIB = 1 << 20
NAME = "20261130T185501.123456Z-0-42"
LATER_NS = 10**9
GONE = 2**31 - 1  # no process has this number


class Place:
    """A folder on a disk, and what is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(0o700)
        self.fd = os.open(path, os.O_RDONLY)

    def opened(self, max_bytes: int = MIB, **options: int) -> Folder:
        return Folder(self.fd, max_bytes, MASKS, **options)

    @property
    def names(self) -> list[str]:
        return sorted(os.listdir(self.fd))

    def bytes_of(self, name: str) -> int:
        folder = self.path / name
        return sum(os.lstat(one).st_blocks for one in (folder, *folder.iterdir())) * 512

    def about(self, name: str = NAME) -> dict[str, Any]:
        return json.loads((self.path / name / "about.json").read_text())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path / "debug")
    yield made
    os.close(made.fd)


@pytest.fixture
def few(place: Place) -> int:
    """The bytes of three recordings."""
    folder = place.opened()
    folder.keep(recording(), NOW_NS)
    told = folder.used
    for file in (place.path / NAME).iterdir():
        file.unlink()
    (place.path / NAME).rmdir()
    return 3 * max(told, 4 * module.UNIT)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# ---- what is written ----


@pytest.mark.parametrize("umask", [0, 0o777])
def test_a_recording_has_its_files_with_modes_of_the_owner_only(place: Place, umask: int) -> None:
    before = os.umask(umask)
    try:
        place.opened().keep(recording(about={"status": 200, "target": "/?sig=x"}), NOW_NS)
    finally:
        os.umask(before)
    made = place.path / NAME
    assert place.names == [NAME]
    assert mode(made) == 0o700
    assert {one.name: mode(one) for one in made.iterdir()} == {
        "request": 0o600, "answer": 0o600, "about.json": 0o600,
    }  # fmt: skip
    assert (made / "request").read_bytes() == request("Host: a") + b"asked"
    assert (made / "answer").read_bytes() == b"HTTP/1.1 200 OK\r\n\r\ntold"
    assert place.about() == {
        "status": 200, "target": "/?sig=***", "record": "debug", "rule": "all", "cut": [],
    }  # fmt: skip
    assert (made / "about.json").read_text().endswith("\n}\n")


def test_no_secret_reaches_the_disk(place: Place) -> None:
    fields = request(f"Cookie: a={SECRET}", "Content-Type: application/x-www-form-urlencoded")
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=%b\r\nContent-Type: application/json\r\n\r\n"
    place.opened().keep(
        recording(
            request_head=fields,
            request_body=f"token={SECRET}".encode(),
            answer_head=answer % SECRET.encode(),
            answer_body=json.dumps({"token": SECRET}).encode(),
            about={"target": f"/?token={SECRET}"},
        ),
        NOW_NS,
    )
    written = [one.read_bytes() for one in (place.path / NAME).iterdir()]
    assert len(written) == 3
    assert all(b"***" in one and SECRET.encode() not in one for one in written)


def test_a_recording_without_an_answer_has_no_file_of_it(place: Place) -> None:
    place.opened().keep(
        recording(answer_head=b"", answer_body=b"", about={}, reason=Reason.GONE,
                  cut=frozenset(Side)), NOW_NS
    )  # fmt: skip
    assert {one.name for one in (place.path / NAME).iterdir()} == {"request", "about.json"}
    assert place.about() == {
        "reason": "worker_gone", "record": "debug", "rule": "all", "cut": ["answer", "request"],
    }  # fmt: skip


def test_recordings_of_the_same_name_all_stay(place: Place) -> None:
    folder = place.opened()
    for body in (b"1", b"2", b"3"):
        folder.keep(recording(request_body=body), NOW_NS)
    assert place.names == [NAME, f"{NAME}-1", f"{NAME}-2"]
    bodies = [(place.path / name / "request").read_bytes()[-1:] for name in place.names]
    assert bodies == [b"1", b"2", b"3"]
    assert folder.used == sum(map(place.bytes_of, place.names))


def test_a_name_that_something_else_has_is_not_touched(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.path / NAME).symlink_to(outside)
    (place.path / f"{NAME}-1").write_text("a file")
    place.opened().keep(recording(), NOW_NS)
    assert place.names == [NAME, f"{NAME}-1", f"{NAME}-2"]
    assert (place.path / NAME).is_symlink()
    assert (place.path / f"{NAME}-1").read_text() == "a file"
    assert not list(outside.iterdir())


def test_a_link_at_the_name_of_what_is_begun_is_not_followed(place: Place, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    folder = place.opened()
    begun = place.path / f".new-{os.getpid()}-1"
    begun.symlink_to(outside)
    folder.keep(recording(), NOW_NS)
    assert not list(outside.iterdir())
    assert place.names == sorted([begun.name, NAME])


# ---- how much ----


def test_the_oldest_leave_until_there_is_room_and_not_one_byte_more(place: Place, few: int) -> None:
    folder = place.opened(few)
    for second in range(5):
        folder.keep(recording(number=second), NOW_NS + second * LATER_NS)
        assert folder.used == sum(map(place.bytes_of, place.names)) <= few
        assert folder.count == len(place.names) == min(second + 1, 3)
    assert [name.rpartition("-")[2] for name in place.names] == ["2", "3", "4"]
    assert (folder.kept, folder.evicted, folder.refused) == (5, 2, 0)
    less = place.opened(few - 1)
    less.keep(recording(number=5), NOW_NS + 5 * LATER_NS)
    assert sum(map(place.bytes_of, place.names)) == less.used <= few - 1 < less.used + few // 3


def test_a_recording_that_is_larger_than_the_folder_is_refused_and_counted(
    place: Place, few: int
) -> None:
    folder = place.opened(few)
    folder.keep(recording(), NOW_NS)
    fits = few - 3 * module.UNIT - len(recording().request_head)
    folder.keep(recording(request_body=bytes(fits + 1)), NOW_NS + LATER_NS)
    assert (folder.refused, folder.kept, folder.evicted) == (1, 1, 0)
    assert place.names == [NAME]
    folder.keep(recording(request_body=bytes(fits)), NOW_NS + LATER_NS)
    assert (folder.refused, folder.kept, folder.evicted) == (1, 2, 1)
    assert folder.used <= few


def test_a_file_system_that_takes_more_than_was_thought_keeps_the_limit(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNIT", 1)
    folder = place.opened(4_096)
    folder.keep(recording(request_body=bytes(3_000)), NOW_NS)
    assert (folder.refused, folder.kept, folder.used, place.names) == (1, 0, 0, [])
    one = 4 * 4_096
    folder = place.opened(one)
    for second in range(3):
        folder.keep(recording(number=second), NOW_NS + second * LATER_NS)
        assert sum(map(place.bytes_of, place.names)) <= one
    assert folder.count == 1


def test_the_number_of_recordings_is_bounded(place: Place) -> None:
    folder = place.opened(max_count=2)
    for second in range(4):
        folder.keep(recording(number=second), NOW_NS + second * LATER_NS)
    assert [name.rpartition("-")[2] for name in place.names] == ["2", "3"]
    assert place.opened(max_count=1).count == len(place.names) == 1


def test_what_others_have_removed_is_no_error(place: Place, few: int) -> None:
    folder = place.opened(few)
    folder.keep(recording(number=0), NOW_NS)
    folder.keep(recording(number=1), NOW_NS + LATER_NS)
    for name in place.names[:1]:
        for file in (place.path / name).iterdir():
            file.unlink()
        (place.path / name).rmdir()
    (place.path / place.names[0] / "answer").unlink()
    for second in range(2, 6):
        folder.keep(recording(number=second), NOW_NS + second * LATER_NS)
    assert [name.rpartition("-")[2] for name in place.names] == ["3", "4", "5"]
    assert folder.used == sum(map(place.bytes_of, place.names))


# ---- the start ----


def test_a_start_counts_what_is_there_and_removes_what_is_too_much(place: Place, few: int) -> None:
    folder = place.opened()
    for second in range(5):
        folder.keep(recording(number=second), NOW_NS + second * LATER_NS)
    again = place.opened()
    assert (again.used, again.count) == (folder.used, 5)
    less = place.opened(few)
    stay = few // (folder.used // 5)
    assert [name.rpartition("-")[2] for name in place.names] == list("01234")[-stay:]
    assert less.used == sum(map(place.bytes_of, place.names))


def test_a_start_removes_what_was_left_begun(place: Place) -> None:
    for name in (f".new-{GONE}-1", f".old-{GONE}-2", f".new-{os.getppid()}-1"):
        (place.path / name).mkdir()
        (place.path / name / "request").write_text("begun")
    place.opened()
    assert place.names == [f".new-{os.getppid()}-1"]  # an upgrade's other program writes it


def test_what_is_not_a_recording_is_left_alone_and_not_counted(
    place: Place, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "request").write_bytes(bytes(9_000))
    links = [f"{NAME}-1", f".new-{GONE}-1", f".old-{GONE}-1", "link"]
    files = [f"{NAME}-2", f".new-{GONE}-2", "notes.txt", ".hidden"]
    folders = ["other", ".new", f"{NAME}x", f"x{NAME}", "20261130T185501.123456Z-0", ".new-1-x"]
    for name in links:
        (place.path / name).symlink_to(outside)
    for name in files:
        (place.path / name).write_bytes(bytes(5_000))
    for name in folders:
        (place.path / name).mkdir()
        (place.path / name / "request").write_bytes(bytes(5_000))
    before = place.names
    folder = place.opened(1)
    assert (folder.used, folder.count, folder.evicted) == (0, 0, 0)
    assert place.names == before
    assert all((place.path / name / "request").exists() for name in [*folders, *links])


def test_files_that_somebody_puts_into_a_recording_are_left_there(
    place: Place, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("outside")
    place.opened().keep(recording(), NOW_NS)
    (place.path / NAME / "notes.txt").write_text("mine")
    (place.path / NAME / "answer").unlink()
    (place.path / NAME / "answer").symlink_to(outside)
    place.opened(1)
    [left] = place.names
    assert left.startswith(".old-")
    assert [one.name for one in (place.path / left).iterdir()] == ["notes.txt"]
    assert outside.read_text() == "outside"
    assert place.opened().count == 0
    assert (place.path / place.names[0] / "notes.txt").read_text() == "mine"
