"""A cache's folder: what is kept there outlives memory and program, and nothing that is wrong there
ever reaches a client."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from ..harness import Balancer, send_signal, until
from ..harness.disk import fill, small_disk
from ..harness.http import CutOffError, Peer, Request, answer, chunked, request
from ..harness.origin import Origin
from .conftest import KEPT, again, running
from .on_disk import LARGE, PURGE, SIZES, SMALL, ask, body_of, by_target, files, on_disk

# ---- what stays ----------------------------------------------------------------------------------


def test_what_is_kept_outlives_a_restart(tmp_path: Path) -> None:
    paths = [f"/{size}/a" for size in SIZES]
    with Origin(by_target) as origin:
        with running(on_disk(origin, tmp_path / "disk")) as lb:
            for path in paths:
                ask(lb, path)
        with running(again(lb)) as lb:
            for path, size in zip(paths, SIZES, strict=True):
                got = ask(lb, path)
                assert (got.status, got.body) == (200, body_of(path, size))
                assert (got.get("cache-status") or "").startswith("l4lb; hit")
                part = ask(lb, path, fields=[("Range", "bytes=0-0")])
                assert (part.status, part.body) == (206 if size else 416, got.body[:1])
                assert ask(lb, path, "HEAD").get("content-length") == str(size)
                known = ask(lb, path, fields=[("If-None-Match", f'"{path}"')])
                assert (known.status, known.body) == (304, b"")
        assert origin.targets() == paths


def test_what_is_kept_outlives_the_death_of_all_processes(tmp_path: Path) -> None:
    paths = [f"/{size}/a" for size in SIZES]
    with Origin(by_target) as origin:
        lb = on_disk(origin, tmp_path / "disk", workers=2)
        with running(lb):
            for path in paths:
                ask(lb, path)
            for pid in [lb.process.pid, *lb.pids()]:
                send_signal(pid, signal.SIGKILL)
            lb.wait()
        with running(again(lb)) as lb:
            assert [ask(lb, path).body for path in paths] == [
                body_of(path, size) for path, size in zip(paths, SIZES, strict=True)
            ]
        assert origin.targets() == paths


def test_what_has_left_memory_is_still_on_disk(tmp_path: Path) -> None:
    paths = [f"/100000/{number}" for number in range(200)]  # 20 MB, for 8 MiB of memory
    with Origin(by_target) as origin, running(on_disk(origin, tmp_path / "disk")) as lb:
        for _ in range(2):
            for path in paths:
                assert ask(lb, path).body == body_of(path, 100_000)
        assert origin.targets() == paths
        row = lb.ask("cache")[0]
        assert row["disk_writes"] == len(paths)
        assert row["disk_reads"] > 0
        assert row["disk_errors"] == 0


def test_variants_are_kept_apart_and_taken_out_together(tmp_path: Path) -> None:
    def answering(asked: Request) -> bytes:
        said = f"{asked.get('x-way')} {len(origin.requests)}".encode()
        return answer(said * 50_000, fields=[*KEPT, ("Vary", "X-Way")])

    def ways(lb: Balancer) -> list[bytes]:
        return [ask(lb, "/a", fields=[("X-Way", way)]).body[:3] for way in "abc"]

    with Origin(answering) as origin:
        with running(on_disk(origin, tmp_path / "disk", purge=PURGE)) as lb:
            assert ways(lb) == [b"a 1", b"b 2", b"c 3"]
        with running(again(lb)) as lb:
            assert ways(lb) == [b"a 1", b"b 2", b"c 3"]
            assert ask(lb, "/a", "PURGE").status == 200
            assert ask(lb, "/a", "PURGE").status == 404
        with running(again(lb)) as lb:
            assert ways(lb) == [b"a 5", b"b 6", b"c 7"] or ways(lb)[0] != b"a 1"


@pytest.mark.parametrize("said", ["length", "chunks", "end"])
def test_a_large_body_of_any_framing_is_kept_whole(tmp_path: Path, said: str) -> None:
    body = body_of("/", LARGE)

    def answering(_: Request) -> bytes:
        if said == "length":
            return answer(body, fields=KEPT)
        head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\n"
        if said == "chunks":
            parts = [body[at : at + 7_000] for at in range(0, LARGE, 7_000)]
            return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunked(*parts)
        origin.close_all_soon()
        return f"{head}Connection: close\r\n\r\n".encode() + body

    class Closing(Origin):
        def close_all_soon(self) -> None:
            threading.Timer(0.2, self.close_all).start()

    with Closing(answering) as origin, running(on_disk(origin, tmp_path / "disk")) as lb:
        assert [ask(lb, "/a").body == body for _ in range(3)] == [True] * 3
        assert len(origin.requests) == 1


def test_what_ends_early_is_not_kept(tmp_path: Path) -> None:
    def answering(_: Request) -> bytes:
        if len(origin.requests) > 1:
            return answer(b"whole", fields=KEPT)
        threading.Timer(0.1, origin.close_all).start()
        return answer(bytes(LARGE), fields=KEPT)[: LARGE // 2]

    with Origin(answering) as origin, running(on_disk(origin, tmp_path / "disk")) as lb:
        with pytest.raises(CutOffError):
            ask(lb, "/a")
        until(lambda: not list((tmp_path / "disk").glob("??/*")), "the file is given up")
        assert ask(lb, "/a").body == b"whole"


def test_who_reads_slowly_gets_the_object_that_it_began_with(tmp_path: Path) -> None:
    versions = [random.Random(number).randbytes(LARGE) for number in range(3)]
    with (
        Origin(lambda _: answer(versions[len(origin.requests) - 1], fields=KEPT)) as origin,
        running(on_disk(origin, tmp_path / "disk", purge=PURGE)) as lb,
    ):
        assert ask(lb, "/a").body == versions[0]
        with Peer(lb.connect(window=4096)) as slow:
            slow.say(request("/a"))
            slow.bytes_until(b"\r\n\r\n")
            for number in (1, 2):
                assert ask(lb, "/a", "PURGE").status == 200
                assert ask(lb, "/a").body == versions[number]
            slow.put_back(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
            assert slow.answer().body == versions[0]


def test_a_large_object_that_still_holds_is_not_fetched_again(tmp_path: Path) -> None:
    def answering(asked: Request) -> bytes:
        fields = [("Cache-Control", "max-age=0, must-revalidate"), ("ETag", '"1"')]
        if asked.get("if-none-match") == '"1"':
            return answer(b"", 304, fields=[*fields, ("X-New", str(len(origin.requests)))])
        return answer(body_of("/", LARGE), fields=fields)

    with Origin(answering) as origin:
        with running(on_disk(origin, tmp_path / "disk")) as lb:
            for number in range(4):
                got = ask(lb, "/a")
                assert got.body == body_of("/", LARGE)
                assert got.get("x-new") == (str(number + 1) if number else None)
        with running(again(lb)) as lb:
            assert ask(lb, "/a").body == body_of("/", LARGE)
        assert [one.get("if-none-match") for one in origin.requests] == [None, *['"1"'] * 4]


# ---- what goes wrong -----------------------------------------------------------------------------


def damage(file: Path, how: str, rng: random.Random) -> None:
    data = file.read_bytes()
    match how:
        case "cut":
            file.write_bytes(data[: rng.randrange(len(data))])
        case "longer":
            file.write_bytes(data + b"x")
        case "head":
            at = rng.randrange(120)
            file.write_bytes(data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :])
        case "zeros":
            file.write_bytes(bytes(len(data)))
        case "empty":
            file.write_bytes(b"")
        case "another":
            others = [one for one in files(file.parent.parent) if one != file]
            file.write_bytes(others[0].read_bytes())
        case "folder":
            file.unlink()
            file.mkdir()
        case "pipe":
            file.unlink()
            os.mkfifo(file)
        case "link":
            file.unlink()
            file.symlink_to("/etc/passwd")


@pytest.mark.parametrize(
    "how",
    ["cut", "longer", "head", "zeros", "empty", "another", "folder", "pipe", "link"],
)
def test_a_file_that_is_damaged_reaches_nobody(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "disk"
    paths = [f"/{size}/{number}" for size in (SMALL, LARGE) for number in range(3)]
    with Origin(by_target) as origin:
        with running(on_disk(origin, folder)) as lb:
            for path in paths:
                ask(lb, path)
        found = files(folder)
        assert len(found) == len(paths)
        for number, file in enumerate(found):
            if file.is_file():
                damage(file, how, random.Random(number))
        with running(again(lb)) as lb:
            for path in paths * 2:
                assert ask(lb, path).body == body_of(path, int(path.split("/")[1]))
            assert lb.ask("cache")[0]["disk_errors"] > 0 or how == "another"


def test_a_file_that_shrinks_while_it_is_sent_ends_its_client(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with Origin(by_target) as origin, running(on_disk(origin, folder)) as lb:
        path = f"/{4 * LARGE}/a"
        ask(lb, path)
        with Peer(lb.connect(window=4096)) as slow:
            slow.say(request(path))
            slow.bytes_until(b"\r\n\r\n")
            os.truncate(files(folder)[0], 1_000)
            slow.put_back(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (4 * LARGE))
            with pytest.raises(CutOffError):
                slow.answer()
        assert ask(lb, path).body == body_of(path, 4 * LARGE)


def test_a_folder_that_is_emptied_while_it_serves_is_filled_again(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    path = f"/{LARGE}/a"
    with Origin(by_target) as origin, running(on_disk(origin, folder)) as lb:
        ask(lb, path)
        subprocess.run(["rm", "-r", *map(str, folder.glob("??"))], check=True)
        assert ask(lb, path).body == body_of(path, LARGE)

        def is_kept() -> bool:
            asked = len(origin.requests)
            assert ask(lb, path).body == body_of(path, LARGE)
            return len(origin.requests) == asked

        until(is_kept, "the folders are there again")


@pytest.mark.parametrize("what", ["full", "read-only"])
def test_a_disk_that_takes_nothing_costs_only_the_keeping(tmp_path: Path, what: str) -> None:
    with small_disk(tmp_path / "mount") as mount, Origin(by_target) as origin:
        lb = on_disk(origin, mount / "disk")
        small, large = "/1000/a", f"/{LARGE}/a"
        with running(lb):
            ask(lb, small)
            if what == "full":
                fill(mount)
            else:
                subprocess.run(["mount", "-o", "remount,ro", str(mount)], check=True)
            for path in ("/2000/b", large, large):
                assert ask(lb, path).body == body_of(path, int(path.split("/")[1]))
            assert origin.targets() == [small, "/2000/b", large, large]
            assert ask(lb, "/2000/b").body == body_of("/2000/b", 2_000)  # out of memory
            assert len(origin.requests) == 4
            until(lambda: lb.ask("cache")[0]["disk_errors"] > 0, "errors are counted")
            subprocess.run(["mount", "-o", "remount,rw", str(mount)], check=True)


def test_a_worker_that_dies_while_it_writes_leaves_nothing_that_is_served(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    halves = threading.Event()
    body = body_of("/", LARGE)

    def answering(_: Request) -> bytes:
        if len(origin.requests) == 1:
            threading.Thread(target=kill_later, daemon=True).start()
            return answer(body, fields=KEPT)[:-1_000]
        return answer(body, fields=KEPT)

    def kill_later() -> None:
        until(lambda: any(one.stat().st_size > LARGE // 2 for one in folder.glob("??/t*")), "")
        lb.kill(0)
        halves.set()

    with Origin(answering) as origin, running(on_disk(origin, folder)) as lb:
        old = lb.ask("workers")[0]["pid"]
        with pytest.raises((CutOffError, OSError)):
            ask(lb, "/a")
        assert halves.wait(30)
        lb.wait_for_new_worker(0, old)
        assert not files(folder)
        assert ask(lb, "/a").body == body
        until(lambda: not list(folder.glob("??/t*")), "what was begun is removed")
        assert ask(lb, "/a").body == body
        assert len(origin.requests) == 2


def test_the_folder_keeps_to_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with Origin(by_target) as origin, running(on_disk(origin, folder, size="16MiB")) as lb:

        def used() -> int:
            return sum(one.stat().st_blocks * 512 for one in folder.glob("??/*"))

        largest = 0
        for number in range(60):
            path = f"/{1_000_000}/{number}"
            assert ask(lb, path).body == body_of(path, 1_000_000)
            largest = max(largest, used())
        assert 4 << 20 < largest <= 16 << 20
        until(lambda: used() <= (16 << 20) * 95 // 100, "the keeper makes room")
        stored = lb.ask("cache")[0]["disk_writes"]

        def goes_on() -> bool:
            ask(lb, f"/{1_000_000}/{len(origin.requests)}")
            return bool(lb.ask("cache")[0]["disk_writes"] > stored)

        until(goes_on, "new answers are written")
