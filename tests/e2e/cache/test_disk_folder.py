"""The folder of a cache's disk over the life of a service: starts, ends, kills, upgrades, reloads,
purges, and the process that keeps it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from ..harness import PORTS, Balancer, program, run, send_signal, until
from ..harness.configuration import toml
from ..harness.disk import fill, small_disk
from ..harness.http import Request, answer, client
from ..harness.metrics import Metrics
from ..harness.origin import Origin
from ..harness.processes import kill_and_wait
from ..upgrade.test_upgrade import FAILS_ONCE

NOBODY = pwd.getpwnam("nobody")
root_only = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")


def for_an_hour(_: Request) -> bytes:
    return answer(b"x" * 1_000, fields=[("Cache-Control", "max-age=3600")])


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin(for_an_hour) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Returns the folder of a disk, which is not there yet."""
    return tmp_path / "pages"


def configured(
    origin: Origin, folder: Path | None, process: dict[str, Any] | None = None
) -> dict[str, Any]:
    disk = {"disk": {"path": str(folder), "size": "64MiB"}} if folder else {}
    return {
        "process": {"workers": 1, **(process or {})},
        "listeners": {
            "web": {
                "bind": [f"127.0.0.1:{PORTS.take()}"],
                "protocol": "http",
                "pool": "web",
                "http": {"cache": "pages"},
            }
        },
        "pools": {"web": {"backends": [origin.row]}},
        "cache": {"pages": {"memory": "8MiB", **disk}},
    }


def state(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = msgpack.unpackb((folder / "l4lb-cache").read_bytes())
    return found


def shown(lb: Balancer) -> dict[str, Any]:
    (row,) = lb.admin("cache")
    return dict(row)


def counted(lb: Balancer) -> int:
    """Returns the bytes of the disk, once they are known."""
    until(lambda: shown(lb)["disk_bytes"] is not None, "the files are counted")
    return int(shown(lb)["disk_bytes"])


def refusal(config: dict[str, Any], folder: Path) -> str:
    """Returns why the service does not start."""
    config["process"]["admin"] = str(folder.parent / "admin.sock")
    file = folder.parent / "refused.toml"
    file.write_text(toml(config))
    done = run("run", "-c", str(file))
    assert done.returncode == 1
    return str(done.stderr)


def test_a_start_makes_the_folder_and_an_end_leaves_it_in_order(
    origin: Origin, folder: Path
) -> None:
    with Balancer(configured(origin, folder)) as lb:
        assert len(list(folder.iterdir())) == 257
        assert not state(folder)["clean"]
        assert counted(lb) == 0
        assert shown(lb)["disk_size"] == 64 << 20
        first = state(folder)
    assert state(folder) == {**first, "clean": True}
    with Balancer(configured(origin, folder)):
        assert state(folder) == {**first, "epoch": first["epoch"] + 1}


def test_a_service_that_was_killed_finds_its_key_again(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)) as lb:
        key = state(folder)["key"]
        send_signal(lb.process.pid, signal.SIGKILL)
        lb.wait()
        with Balancer(configured(origin, folder)):
            assert state(folder)["key"] == key
            assert state(folder)["epoch"] == 2


def test_a_folder_that_is_not_a_caches_ends_the_start(origin: Origin, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "thesis.txt").write_text("years of work")
    assert "it is not empty and no cache's" in refusal(configured(origin, folder), folder)
    assert [one.name for one in folder.iterdir()] == ["thesis.txt"]


def test_a_second_service_does_not_get_the_folder(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)):
        assert "another l4lb uses it" in refusal(configured(origin, folder), folder)


def test_a_damaged_state_does_not_keep_the_service_from_serving(
    origin: Origin, folder: Path
) -> None:
    with Balancer(configured(origin, folder)):
        key = state(folder)["key"]
    (folder / "l4lb-cache").write_bytes(b"\xff garbage")
    with Balancer(configured(origin, folder)) as lb:
        assert state(folder)["key"] != key
        assert "the state of the cache's disk cannot be used" in lb.log()


@root_only
def test_the_folder_belongs_to_the_services_user(origin: Origin, folder: Path) -> None:
    for above in list(folder.parents)[:-2]:
        above.chmod(0o755)
    for _ in range(2):
        with Balancer(configured(origin, folder, {"user": "nobody"})) as lb:
            everything = [folder, *folder.iterdir()]
            assert {one.stat().st_uid for one in everything} == {NOBODY.pw_uid}
            lb.admin("cache", "purge", "--all")
    assert state(folder)["clean"]
    assert len(state(folder)["purges"]) == 2


@root_only
def test_the_services_user_keeps_and_finds_answers(origin: Origin, folder: Path) -> None:
    for above in list(folder.parents)[:-2]:
        above.chmod(0o755)
    for _ in range(2):
        with Balancer(configured(origin, folder, {"user": "nobody"})) as lb:
            counted(lb)
            with client(lb) as peer:
                assert peer.ask("/a").body == b"x" * 1_000
            assert shown(lb)["disk_errors"] == 0
    (answer,) = folder.glob("??/*")
    assert answer.stat().st_uid == NOBODY.pw_uid
    assert len(origin.requests) == 1


# ---- the keeper ----


def test_what_lies_in_the_folder_is_counted_and_shown(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)):
        pass
    for name in ("00", "ff"):
        (folder / name / ("a" * 30)).write_bytes(bytes(20_000))
    process = {"http": f"127.0.0.1:{PORTS.take()}"}
    with Balancer(configured(origin, folder, process)) as lb:
        size = sum(one.stat().st_blocks * 512 for one in folder.glob("??/*"))
        assert counted(lb) == size > 0
        metrics = Metrics(lb)
        assert metrics.value("l4lb_cache_disk_used_bytes", cache="pages") == size
        assert metrics.value("l4lb_cache_disk_size_bytes", cache="pages") == 64 << 20
        assert metrics.value("l4lb_cache_disk_errors_total", cache="pages") == 0


def test_a_full_disk_has_room_soon(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)):
        pass
    for number in range(70):
        (folder / f"{number:02x}" / ("b" * 30)).write_bytes(bytes(1 << 20))
    with Balancer(configured(origin, folder)) as lb:
        until(lambda: 0 < counted(lb) <= 58 << 20, "the oldest have left")
        assert 50 <= len(list(folder.glob("??/*"))) <= 57


def test_another_keeper_takes_the_place_of_one_that_dies(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)) as lb:
        assert counted(lb) == 0
        pid = lb.child("keeper").pid
        kill_and_wait(pid)
        until(lambda: lb.child("keeper").pid != pid, "another keeper runs")
        assert shown(lb)["disk_bytes"] == 0


def test_without_a_disk_there_is_no_keeper(origin: Origin) -> None:
    with Balancer(configured(origin, None)) as lb:
        titles = {" ".join(one.cmdline()) for one in lb.processes()}
        assert not any("keeper" in title for title in titles)
        assert shown(lb)["disk_bytes"] is None
        assert shown(lb)["disk_size"] is None


# ---- a file system that is smaller than the disk may be ----


def test_on_a_file_system_that_is_full_old_answers_make_room_for_new_ones(
    origin: Origin, tmp_path: Path
) -> None:
    with (
        small_disk(tmp_path / "mount") as mount,
        Balancer(configured(origin, mount / "disk")) as lb,
    ):
        assert counted(lb) == 0
        numbers = itertools.count()

        def asked() -> dict[str, Any]:
            with client(lb) as peer:
                assert peer.ask(f"/{next(numbers)}").status == 200
            return shown(lb)

        until(lambda: asked()["disk_errors"] > 0, "the file system is full")
        written = shown(lb)["disk_writes"]
        until(lambda: asked()["disk_writes"] > written, "there is room again")


def test_answers_that_have_filled_the_file_system_do_not_keep_the_service_from_its_start(
    origin: Origin, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "mount") as mount:
        with Balancer(configured(origin, mount / "disk")):
            first = state(mount / "disk")
        for number in range(8):
            (mount / "disk" / f"{number:02x}" / ("d" * 30)).write_bytes(bytes(1_000))
        fill(mount)
        with Balancer(configured(origin, mount / "disk")):
            after = state(mount / "disk")
            assert (after["key"], after["epoch"]) == (first["key"], first["epoch"] + 1)


# ---- purges, upgrades, reloads ----


def test_purges_are_on_the_disk_when_they_are_answered(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)) as lb:
        lb.admin("cache", "purge", "--tag", "news")
        assert len(state(folder)["purges"]) == 1
        lb.admin("cache", "purge", "--all", "--soft")
        purges = state(folder)["purges"]
        assert [one[-1] for one in purges] == [False, True]
    with Balancer(configured(origin, folder)) as lb:
        lb.admin("cache", "purge", "--tag", "news")
        assert state(folder)["purges"][:2] == purges
        assert len(state(folder)["purges"]) == 3


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Puts a folder where the new state would be written."""
    (folder / "l4lb-cache.new").mkdir()
    yield
    (folder / "l4lb-cache.new").rmdir()


def test_a_purge_that_is_not_on_the_disk_is_answered_with_a_warning(
    origin: Origin, folder: Path
) -> None:
    with Balancer(configured(origin, folder)) as lb:
        with read_only(folder):
            done = run("admin", "--socket", lb.socket, "cache", "purge", "--all")
            assert done.returncode == 0
            assert "everything is purged in pages" in done.stdout
            assert "warning: it holds now, but perhaps not after a restart" in done.stdout
        assert "purges cannot be written to a cache's disk" in lb.log()
    assert state(folder)["clean"]
    assert len(state(folder)["purges"]) == 1


def test_an_upgrade_keeps_key_lock_and_purges(origin: Origin, folder: Path) -> None:
    with Balancer(configured(origin, folder)) as lb:
        lb.admin("cache", "purge", "--tag", "news")
        first, keeper = state(folder), lb.child("keeper").pid
        for _ in range(2):
            lb.admin("upgrade")
            until(lb.answers, "the new program answers")
        assert state(folder) == first
        assert counted(lb) == 0
        assert lb.child("keeper").pid != keeper
        assert "another l4lb uses it" in refusal(configured(origin, folder), folder)
        lb.admin("cache", "purge", "--tag", "sports")
        assert state(folder)["purges"][:1] == first["purges"]
        assert len(state(folder)["purges"]) == 2
    assert state(folder)["clean"]


def test_a_disk_that_a_reload_adds_is_there_after_an_upgrade(origin: Origin, folder: Path) -> None:
    config = configured(origin, None)
    with Balancer(config) as lb:
        file = lb.folder / "l4lb.toml"
        disk = configured(origin, folder)["cache"]["pages"]["disk"]
        file.write_text(toml({**config, "cache": {"pages": {"memory": "8MiB", "disk": disk}}}))
        assert lb.admin("reload")["needs_restart"] == ["cache.pages.disk"]
        assert not folder.exists()
        assert shown(lb)["disk_size"] is None
        lb.admin("upgrade")
        until(lb.answers, "the new program answers")
        assert shown(lb)["disk_size"] == 64 << 20
        assert len(list(folder.iterdir())) == 257


def test_an_upgrade_to_a_folder_that_is_refused_changes_nothing(
    origin: Origin, folder: Path
) -> None:
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    config = configured(origin, None)
    with Balancer(config) as lb:
        file = lb.folder / "l4lb.toml"
        disk = configured(origin, folder)["cache"]["pages"]["disk"]
        file.write_text(toml({**config, "cache": {"pages": {"memory": "8MiB", "disk": disk}}}))
        lb.admin("reload")
        done = run("admin", "--socket", lb.socket, "upgrade")
        assert done.returncode != 0
        assert "it is not empty and no cache's" in done.stderr
        assert lb.answers()


def test_a_program_that_is_put_back_has_its_disk_again(
    origin: Origin, folder: Path, tmp_path: Path
) -> None:
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
    shutil.copy(program()[0], tmp_path / "old" / "l4lb")
    (tmp_path / "sitecustomize.py").write_text(FAILS_ONCE)
    new = tmp_path / "new" / "l4lb"
    new.write_text(f'#!/bin/sh\nFAIL_ONCE=1 PYTHONPATH={tmp_path} exec {program()[0]} "$@"\n')
    new.chmod(0o755)
    current = tmp_path / "current"
    current.symlink_to("old")
    with Balancer(configured(origin, folder), command=[str(current / "l4lb")]) as lb:
        lb.admin("cache", "purge", "--tag", "news")
        before, pid = state(folder), lb.status()["pid"]
        current.unlink()
        current.symlink_to("new")
        done = run("admin", "--socket", lb.socket, "upgrade", timeout_s=90)
        assert (done.returncode, lb.status()["pid"]) == (1, pid)
        assert state(folder) == before
        assert "another l4lb uses it" in refusal(configured(origin, folder), folder)
        assert counted(lb) == 0
        lb.admin("cache", "purge", "--tag", "sports")
        assert len(state(folder)["purges"]) == 2
    assert state(folder)["clean"]
