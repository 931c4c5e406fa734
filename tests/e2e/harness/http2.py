"""A client of HTTP/2: requests that share one connection, and frames as hostile clients send
them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings

from .balancer import Balancer
from .deadline import PATIENCE_S

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 2, 3, 4, 6, 7, 8, 9,
)  # fmt: skip
END_STREAM, END_HEADERS = 1, 4
Fields = Sequence[tuple[str, str]]


@dataclass
class Answer:
    """What a stream has got."""

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    before: list[int] = field(default_factory=list)
    """Statuses of the kind 1xx that came first."""
    ended: bool = False
    reset: int | None = None
    """The error code of the RST_STREAM that ended it."""
    trailers: bool = False

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key == name), None)


class GoneError(AssertionError):
    """The connection ended before what was awaited had come."""


class Http2:
    """with Http2(sock) as client: client.ask("/")"""

    def __init__(self, sock: socket.socket, *, window: int = 1 << 20, reads: bool = True) -> None:
        self.sock = sock
        self.sock.settimeout(PATIENCE_S)
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(
                client_side=True,
                header_encoding="latin-1",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                h2.settings.SettingCodes.ENABLE_PUSH: 0,
                h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window,
            },
        )
        self.reads = reads  # whether windows are opened as data comes
        self.answers: dict[int, Answer] = {}
        self.goaway: list[tuple[int, int]] = []  # (error code, last stream)
        self.mute = False  # it only reads
        self._unread = b""
        self.h2.initiate_connection()
        if reads:
            self.h2.increment_flow_control_window(1 << 24)
        self.flush()

    def __enter__(self) -> Http2:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def flush(self) -> None:
        said = self.h2.data_to_send()
        if not self.mute:
            self.sock.sendall(said)

    # ---- requests

    def begin(
        self,
        path: str = "/",
        method: str = "GET",
        fields: Fields = (),
        *,
        host: str = "h",
        ends: bool = True,
        scheme: str = "http",
    ) -> int:
        """Sends a request's header list. Returns its stream."""
        pseudo = [(":method", method), (":scheme", scheme), (":path", path), (":authority", host)]
        return self.begin_raw([*pseudo, *fields], ends=ends)

    def begin_raw(self, fields: Iterable[tuple[str, str]], *, ends: bool = True) -> int:
        stream = self.h2.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.h2.send_headers(stream, list(fields), end_stream=ends)
        self.flush()
        return stream

    def send(self, stream: int, body: bytes, *, ends: bool = True) -> None:
        """Sends a body as far as the windows allow, and the rest as they open."""
        view = memoryview(body)
        while view:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                self.turn()
                continue
            self.h2.send_data(stream, bytes(view[:room]))
            view = view[room:]
            self.flush()
        if ends:
            self.h2.end_stream(stream)
            self.flush()

    def answer(self, stream: int) -> Answer:
        """Waits until the stream has ended."""
        got = self.answers[stream]
        while not got.ended and got.reset is None:
            self.turn()
        return got

    def ask(
        self,
        path: str = "/",
        method: str = "GET",
        fields: Fields = (),
        body: bytes | None = None,
        *,
        host: str = "h",
    ) -> Answer:
        stream = self.begin(path, method, fields, host=host, ends=body is None)
        if body is not None:
            self.send(stream, body)
        return self.answer(stream)

    def turn(self) -> None:
        """Receives once."""
        try:
            got = self.sock.recv(1 << 16)
        except ConnectionError:
            got = b""
        if not got:
            raise GoneError(f"the connection ended; {self.goaway=}")
        self._unread += got
        while len(self._unread) >= 9:
            size = 9 + int.from_bytes(self._unread[:3], "big")
            if len(self._unread) < size:
                break
            self._take(self._unread[:size])
            self._unread = self._unread[size:]
        self.flush()

    def _take(self, one: bytes) -> None:
        if one[3] == GOAWAY:  # why: the library would take nothing that comes after it
            last, code = int.from_bytes(one[9:13], "big"), int.from_bytes(one[13:17], "big")
            self.goaway.append((code, last))
            return
        for event in self.h2.receive_data(one):
            self._note(event)

    def until_gone(self) -> list[tuple[int, int]]:
        """Waits for the end of the connection. Returns the GOAWAY frames that came."""
        try:
            while True:
                self.turn()
        except (GoneError, ConnectionError):
            return self.goaway

    def last_words(self) -> None:
        """Reads what came before the end of a connection that takes no more bytes."""
        self.mute = True
        with contextlib.suppress(GoneError, OSError):
            while True:
                self.turn()

    def _note(self, event: h2.events.Event) -> None:
        got = self.answers.get(getattr(event, "stream_id", None) or 0)
        if got is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            got.before.append(int(dict(event.headers or [])[":status"]))
        elif isinstance(event, h2.events.ResponseReceived):
            fields = [(str(key), str(value)) for key, value in event.headers or []]
            got.status = int(fields[0][1])
            got.fields = fields[1:]
        elif isinstance(event, h2.events.DataReceived):
            got.body += event.data or b""
            if self.reads and event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            got.trailers = True
        elif isinstance(event, h2.events.StreamEnded):
            got.ended = True
        elif isinstance(event, h2.events.StreamReset):
            got.reset = int(event.error_code or 0)


def client(lb: Balancer, *, window: int = 1 << 20, reads: bool = True) -> Http2:
    """Returns a client's connection to listener `web`, with prior knowledge."""
    return Http2(lb.connect(PATIENCE_S), window=window, reads=reads)


# ---- hostile clients -----------------------------------------------------------------------------


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    """Returns the bytes of one frame."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


GET = bytes.fromhex("828684") + b"\x41\x01h"
"""The header list of a plain GET of / from host h (RFC 7541): three static fields, :authority."""


POST = bytes.fromhex("838684") + b"\x41\x01h"
"""... and of a POST."""


def get(stream: int, more: bytes = b"") -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, GET + more)


def post(stream: int, more: bytes = b"") -> bytes:
    """A request whose body is to come."""
    return frame(HEADERS, END_HEADERS, stream, POST + more)


def streams(count: int, script: Callable[[int], bytes]) -> bytes:
    return b"".join(script(stream) for stream in range(1, 2 * count, 2))


def hostile(lb: Balancer) -> socket.socket:
    """Returns a connection on which the preface and our SETTINGS were sent."""
    sock = lb.connect(PATIENCE_S)
    sock.sendall(PREFACE + frame(SETTINGS))
    return sock


Frame = tuple[int, int, int, bytes]  # kind, flags, stream, payload


def frames(sock: socket.socket, last: Callable[[Frame], bool] = lambda _: False) -> list[Frame]:
    """Reads up to the frame that is the last one, or to the connection's end."""
    got, found = b"", list[Frame]()
    while True:
        while len(got) >= 9 and len(got) >= 9 + int.from_bytes(got[:3], "big"):
            size = int.from_bytes(got[:3], "big")
            stream = int.from_bytes(got[5:9], "big")
            found.append((got[3], got[4], stream, got[9 : 9 + size]))
            got = got[9 + size :]
            if last(found[-1]):
                return found
        try:
            part = sock.recv(1 << 16)
        except ConnectionError:
            part = b""
        if not part:
            return found
        got += part
