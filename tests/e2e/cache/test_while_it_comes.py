"""Clients read an answer while another client's request still fetches it, and get all of it,
whatever becomes of that request."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ..harness import PATIENCE_S, Balancer, send_signal, until
from ..harness.http import CutOffError, Fields, Peer, Request, answer, before, client
from ..harness.http2 import client as http2_client
from ..harness.origin import Origin, Reply
from .conftest import KEPT, is_counted
from .on_disk import MEMORY, body_of

SIZES = {"memory": 200_000, "disk": 3_000_000}
ETAG = ("ETag", '"one"')
LAST_MODIFIED = ("Last-Modified", "Sat, 01 Aug 2026 00:00:00 GMT")
FIRST = 100_000  # bytes of a body that come before the rest does


@dataclass
class Slow:
    """An origin that sends FIRST bytes of each answer, and the rest when `go` is set. The answers
    of later requests come at once. cut: the first one is reset instead."""

    size: int
    fields: Fields
    cut: bool = False
    later: Fields | None = None  # fields of later answers, if they are others
    go: threading.Event = field(default_factory=threading.Event)
    asked: int = 0

    def body(self, target: str) -> bytes:
        return body_of(target, self.size)

    def __call__(self, request: Request) -> Reply:
        self.asked += 1
        if self.asked > 1:
            fields = self.fields if self.later is None else self.later
            return Reply(answer(self.body(request.target), fields=[*KEPT, *fields]))
        whole = answer(self.body(request.target), fields=[*KEPT, *self.fields])
        return Reply(self._parts(whole), "reset" if self.cut else "stay")

    def _parts(self, whole: bytes) -> Iterator[bytes]:
        yield whole[: -(self.size - FIRST)]
        assert self.go.wait(PATIENCE_S * 4)
        if not self.cut:
            yield whole[-(self.size - FIRST) :]


@contextlib.contextmanager
def balancer(
    slow: Slow, folder: Path | None = None, *, workers: int = 1, **cache: Any
) -> Iterator[Balancer]:
    disk = {} if folder is None else {"disk": {"path": str(folder), "size": "64MiB"}}
    rules = {**MEMORY, "collapse_timeout": "60s", **disk, **cache}
    with Origin(slow) as origin, before([origin.row], workers=workers, cache=rules) as lb:
        if disk:
            until(lambda: is_counted(lb), "the folder is in use")
        yield lb


class Reader:
    """A client that reads its answer piece by piece."""

    def __init__(self, lb: Balancer, target: str = "/a") -> None:
        self._peer: Peer = client(lb)
        self._said = b""
        self._peer.say(b"GET %b HTTP/1.1\r\nHost: example.test\r\n\r\n" % target.encode())

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._peer.sock.close()

    @property
    def port(self) -> int:
        return int(self._peer.sock.getsockname()[1])

    @property
    def body(self) -> bytes:
        """What has come of the body."""
        return self._said.partition(b"\r\n\r\n")[2]

    def read(self, size: int) -> bytes:
        """Reads until so many bytes of the body are there. Raises CutOffError."""
        while len(self.body) < size:
            try:
                data = self._peer.sock.recv(1 << 18)
            except ConnectionError:
                data = b""
            if not data:
                raise CutOffError("ended", self.body)
            self._said += data
        return self.body


def worker_of(lb: Balancer, reader: Reader) -> int:
    rows = [one for one in lb.ask("sessions") if one["client"].endswith(f":{reader.port}")]
    return int(rows[0]["worker"])


@contextlib.contextmanager
def fetching(lb: Balancer) -> Iterator[Reader]:
    """Yields the client whose request fetches. It has got what has come."""
    with Reader(lb) as first:
        first.read(FIRST)
        yield first


@contextlib.contextmanager
def beside(lb: Balancer, first: Reader) -> Iterator[Reader]:
    """Yields a client of another worker than that of the first one."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            reader = stack.enter_context(Reader(lb))
            reader.read(1)
            if worker_of(lb, reader) != worker_of(lb, first):
                yield reader
                return
    raise AssertionError("no other worker got a client")


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("where", SIZES)
def test_all_get_what_has_come_and_then_the_rest(tmp_path: Path, where: str, workers: int) -> None:
    slow = Slow(SIZES[where], [])
    with (
        balancer(slow, tmp_path if where == "disk" else None, workers=workers) as lb,
        fetching(lb) as first,
        contextlib.ExitStack() as stack,
    ):
        readers = [stack.enter_context(Reader(lb)) for _ in range(8)]
        for reader in readers:
            assert reader.read(FIRST) == slow.body("/a")[:FIRST]
        slow.go.set()
        for reader in (first, *readers):
            assert reader.read(slow.size) == slow.body("/a")
        assert slow.asked == 1
        with Reader(lb) as last:
            assert last.read(slow.size) == slow.body("/a")
        assert slow.asked == 1
        [row] = lb.ask("cache")
        assert row["requests"] == 10


def test_a_client_of_http2_reads_along() -> None:
    slow = Slow(SIZES["memory"], [])
    with balancer(slow) as lb, fetching(lb), http2_client(lb) as peer:
        stream = peer.begin("/a", host="example.test")
        while len(peer.answers[stream].body) < FIRST:
            peer.turn()
        slow.go.set()
        assert peer.answer(stream).body == slow.body("/a")
        assert slow.asked == 1


@pytest.mark.parametrize("where", SIZES)
@pytest.mark.parametrize("validator", [ETAG, LAST_MODIFIED], ids=["etag", "last-modified"])
def test_after_the_death_of_the_worker_that_fetches_the_others_get_the_rest(
    tmp_path: Path, where: str, validator: tuple[str, str]
) -> None:
    slow = Slow(SIZES[where], [validator])
    with (
        balancer(slow, tmp_path if where == "disk" else None, workers=2) as lb,
        fetching(lb) as first,
        beside(lb, first) as reader,
    ):
        reader.read(FIRST)
        index = worker_of(lb, first)
        [pid] = [row["pid"] for row in lb.ask("workers") if row["index"] == index]
        send_signal(pid, signal.SIGKILL)
        assert reader.read(slow.size) == slow.body("/a")
        assert slow.asked == 2
        slow.go.set()


@pytest.mark.parametrize("where", SIZES)
def test_after_a_reset_of_the_origin_the_others_get_the_rest(tmp_path: Path, where: str) -> None:
    slow = Slow(SIZES[where], [ETAG], cut=True)
    with (
        balancer(slow, tmp_path if where == "disk" else None) as lb,
        fetching(lb) as first,
        Reader(lb) as second,
        Reader(lb) as third,
    ):
        for reader in (second, third):
            reader.read(FIRST)
        slow.go.set()
        for reader in (second, third):
            assert reader.read(slow.size) == slow.body("/a")
        with pytest.raises(CutOffError):
            first.read(slow.size)
        assert slow.asked == 2


@pytest.mark.parametrize(
    ("fields", "later"),
    [
        ([], []),
        ([("ETag", 'W/"one"')], [("ETag", 'W/"one"')]),
        ([ETAG], [("ETag", '"two"')]),
        ([ETAG], []),
    ],
    ids=["no validator", "a weak one", "another one", "none any more"],
)
def test_what_may_be_another_answer_is_not_put_behind_a_part(fields: Fields, later: Fields) -> None:
    slow = Slow(SIZES["memory"], fields, cut=True, later=later)
    with (
        balancer(slow, collapse_timeout="2s") as lb,
        fetching(lb),
        Reader(lb) as reader,
    ):
        reader.read(FIRST)
        slow.go.set()
        with pytest.raises(CutOffError) as caught:
            reader.read(slow.size)
        assert caught.value.got == slow.body("/a")[:FIRST]
        with Reader(lb) as after:
            assert after.read(slow.size) == slow.body("/a")


def test_a_client_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    slow = Slow(30_000_000, [ETAG])
    slow.go.set()
    with balancer(slow, tmp_path, collapse_timeout="1s") as lb, Reader(lb) as first:
        first.read(FIRST)  # and no more: the rest fills buffers, then its fetch stands still
        with Reader(lb) as reader:
            assert reader.read(slow.size) == slow.body("/a")
        assert slow.asked == 2
        assert first.read(slow.size) == slow.body("/a")


def test_after_a_purge_nobody_reads_along_and_who_does_gets_the_rest() -> None:
    slow = Slow(SIZES["memory"], [])
    with balancer(slow) as lb, fetching(lb) as first, Reader(lb) as reader:
        reader.read(FIRST)
        lb.admin("cache", "purge", "http://example.test/a")
        with Reader(lb) as after:
            assert after.read(slow.size) == slow.body("/a")
        assert slow.asked == 2
        slow.go.set()
        for one in (first, reader):
            assert one.read(slow.size) == slow.body("/a")
        with Reader(lb) as last:
            assert last.read(slow.size) == slow.body("/a")
        assert slow.asked == 2


def test_who_asks_for_another_variant_does_not_read_along() -> None:
    slow = Slow(SIZES["memory"], [("Vary", "X-Kind")])
    with balancer(slow, collapse_timeout="1s") as lb, fetching(lb), client(lb) as other:
        answered = other.ask("/a", fields=[("X-Kind", "b")])
        assert answered.body == slow.body("/a")
        assert slow.asked == 2
        slow.go.set()
