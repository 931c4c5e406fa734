"""Another protocol on the same connection (Upgrade, such as WebSocket): from the backend's 101 on,
bytes pass both ways untouched."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import wsproto
from wsproto import events

from ..harness import Balancer, Door, Stream, finish, receive, reset, send, until
from ..harness.http import Fields, Peer, answer, before, client, outcome, request

UPGRADE: Fields = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
]
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@contextmanager
def tunnel(
    lb: Balancer, door: Door, behind_request: bytes = b"", behind_answer: bytes = b""
) -> Iterator[tuple[Peer, Peer]]:
    """Yields both ends of a connection that has changed its protocol."""
    with client(lb) as peer:
        peer.say(request("/chat", fields=UPGRADE) + behind_request)
        with Peer(door.accept()) as backend:
            head = backend.bytes_until(b"\r\n\r\n").lower()
            assert b"upgrade: websocket" in head
            assert b"connection: upgrade" in head
            backend.say(AGREED + behind_answer)
            got = peer.bytes_until(b"\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 101 ")
            assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in got
            assert b"upgrade: websocket" in got.lower()
            yield peer, backend


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    with Door() as one:
        yield one


@pytest.fixture(scope="module")
def lb(door: Door) -> Iterator[Balancer]:
    with before([door.address]) as one:
        yield one


def test_bytes_pass_both_ways_after_an_upgrade(lb: Balancer, door: Door) -> None:
    with tunnel(lb, door) as (peer, backend):
        for n in range(20):
            peer.say(b"up %02d" % n)
            assert backend.bytes_until(b"up %02d" % n) == b"up %02d" % n
            backend.say(b"down %02d" % n)
            assert peer.bytes_until(b"down %02d" % n) == b"down %02d" % n


def test_bytes_right_behind_both_heads_are_of_the_new_protocol(lb: Balancer, door: Door) -> None:
    early = b"GET /not-http HTTP/1.1\r\n\r\n"
    with tunnel(lb, door, early, b"\x81\x05hello") as (peer, backend):
        assert backend.bytes_until(early) == early
        assert peer.bytes_until(b"hello") == b"\x81\x05hello"


@pytest.mark.parametrize("up", [True, False])
def test_a_tunnel_is_byte_exact_and_half_closes(lb: Balancer, door: Door, up: bool) -> None:
    stream = Stream(9, 5 << 20)
    with tunnel(lb, door) as (peer, backend):
        first, last = (peer, backend) if up else (backend, peer)
        sender = threading.Thread(target=_send_and_finish, args=(first, stream))
        sender.start()
        assert receive(last.sock, stream) == stream.size
        sender.join(timeout=20)
        last.say(b"still open this way")
        assert first.bytes_until(b"way") == b"still open this way"


def _send_and_finish(peer: Peer, stream: Stream) -> None:
    send(peer.sock, stream)
    finish(peer.sock)


def test_a_reset_of_a_tunnel_is_passed_on_and_its_place_is_given_back(
    lb: Balancer, door: Door
) -> None:
    with tunnel(lb, door) as (peer, backend):
        assert lb.total("active") == 1
        reset(peer.sock)
        assert backend.ended() == "reset"
    until(lambda: lb.total("active") == 0, "its place is free")


def test_a_backend_that_refuses_an_upgrade_answers_as_usual(lb: Balancer, door: Door) -> None:
    with client(lb) as peer:
        peer.say(request("/chat", fields=UPGRADE))
        with Peer(door.accept()) as backend:
            backend.bytes_until(b"\r\n\r\n")
            backend.say(answer(b"no", 403))
            assert peer.answer().status == 403
            peer.say(request("/next"))
            assert backend.request().target == "/next"
            backend.say(answer(b"yes", fields=[("Connection", "close")]))
            assert peer.answer().body == b"yes"


def test_an_upgrade_that_nobody_asked_for_is_a_bad_answer(lb: Balancer, door: Door) -> None:
    with client(lb) as peer:
        peer.say(request("/plain"))
        with Peer(door.accept()) as backend:
            backend.bytes_until(b"\r\n\r\n")
            backend.say(AGREED)
            assert outcome(peer) == 502


def test_an_idle_tunnel_lives_as_long_as_the_pools_idle_timeout() -> None:
    with (
        Door() as door,
        before([door.address], idle_timeout="700ms", http={"rest_timeout": "100ms"}) as own,
        tunnel(own, door) as (peer, backend),
    ):
        begin = time.monotonic()
        while time.monotonic() - begin < 1.2:
            peer.say(b"ping")
            assert backend.bytes_until(b"ping") == b"ping"
            time.sleep(0.05)
        assert peer.bytes_to_end() == b""


def test_websocket_messages_pass_through_a_tunnel(lb: Balancer, door: Door) -> None:
    with tunnel(lb, door) as (peer, backend):
        asks = wsproto.Connection(wsproto.ConnectionType.CLIENT)
        answers = wsproto.Connection(wsproto.ConnectionType.SERVER)
        sent = [b"x" * size for size in (0, 1, 125, 126, 65536, 300_000)]
        sender = threading.Thread(
            target=peer.say, args=[asks.send(events.BytesMessage(data=one)) for one in sent]
        )
        sender.start()
        got = bytearray()
        finished = 0
        while finished < len(sent):
            answers.receive_data(backend.sock.recv(65536))
            for event in answers.events():
                got += event.data
                finished += event.message_finished
        sender.join()
        assert bytes(got) == b"".join(sent)
        backend.say(answers.send(events.CloseConnection(code=1000)))
        asks.receive_data(peer.sock.recv(65536))
        assert [event.code for event in asks.events()] == [1000]
