"""Bodies: every byte arrives, in both directions, however slowly either side reads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from ..harness import Door, Manner, Stream, send, until
from ..harness.http import Peer, Request, answer, before, chunked, client, request
from ..harness.origin import Origin, Reply
from .conftest import Pair

KIB, MIB = 1 << 10, 1 << 20
ANY_SIZE = {"max_body": "0B"}


class Check:
    """Compares what comes with a stream. rests: it reads slowly."""

    def __init__(self, stream: Stream, rests: Callable[[], None] = lambda: None) -> None:
        self.stream, self.rests = stream, rests
        self.at = 0

    def __call__(self, data: bytes) -> None:
        self.stream.check(self.at, data)
        self.at += len(data)
        self.rests()


def upload(peer: Peer, stream: Stream, *, in_chunks: bool, manner: Manner) -> None:
    if not in_chunks:
        peer.say(request("/", "POST", fields=[("Content-Length", f"{stream.size}")]))
        send(peer.sock, stream, manner)
        return
    peer.say(request("/", "POST", fields=[("Transfer-Encoding", "chunked")]))
    offset = 0
    while offset < stream.size:
        part = bytes(stream.part(offset, manner.chunk))
        peer.say(b"%x;a=b\r\n%b\r\n" % (len(part), part))
        offset += len(part)
    peer.say(b"0\r\nX-Trailer: x\r\n\r\n")


SIZES = [1, 40 * KIB, 64 * KIB, 200 * KIB, 5 * MIB]


@pytest.fixture(scope="module")
def _large() -> Iterator[Pair]:
    with Origin() as origin, before([origin.row], http=ANY_SIZE) as lb:
        yield Pair(lb, origin)


@pytest.fixture
def large(_large: Pair) -> Pair:
    _large.origin.requests.clear()
    return _large


@pytest.mark.parametrize("in_chunks", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_a_body_of_a_request_arrives_byte_for_byte(large: Pair, size: int, in_chunks: bool) -> None:
    stream = Stream(size, size)

    def compare(asked: Request) -> bytes:
        Check(stream)(asked.body)
        assert len(asked.body) == size
        return answer(b"same")

    large.answers(compare)
    with large.client() as peer:
        for _ in range(2):
            upload(peer, stream, in_chunks=in_chunks, manner=Manner(16 * KIB))
            assert peer.answer("POST").body == b"same"
    for asked in large.origin.requests:
        coded = asked.get("transfer-encoding"), asked.get("content-length")
        assert coded == (("chunked", None) if in_chunks else (None, f"{size}"))


def downloads(stream: Stream, kind: str) -> Reply:
    data = b""
    while len(data) < stream.size:
        data += stream.part(len(data), MIB)
    if kind == "length":
        return Reply(answer(data))
    if kind == "chunks":
        parts = [data[at : at + 30_011] for at in range(0, len(data), 30_011)]
        return Reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*parts))
    return Reply(b"HTTP/1.1 200 OK\r\n\r\n" + data, "close")


@pytest.mark.parametrize("kind", ["length", "chunks", "until close"])
@pytest.mark.parametrize("size", SIZES)
def test_a_body_of_an_answer_arrives_byte_for_byte(large: Pair, size: int, kind: str) -> None:
    stream = Stream(size, size)
    reply = downloads(stream, kind)
    large.answers(lambda _: reply)
    with large.client() as peer:
        for _ in range(3):
            check = Check(stream)
            peer.say(request())
            peer.answer(sink=check)
            assert check.at == size
        assert peer.is_quiet()


@pytest.mark.parametrize("kind", ["length", "chunks", "until close"])
def test_a_client_that_reads_slowly_gets_every_byte_and_holds_up_nobody(
    large: Pair, kind: str
) -> None:
    stream = Stream(3, 8 * MIB)
    reply = downloads(stream, kind)
    large.answers(lambda asked: reply if asked.target == "/slow" else answer(b"quick"))
    with large.client() as slow, large.client() as quick:
        others: list[bytes] = []
        slow.say(request("/slow"))
        until(lambda: "/slow" in large.origin.targets(), "the answer is on its way")
        check = Check(stream, lambda: others.append(quick.ask().body) if len(others) < 9 else None)
        slow.answer(sink=check)
        assert check.at == stream.size
        assert set(others) == {b"quick"}
        assert slow.ask("/next").body == b"quick"


def test_a_backend_that_reads_slowly_gets_every_byte(large: Pair) -> None:
    stream = Stream(4, 64 * MIB)

    def compare(asked: Request) -> bytes:
        Check(stream)(asked.body)
        return answer(b"%d" % len(asked.body))

    large.answers(compare)
    with large.client() as peer:
        upload(peer, stream, in_chunks=False, manner=Manner(256 * KIB))
        assert peer.answer("POST").body == b"%d" % stream.size
        assert peer.ask("/next", "POST", body=b"").status == 200


def echo_once(door: Door) -> None:
    """Answers one request with its body, piece by piece while it comes."""
    with Peer(door.accept()) as peer:
        heads = iter([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"])

        def give_back(data: bytes) -> None:
            peer.say(next(heads, b"") + b"%x\r\n%b\r\n" % (len(data), data))

        peer.request(sink=give_back)
        peer.say(b"0\r\n\r\n")
        peer.ended()


@pytest.mark.parametrize("in_chunks", [False, True])
def test_a_body_echoed_while_it_is_sent_arrives_in_both_directions(in_chunks: bool) -> None:
    """The answer begins before the request has ended."""
    stream = Stream(5, 4 * MIB)
    with Door() as door, before([door.address], http=ANY_SIZE) as lb:
        echoes = threading.Thread(target=echo_once, args=(door,))
        echoes.start()
        with client(lb) as peer:
            manner = Manner(10_000)
            sender = threading.Thread(
                target=upload,
                args=(peer, stream),
                kwargs={"in_chunks": in_chunks, "manner": manner},
            )
            sender.start()
            check = Check(stream)
            peer.answer("POST", sink=check)
            assert check.at == stream.size
            sender.join(timeout=20)
            assert peer.is_quiet()
    echoes.join(timeout=20)
