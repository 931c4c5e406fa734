"""The folder of a cache: what is made, what is refused, and what outlasts a restart."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import structlog.testing

from l4lb.disk import folder as module
from l4lb.disk.folder import STATE, STATE_NEW, Folder, open_folder
from l4lb.disk.state import Purge, packed, unpacked
from l4lb.errors import L4lbError

NOBODY = pwd.getpwnam("nobody")
PURGE = Purge(9, 1, 2, 3, 4, False)
root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be another user as well")


class User(NamedTuple):
    uid: int
    gid: int


@pytest.fixture
def path() -> Iterator[Path]:
    """Returns a folder that is not there yet, inside one that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="l4lb-disk-") as above:
        os.chmod(above, 0o755)
        yield Path(above) / "pages"


def opened(path: Path, cache: str = "pages", owner: User | None = None) -> Folder:
    folder = open_folder(str(path), cache, owner)
    folder.begin(folder.state.epoch + 1)
    return folder


def refusal(path: Path, owner: User | None = None) -> str:
    with pytest.raises(L4lbError) as caught:
        open_folder(str(path), "pages", owner).close()
    assert f"cache pages: the disk's folder {path}: " in caught.value.message
    return caught.value.message.partition(f"{path}: ")[2]


def key_after(path: Path, cache: str = "pages") -> bytes:
    folder = opened(path, cache)
    folder.close()
    return folder.state.key


def written(path: Path) -> None:
    """Puts an answer into the folder."""
    (path / "00" / ("a" * 30)).write_bytes(b"x")


# ---- what is made ----


def test_a_folder_has_its_256_folders_and_a_state_that_only_its_user_can_read(path: Path) -> None:
    opened(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    below = sorted(one.name for one in path.iterdir())
    assert below == [*(f"{number:02x}" for number in range(256)), STATE]
    assert {stat.S_IMODE((path / name).stat().st_mode) for name in below[:256]} == {0o700}
    assert stat.S_IMODE((path / STATE).stat().st_mode) == 0o600
    state = unpacked((path / STATE).read_bytes())
    assert (state.cache, state.clean, state.epoch) == ("pages", False, 1)


def test_an_empty_folder_is_taken_and_one_on_a_file_system_of_its_own(path: Path) -> None:
    (path / "lost+found").mkdir(parents=True)
    opened(path).close()
    assert (path / "ff").is_dir()


def test_what_is_missing_of_the_folders_is_made_again(path: Path) -> None:
    opened(path).close()
    (path / "7f").rmdir()
    opened(path).close()
    assert (path / "7f").is_dir()


@root_only
def test_all_belongs_to_the_user_that_the_service_becomes(path: Path) -> None:
    owner = User(NOBODY.pw_uid, NOBODY.pw_gid)
    opened(path, owner=owner).close()
    everything = [path, *path.iterdir()]
    assert {(one.stat().st_uid, one.stat().st_gid) for one in everything} == {owner}


@root_only
def test_files_of_another_user_are_out_of_reach(path: Path) -> None:
    key = key_after(path)
    owner = User(NOBODY.pw_uid, NOBODY.pw_gid)
    folder = opened(path, owner=owner)
    folder.close()
    assert folder.state.key != key
    again = opened(path, owner=owner)
    again.close()
    assert again.state.key == folder.state.key


@root_only
def test_a_link_in_place_of_a_folder_does_not_give_its_target_away(path: Path) -> None:
    owner = User(NOBODY.pw_uid, NOBODY.pw_gid)
    opened(path, owner=owner).close()
    target = path.parent / "target"
    target.mkdir()
    (path / "00").rmdir()
    (path / "00").symlink_to(target)
    refusal(path, owner)
    assert target.stat().st_uid == 0


# ---- what is refused ----


def test_a_folder_with_other_files_is_refused_and_stays_as_it_is(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")
    assert refusal(path).startswith("it is not empty and no cache's, and what is in it would be")
    assert [one.name for one in path.iterdir()] == ["thesis.txt"]


def test_a_start_that_was_killed_before_the_state_was_written_is_no_reason(path: Path) -> None:
    path.mkdir(mode=0o700)
    (path / STATE_NEW).write_bytes(b"half")
    opened(path).close()


def test_a_folder_is_used_by_one_service_at_a_time(path: Path) -> None:
    folder = opened(path)
    assert refusal(path).startswith("another l4lb uses it (give each service a folder")
    folder.close()
    opened(path).close()


def test_the_lock_does_not_depend_on_other_processes(path: Path) -> None:
    """Workers and the keeper may outlive a supervisor that is killed."""
    folder = opened(path)
    kept = os.dup(folder.fd)
    folder.close()
    opened(path).close()
    os.close(kept)


def test_a_folder_that_others_may_write_to_is_refused(path: Path) -> None:
    path.mkdir()
    path.chmod(0o770)
    assert refusal(path) == f"other users may write to it (chmod go-w {path})"


@root_only
def test_a_folder_of_another_user_is_refused_but_that_of_the_service_is_not(path: Path) -> None:
    path.mkdir(mode=0o700)
    os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert refusal(path) == f"it belongs to user {NOBODY.pw_uid} (chown 0 {path})"
    opened(path, owner=User(NOBODY.pw_uid, NOBODY.pw_gid)).close()


@root_only
def test_a_link_of_another_user_is_refused(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")
    os.lchown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert "is a symbolic link that another user may have put there" in refusal(path)


def test_a_link_of_our_own_is_followed(path: Path) -> None:
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")
    opened(path).close()
    assert (path.parent / "elsewhere" / STATE).exists()


def test_a_missing_folder_above_is_told_with_what_to_do(path: Path) -> None:
    below = path / "deeper"
    assert (
        refusal(below) == f"No such file or directory (make the folder above it (mkdir -p {path}))"
    )


@root_only
def test_a_user_who_may_not_make_the_folder_is_told_what_root_can_do(path: Path) -> None:
    said, ours = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(*[NOBODY.pw_uid] * 3)
            os.write(ours, refusal(path).encode())
        finally:
            os._exit(0)
    os.close(ours)
    os.waitpid(pid, 0)
    with os.fdopen(said) as pipe:
        remedy = f"(make it for the service's user (install -d -m 700 -o {NOBODY.pw_uid} {path}))"
        assert pipe.read() == f"Permission denied {remedy}"


def test_a_file_in_its_place_is_told(path: Path) -> None:
    path.write_text("a file")
    assert refusal(path).startswith("Not a directory (name a folder")


def test_a_state_that_cannot_be_written_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "rename", refused)
    assert refusal(path).startswith("Read-only file system (its file system is read-only; name")
    monkeypatch.undo()
    opened(path).close()  # the lock was given back


# ---- what outlasts what ----


def test_the_key_and_the_purges_outlast_a_kill(path: Path) -> None:
    folder = opened(path)
    folder.purged([PURGE])
    folder.save()
    folder.close()
    again = opened(path)
    assert again.state == replace(folder.state, epoch=2)
    assert again.state.purges == (PURGE,)
    again.close()


def test_after_an_end_in_order_the_key_outlasts_a_restart_of_the_machine(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened(path)
    folder.end()
    folder.close()
    assert unpacked((path / STATE).read_bytes()).clean
    monkeypatch.setattr(module, "_boot_id", lambda: "another")
    assert key_after(path) == folder.state.key
    assert not unpacked((path / STATE).read_bytes()).clean


def test_after_a_power_failure_the_key_is_another_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_after(path)
    monkeypatch.setattr(module, "_boot_id", lambda: "another")
    with structlog.testing.capture_logs() as logs:
        assert key_after(path) != key
    assert [(one["log_level"], one["why"]) for one in logs] == [
        ("info", "the machine ended without warning")
    ]


def test_a_cache_of_another_name_does_not_get_the_answers(path: Path) -> None:
    assert key_after(path, "pages") != key_after(path, "images")


@pytest.mark.parametrize("damage", [b"", b"garbage", b"\x80", bytes(2 << 20)])
def test_a_damaged_state_begins_anew_with_a_warning(path: Path, damage: bytes) -> None:
    key = key_after(path)
    written(path)
    (path / STATE).write_bytes(damage)
    with structlog.testing.capture_logs() as logs:
        assert key_after(path) != key
    assert [one["log_level"] for one in logs] == ["warning"]
    assert (path / "00" / ("a" * 30)).exists()  # the keeper removes it in time


def test_a_state_that_is_no_file_begins_anew(path: Path) -> None:
    opened(path).close()
    os.rename(path / STATE, path.parent / "state")
    (path / STATE).symlink_to(path.parent / "state")
    with structlog.testing.capture_logs() as logs:
        opened(path).close()
    assert [one["log_level"] for one in logs] == ["warning"]
    assert not (path / STATE).is_symlink()


def test_purges_that_could_not_be_written_are_written_at_the_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    folder = opened(path)
    folder.purged([PURGE])
    monkeypatch.setattr(os, "rename", refused)
    for write in (folder.save, folder.end):
        with pytest.raises(OSError, match="Input/output error"):
            write()
        assert not folder.is_saved
    monkeypatch.undo()
    assert not unpacked((path / STATE).read_bytes()).clean
    folder.end()
    folder.close()
    state = unpacked((path / STATE).read_bytes())
    assert (state.clean, state.purges) == (True, (PURGE,))


def test_a_disk_that_answers_have_filled_takes_the_state(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = opened(path)
    for number in range(100):
        (path / "a0" / f"{number:030x}").write_bytes(b"x")
    kept = path / "a0" / "of-somebody-else"
    kept.write_bytes(b"x")
    fsync, left = os.fsync, [1]

    def full_once(fd: int) -> None:
        if left and left.pop():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", full_once)
    folder.save()
    folder.close()
    assert len(list((path / "a0").iterdir())) == 100 - module.ROOM_FILES + 1
    assert kept.exists()
    assert unpacked((path / STATE).read_bytes()) == folder.state


def test_a_program_can_begin_with_another_key(path: Path) -> None:
    folder = opened(path)
    key = folder.state.key
    folder.purged([PURGE])
    folder.begin(40, anew=True)
    folder.close()
    assert folder.state.key != key
    assert (folder.state.epoch, folder.state.purges) == (40, ())
    assert (path / STATE).read_bytes() == packed(folder.state)
