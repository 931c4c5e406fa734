"""WebSocket (RFC 6455 and 7692) through l4lb: whatever a client sends, valid or not, it gets the
bytes that it would get from the server itself. The cases are of the kinds of the Autobahn suite."""

from __future__ import annotations

import contextlib
import random
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection, events
from wsproto.extensions import PerMessageDeflate
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from ..harness import Balancer, Door, until
from ..harness.deadline import PATIENCE_S
from ..harness.http import before
from ..harness.secure import Authority, secure

CONTINUES, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
COMPRESSED = 4  # RSV1
KEY = b"\1\2\3\4"
MIB = 1 << 20
REQUEST = (
    b"GET %b HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)


def frame(kind: int, payload: bytes = b"", *, last: bool = True, reserved: int = 0) -> bytes:
    """Returns a frame as clients send it. reserved: its bits RSV1 to RSV3."""
    head = bytes([last << 7 | reserved << 4 | kind])
    size = len(payload)
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    key = int.from_bytes((KEY * (size // 4 + 1))[:size], "big")
    return head + KEY + (int.from_bytes(payload, "big") ^ key).to_bytes(size, "big")


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    return frame(CLOSE, b"" if code is None else struct.pack(">H", code) + reason)


def packed(data: bytes) -> bytes:
    """Compresses one message (RFC 7692, 7.2.1)."""
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (made.compress(data) + made.flush(zlib.Z_SYNC_FLUSH))[:-4]


def fragments(kind: int, data: bytes, size: int, between: bytes = b"") -> bytes:
    """Returns a message in frames of this size, with other frames between them."""
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    said = [
        frame(CONTINUES if number else kind, part, last=number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]
    return between.join(said)


# ---- the server ----------------------------------------------------------------------------------


class Server:
    """Echoes whole messages, compressed. /bye: it closes at once."""

    def __init__(self, door: Door) -> None:
        self.address = door.address
        self.seen = 0  # messages
        self._door = door
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        self._door.listener.settimeout(None)
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._door.listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        connection, waiting = WSConnection(ConnectionType.SERVER), list[Any]()
        sock.settimeout(PATIENCE_S * 2)
        with contextlib.suppress(OSError), sock:
            while self._step(sock, connection, waiting):
                pass
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(1 << 16):
                pass

    def _step(self, sock: socket.socket, connection: WSConnection, waiting: list[Any]) -> bool:
        """Takes what has come. Returns whether more is awaited. waiting: parts of a message."""
        data = sock.recv(1 << 18)
        try:
            connection.receive_data(data or None)
            for event in connection.events():
                if isinstance(event, events.Message):
                    waiting.append(event.data)
                    if event.message_finished:
                        self.seen += 1
                        whole = waiting[0][:0].join(waiting)
                        waiting.clear()
                        sock.sendall(connection.send(events.Message(data=whole)))
                elif not self._answer(sock, connection, event):
                    return False
        except (LocalProtocolError, RemoteProtocolError):  # something came behind its end
            return False
        return bool(data)

    def _answer(self, sock: socket.socket, connection: WSConnection, event: events.Event) -> bool:
        if isinstance(event, events.Request):
            accepted = events.AcceptConnection(extensions=[PerMessageDeflate()])
            sock.sendall(connection.send(accepted))
            if event.target == "/bye":
                sock.sendall(connection.send(events.CloseConnection(code=1001, reason="bye")))
        elif isinstance(event, events.Ping):
            sock.sendall(connection.send(event.response()))
        elif isinstance(event, events.CloseConnection):
            # why without that reason: it tells how the bytes were cut.
            reason = None if event.code == 1007 else event.reason
            with contextlib.suppress(LocalProtocolError):
                sock.sendall(connection.send(events.CloseConnection(event.code, reason)))
            return False
        return True


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Door() as door:
        yield Server(door)


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


@pytest.fixture(scope="module")
def lb(server: Server) -> Iterator[Balancer]:
    with before([server.address]) as one:
        yield one


@pytest.fixture(scope="module")
def secured(server: Server, authority: Authority) -> Iterator[Balancer]:
    tls = {"certificates": [authority.issue("localhost")]}
    with before([server.address], listener={"tls": tls}) as one:
        yield one


# ---- the client ----------------------------------------------------------------------------------


def transcript(sock: socket.socket, said: bytes, piece: int, path: bytes = b"/") -> bytes:
    """Says bytes in pieces. Returns what comes behind the head of the answer 101."""
    sock.settimeout(PATIENCE_S)
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with sock:
        sock.sendall(REQUEST % path)
        got = b""
        while b"\r\n\r\n" not in got:
            part = sock.recv(1 << 16)
            assert part
            got += part
        head, _, behind = got.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ")
        parts = [behind]
        if isinstance(sock, ssl.SSLSocket):  # why: two threads cannot use it at once
            say(sock, said, piece)
        else:
            speaker = threading.Thread(target=say, args=(sock, said, piece))
            speaker.start()
        while part := sock.recv(1 << 18):
            parts.append(part)
        if not isinstance(sock, ssl.SSLSocket):
            speaker.join(PATIENCE_S)
        return b"".join(parts)


def say(sock: socket.socket, said: bytes, piece: int) -> None:
    """Sends bytes. A server that has closed need not take them."""
    with contextlib.suppress(OSError):
        for at in range(0, len(said), piece):
            sock.sendall(said[at : at + piece])


def connect(server: Server) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE_S)


SIZES = (0, 1, 125, 126, 127, 128, 65_535, 65_536, 65_537)
CODES = (*range(1000, 1004), *range(1007, 1012), 3000, 3999, 4000, 4999)
BAD_CODES = (0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535)
DAZE = "Hello-µ@ßöäüàá-UTF-8!!".encode()
PINGS = frame(PING, b"ping") * 10

CASES: dict[str, bytes] = {
    "texts of many sizes": b"".join(frame(TEXT, b"*" * size) for size in SIZES),
    "binary messages of many sizes": b"".join(frame(BINARY, b"\xfe" * n) for n in SIZES),
    "pings": frame(PING) + frame(PING, b"\0\xff\xfe") + frame(PING, b"x" * 125) + PINGS,
    "a ping too long": frame(PING, b"x" * 126),
    "pongs that nobody asked for": frame(PONG) + frame(PONG, b"x") + frame(PING, b"y"),
    **{f"reserved bits {bits}": frame(TEXT, b"a", reserved=bits) for bits in (1, 2, 3, 5)},
    **{
        f"opcode {kind}": frame(TEXT, b"a") + frame(kind, b"b") + frame(PING)
        for kind in (3, 7, 11, 15)
    },
    "a message in two fragments": fragments(TEXT, b"fragment", 4),
    "a message in fragments of a byte": fragments(TEXT, DAZE, 1),
    "pings between fragments": fragments(TEXT, b"fragments", 3, frame(PING, b"p")),
    "a ping in fragments": frame(PING, b"a", last=False) + frame(CONTINUES, b"b"),
    "a continuation of nothing": frame(CONTINUES, b"a"),
    "a message within a message": frame(TEXT, b"a", last=False) + frame(TEXT, b"b"),
    "a close between fragments": frame(TEXT, b"a", last=False) + close(),
    "text that is UTF-8": frame(TEXT, DAZE) + frame(TEXT, "\U0010ffff\0ￃ".encode()),
    "text that is not UTF-8": frame(TEXT, b"\xce\xba\xed\xa0\x80edited"),
    "text that is not UTF-8 in its second fragment": fragments(
        TEXT, b"\xce\xba\xf4\x90\x80\x80", 2
    ),
    "a close without a code": close(None),
    "a close of one byte": frame(CLOSE, b"\3"),
    "a close with the longest reason": close(1000, b"r" * 123),
    "a close with a reason too long": close(1000, b"r" * 124),
    "a close with a reason that is no text": close(1000, b"\xff\xfe"),
    "bytes behind a close": frame(TEXT, b"a") + close() + frame(TEXT, b"b") + PINGS,
    "two closes": close() + close(),
    **{f"close {code}": close(code) for code in CODES + BAD_CODES},
    "compressed messages": b"".join(
        frame(kind, packed(b"l4lb " * count), reserved=COMPRESSED)
        for kind in (TEXT, BINARY)
        for count in (0, 1, 100, 100_000)
    ),
    "a compressed message in fragments": (
        frame(TEXT, packed(DAZE * 50)[:9], last=False, reserved=COMPRESSED)
        + frame(PING, b"between")
        + frame(CONTINUES, packed(DAZE * 50)[9:])
    ),
    "a continuation that says it is compressed": (
        frame(TEXT, b"a", last=False) + frame(CONTINUES, b"b", reserved=COMPRESSED)
    ),
    "a compressed message that is none": frame(TEXT, b"\xff" * 9, reserved=COMPRESSED),
    "a frame without a mask": b"\x81\x01a",
    "a length that is not the shortest": b"\x81\xfe\0\1" + KEY + b"`",
    "a length of 64 bits with the highest set": b"\x82\xff" + b"\xff" * 8 + KEY + b"x",
    "no WebSocket at all": b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
}


def ended(said: bytes) -> bytes:
    """Adds an end, for the cases that the server goes on after."""
    return said + close(1000, b"end")


@pytest.mark.parametrize("case", CASES)
def test_a_client_gets_what_it_would_get_from_the_server(
    lb: Balancer, server: Server, case: str
) -> None:
    said = ended(CASES[case])
    for piece in (1 << 20, 1 if len(said) < 3000 else 1000):
        wanted = transcript(connect(server), said, piece)
        assert wanted
        assert transcript(lb.connect(), said, piece) == wanted


@pytest.mark.parametrize("case", ["texts of many sizes", "compressed messages", "close 1000"])
def test_a_client_with_tls_gets_it_too(
    secured: Balancer, server: Server, authority: Authority, case: str
) -> None:
    said = ended(CASES[case])
    wanted = transcript(connect(server), said, 1000)
    sock = secure(secured.connect(), authority.client())
    assert transcript(sock, said, 1000) == wanted


@pytest.mark.parametrize("size", [16 * MIB, 64 << 10, 997], ids=["one frame", "64 KiB", "997 B"])
def test_a_very_long_message_comes_back(lb: Balancer, server: Server, size: int) -> None:
    data = random.Random(size).randbytes(16 * MIB if size > 1000 else MIB)
    said = ended(fragments(BINARY, data, size))
    wanted = transcript(connect(server), said, 100_000)
    assert len(wanted) > len(data)
    assert transcript(lb.connect(), said, 100_000) == wanted


def test_both_ends_that_close_at_once_hear_of_each_other(lb: Balancer, server: Server) -> None:
    for said in (close(), frame(TEXT, b"late") + close(), close() + frame(TEXT, b"later")):
        wanted = transcript(connect(server), said, 1 << 20, b"/bye")
        for _ in range(10):
            assert transcript(lb.connect(), said, 1 << 20, b"/bye") == wanted
    until(lambda: lb.total("active") == 0, "no place is held")


def test_a_thousand_messages_come_back_in_order(lb: Balancer, server: Server) -> None:
    said = ended(b"".join(frame(TEXT, b"%d" % n) for n in range(1000)))
    seen = server.seen
    assert transcript(lb.connect(), said, 777) == transcript(connect(server), said, 777)
    assert server.seen == seen + 2000
