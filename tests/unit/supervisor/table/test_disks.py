"""The disks of caches over starts, upgrades, purges and ends of programs, each with a list of
purges in shared memory."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog.testing

from l4lb.config.build import build
from l4lb.config.model import Config
from l4lb.config.origin import Origin
from l4lb.disk import folder
from l4lb.disk.folder import STATE
from l4lb.disk.state import State, unpacked
from l4lb.errors import AdminError, L4lbError
from l4lb.native import cache as native
from l4lb.native.caches import CacheRow
from l4lb.native.table import Table
from l4lb.supervisor.requests.caches import CacheRequests
from l4lb.supervisor.table import disks
from l4lb.supervisor.table.caches import Caches

PURGE = {"kind": "tag", "text": "news"}


class Programs:
    """Programs that follow one another, with caches `a` and `b` that have a disk each."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.caches: Caches
        self.config: Config

    def path(self, name: str) -> Path:
        return self.folder / name

    def configured(self, *names: str, **disk: Any) -> Config:
        caches: dict[str, Any] = {
            name: {
                "memory": "4MiB",
                "disk": {"path": str(self.path(name)), "size": "16MiB", **disk},
            }
            for name in names
        }
        listener = {"bind": ["127.0.0.1:1"], "protocol": "http", "pool": "a"}
        data = {
            "process": {"workers": 2},
            "listeners": {"web": listener},
            "pools": {"a": {"backends": ["127.0.0.1:2"]}},
            "cache": {**caches, "memory-only": {"memory": "4MiB"}},
        }
        return build(data, Origin())

    def start(self, *names: str, **disk: Any) -> Caches:
        """Starts the first program, or one that finds what an earlier one has left."""
        self.config = self.configured(*names, **disk)
        self.caches = Caches(Table((2, 1, 1, 1, 1)))
        self.caches.open_disks(self.config)
        self._put()
        return self.caches

    def upgrade(self, *names: str, must: bool = True) -> Caches:
        """Starts a program that takes over."""
        before, self.config = self.caches, self.configured(*names)
        told = before.carried()
        # why: an execve passes the descriptors on, where this is one process.
        carried = {path: os.dup(fd) for path, fd in before.disks.carried.items()}
        self.caches = Caches(Table((2, 1, 1, 1, 1)))
        self.caches.go_on({**told, "fd": os.dup(told["fd"])})
        self.caches.open_disks(self.config, carried, must=must)
        self._put()
        self.killed(before)
        return self.caches

    def _put(self) -> None:
        with self.caches.prepared(self.config):
            pass
        self.caches.put(self.config, dict.fromkeys(self.config.cache))

    def purge(self, **args: Any) -> dict[str, Any]:
        return CacheRequests(self.caches, lambda: self.config.cache).purge(PURGE | args)

    def killed(self, caches: Caches | None = None) -> None:
        """Ends a program without a word."""
        for one in (caches or self.caches).disks._folders.values():
            one.close()
        (caches or self.caches).close()

    def end(self) -> None:
        self.caches.disks.end()
        self.caches.close()

    def state(self, name: str) -> State:
        return unpacked((self.path(name) / STATE).read_bytes())

    def epoch(self) -> int:
        with self.caches.purges() as purges:
            return native.bans_epoch(purges)

    def known(self, name: str) -> list[tuple[int, ...]]:
        """Returns the purges of a cache that the program knows."""
        with self.caches.purges() as purges:
            return [tuple(one) for one in native.bans_of(purges, name)]


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    return Programs(tmp_path)


def test_a_cache_with_a_disk_has_a_folder_and_others_have_none(programs: Programs) -> None:
    disk = programs.start("a", "b").disks
    assert {one.cache: one.size for one in disk.kept} == {"a": 16 << 20, "b": 16 << 20}
    assert disk.fds == [one.fd for one in disk.kept]
    assert disk.values("a") == {
        "disk_fd": disk.fds[0],
        "disk_key": programs.state("a").key,
        "disk_size": 16 << 20,
        "disk_max_object": 2 << 20,
    }
    assert disk.values("memory-only") == disks.NONE
    programs.end()


def test_each_program_that_starts_has_an_epoch_larger_than_all_before(programs: Programs) -> None:
    programs.start("a")
    assert programs.epoch() == programs.state("a").epoch == 1
    programs.end()
    programs.start("a", "b")
    assert programs.epoch() == 2
    programs.end()
    programs.start("b")
    programs.end()
    programs.start("a", "b")
    assert programs.epoch() == programs.state("a").epoch == programs.state("b").epoch == 4
    programs.end()


def test_a_purge_is_on_the_disk_before_it_is_answered(programs: Programs) -> None:
    programs.start("a", "b")
    assert programs.purge(cache="a") == {**PURGE, "soft": False, "caches": ["a"]}
    assert [list(one) for one in programs.state("a").purges] == list(map(list, programs.known("a")))
    assert len(programs.known("a")) == 1
    assert programs.state("b").purges == ()
    programs.killed()


def test_purges_outlast_a_program_in_their_order(programs: Programs) -> None:
    programs.start("a", "b")
    for name, text in (("a", "one"), ("b", "two"), ("a", "three")):
        programs.purge(cache=name, text=text)
    before = {name: programs.known(name) for name in "ab"}
    programs.killed()
    programs.start("b", "a")
    assert {name: programs.known(name) for name in "ab"} == before
    programs.purge(cache="a", text="four", soft=True)
    *older, newest = programs.known("a")
    assert older == before["a"]
    assert newest[0] > max(one[0] for rows in before.values() for one in rows)
    programs.end()
    programs.start("a")
    assert programs.known("a") == [*older, newest]
    programs.end()


def test_a_purge_that_cannot_be_written_holds_and_is_told_and_is_tried_again(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    caches = programs.start("a", "b")
    with structlog.testing.capture_logs() as logs, monkeypatch.context() as patch:
        patch.setattr(os, "rename", refused)
        answer = programs.purge()
        assert answer["caches"] == ["a", "b", "memory-only"]
        assert answer["warning"].startswith("it holds now, but perhaps not after a restart")
        assert "a, b" in answer["warning"]
        assert [one["log_level"] for one in logs] == ["error", "error"]
        caches.disks.look()
        assert len(logs) == 2  # not yet
    assert len(programs.known("a")) == 1
    now_ms = disks.monotonic_ms()
    monkeypatch.setattr(disks, "monotonic_ms", lambda: now_ms + disks.RETRY_MS)
    caches.disks.look()
    assert len(programs.state("a").purges) == len(programs.state("b").purges) == 1
    programs.end()


def test_a_program_that_has_unwritten_purges_does_not_end_in_order(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    programs.start("a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refused)
        programs.purge()
        programs.end()
    assert not programs.state("a").clean


def test_an_end_in_order_is_noted(programs: Programs) -> None:
    programs.start("a")
    assert not programs.state("a").clean
    programs.end()
    assert programs.state("a").clean


def test_a_purge_that_means_nothing_is_not_written(programs: Programs) -> None:
    programs.start("a")
    with pytest.raises(AdminError):
        programs.purge(kind="url", text="no url")
    assert programs.state("a").purges == ()
    programs.end()


# ---- faults of a start ----


def test_a_folder_that_is_refused_ends_the_start_and_leaves_the_others_free(
    programs: Programs,
) -> None:
    programs.path("b").mkdir(mode=0o777)
    programs.path("b").chmod(0o777)
    with pytest.raises(L4lbError, match=r"cache b: the disk's folder .*: other users may write"):
        programs.start("a", "b")
    programs.start("a")
    programs.end()


def test_a_state_that_cannot_be_written_ends_the_start(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    programs.start("a")
    programs.end()
    monkeypatch.setattr(os, "rename", refused)
    with pytest.raises(L4lbError, match="Read-only file system"):
        programs.start("a")


# ---- upgrades ----


def test_an_upgrade_goes_on_with_key_epoch_and_purges(programs: Programs) -> None:
    programs.start("a")
    programs.purge(cache="a", text="before")
    key, known = programs.state("a").key, programs.known("a")
    programs.upgrade("a")
    assert (programs.state("a").key, programs.epoch()) == (key, 1)
    assert programs.caches.disks.values("a")["disk_key"] == key
    assert programs.known("a") == known
    programs.purge(cache="a", text="after")
    assert len(programs.state("a").purges) == 2
    with pytest.raises(L4lbError, match="another l4lb uses it"):
        folder.open_folder(str(programs.path("a")), "a")
    programs.end()
    assert programs.state("a").clean


def test_a_disk_that_an_upgrade_adds_begins_with_another_key(programs: Programs) -> None:
    """Another program's purges, and its stamps, are not known there."""
    programs.start("b")
    programs.purge(cache="b")
    key = programs.state("b").key
    programs.end()
    programs.start("a")
    programs.upgrade("a", "b")
    state = programs.state("b")
    assert state.key != key
    assert (state.epoch, state.purges) == (programs.epoch(), ())
    programs.end()


def test_a_purge_that_the_old_program_could_not_write_is_written_by_the_new_one(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    programs.start("a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refused)
        programs.purge(cache="a")
        programs.upgrade("a")  # the disk of a program that goes on may be unwritable
        assert len(programs.known("a")) == 1
    programs.upgrade("a")
    assert len(programs.state("a").purges) == 1
    programs.end()


def test_the_check_of_an_upgrade_touches_only_folders_that_are_new(programs: Programs) -> None:
    caches = programs.start("a")
    before = (programs.path("a") / STATE).read_bytes()
    disks.check_new(programs.configured("a", "b"), caches.disks.carried)
    assert (programs.path("a") / STATE).read_bytes() == before
    programs.path("c").mkdir()
    programs.path("c").chmod(0o777)
    with pytest.raises(L4lbError, match="other users may write"):
        disks.check_new(programs.configured("a", "c"), caches.disks.carried)
    programs.end()


def test_a_program_that_goes_back_serves_without_a_folder_that_is_refused(
    programs: Programs,
) -> None:
    programs.start("a")
    programs.path("b").mkdir()
    programs.path("b").chmod(0o777)
    with structlog.testing.capture_logs() as logs:
        caches = programs.upgrade("a", "b", must=False)
    assert [one["log_level"] for one in logs] == ["error"]
    assert [one.cache for one in caches.disks.kept] == ["a"]
    assert caches.disks.values("b") == disks.NONE
    programs.end()


def test_a_folder_that_no_cache_has_any_more_is_free_after_the_upgrade(programs: Programs) -> None:
    caches = programs.start("a", "b")
    told = {path: os.dup(fd) for path, fd in caches.disks.carried.items()}
    keys = {name: programs.state(name).key for name in "ab"}
    disks.close_unused(programs.configured("a"), told)
    os.fstat(told[str(programs.path("a"))])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(told[str(programs.path("b"))])
    assert programs.state("a").key == keys["a"]
    assert programs.state("b").key != keys["b"]  # what is purged from now on is not purged there
    os.close(told[str(programs.path("a"))])
    programs.end()


# ---- reloads ----


def test_a_reload_neither_adds_nor_takes_a_disk(programs: Programs) -> None:
    caches = programs.start("a")
    first = caches.disks.values("a")
    for config in (programs.configured("a", size="32MiB"), programs.configured("a", "b")):
        with caches.prepared(config):
            pass
        caches.put(config, dict.fromkeys(config.cache))
        assert caches.disks.values("a") == first
        assert caches.disks.values("b") == disks.NONE
    assert not programs.path("b").exists()
    programs.end()


def test_a_cache_of_another_size_keeps_its_disk(programs: Programs) -> None:
    caches = programs.start("a")
    (before,) = [one for one in shown(caches) if one.name == "a"]
    config = programs.configured("a")
    larger = config.cache["a"].model_copy(update={"memory": 5 << 20})
    larger.called("a")
    changed = config.model_copy(update={"cache": {**config.cache, "a": larger}})
    with caches.prepared(changed):
        pass
    caches.put(changed, dict.fromkeys(changed.cache))
    caches.drop_others(changed)
    (after,) = [one for one in shown(caches) if one.name == "a"]
    assert after.at != before.at
    programs.end()


def test_a_cache_that_comes_back_begins_with_another_key(programs: Programs) -> None:
    caches = programs.start("a", "b")
    first = caches.disks.values("a")
    caches.drop_others(programs.configured("b"))
    assert programs.state("a").key != first["disk_key"]
    caches.put(programs.configured("b"), dict.fromkeys(("b", "memory-only")))
    assert caches.disks.values("a") == {**first, "disk_key": programs.state("a").key}
    programs.end()
    assert programs.state("a").clean


def shown(caches: Caches) -> list[CacheRow]:
    return native.rows(caches._table)
