"""HTTP/1 for tests: the two ends of a connection that say any bytes, and read exactly one message
with an independent parser (h11)."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h11

from .balancer import Balancer
from .configuration import one_pool
from .deadline import PATIENCE_S
from .ports import PORTS

Fields = Sequence[tuple[str, str]]
HEAD_MAX = 256 << 10


class CutOffError(AssertionError):
    """The peer ended inside a message, or before it. .got: the bytes of its body."""

    def __init__(self, why: str, got: bytes) -> None:
        super().__init__(f"{why}, after {len(got)} bytes of the body")
        self.got = got


@dataclass(frozen=True)
class Message:
    """A request or an answer. raw_head: its head as it came, with the blank line."""

    version: str
    fields: Fields
    body: bytes
    raw_head: bytes

    def all(self, name: str) -> list[str]:
        """The values of all fields of that name, in order."""
        return [value for key, value in self.fields if key == name.lower()]

    def get(self, name: str) -> str | None:
        """The value of the field, which may be there once only."""
        values = self.all(name)
        assert len(values) < 2, (name, values)
        return values[0] if values else None


@dataclass(frozen=True)
class Answer(Message):
    """An answer, with the statuses that came before it (1xx)."""

    status: int
    reason: str
    informed: tuple[int, ...]

    @property
    def closes(self) -> bool:
        """Says the answer that the connection ends with it?"""
        return self.get("connection") == "close"


@dataclass(frozen=True)
class Request(Message):
    """A request. connection, number: which connection of its origin, and which request on it."""

    method: str
    target: str
    connection: int = 0
    number: int = 0


def _fields(event: Any) -> Fields:
    return [(key.decode("latin-1"), value.decode("latin-1")) for key, value in event.headers]


class Peer:
    """One end of a connection of HTTP."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""  # bytes behind the last message
        self.eof = False

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def say(self, *parts: bytes) -> None:
        """Sends bytes as they are."""
        for part in parts:
            self.sock.sendall(part)

    def say_slowly(self, said: bytes, step: int = 1) -> None:
        """Sends bytes in pieces of `step`, each in a segment of its own."""
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.say(*(said[at : at + step] for at in range(0, len(said), step)))

    def ended(self) -> str:
        """Reads to the end. Returns "fin" or "reset". No byte may come before it."""
        assert self._rest == b"", self._rest[:200]
        if self.eof:
            return "fin"
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            return "reset"
        assert data == b"", data[:200]
        return "fin"

    def is_quiet(self) -> bool:
        """Is nothing to be read now, not even an end?"""
        if self._rest or self.eof:
            return False
        patience = self.sock.gettimeout()
        self.sock.setblocking(False)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
            return False
        except BlockingIOError:
            return True
        finally:
            self.sock.settimeout(patience)

    def _receive(self) -> bytes:
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionError as error:
            raise CutOffError("reset", b"") from error
        self.eof = not data
        return data

    def _read(
        self, parser: h11.Connection, sink: Callable[[bytes], None] | None
    ) -> tuple[Any, list[int], bytes, bytes]:
        """Reads one message. Returns its event, the statuses before it, its body and its head."""
        informed: list[int] = []
        body, raw, head = bytearray(), bytearray(self._rest), None
        if self._rest:
            parser.receive_data(self._rest)
        self._rest = b""
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                raise CutOffError(f"{error}", bytes(body)) from error
            if event is h11.NEED_DATA:
                if self.eof:
                    raise CutOffError("ended", bytes(body))
                try:
                    data = self._receive()
                except CutOffError as error:
                    raise CutOffError("reset", bytes(body)) from error
                if head is None:
                    raw += data
                parser.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                informed.append(event.status_code)
                raw = raw[raw.index(b"\r\n\r\n") + 4 :]
            elif isinstance(event, (h11.Request, h11.Response)):
                head = event
                raw = raw[: raw.index(b"\r\n\r\n") + 4]
            elif isinstance(event, h11.Data):
                body += event.data if sink is None else b""
                if sink is not None:
                    sink(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                assert not event.headers, f"trailers: {event.headers}"
                self._rest = parser.trailing_data[0]
                return head, informed, bytes(body), bytes(raw)
            else:
                raise CutOffError("ended before a message", bytes(body))

    def request(
        self,
        *,
        sink: Callable[[bytes], None] | None = None,
        connection: int = 0,
        number: int = 0,
    ) -> Request:
        """Reads exactly one request. sink: gets its body, piece by piece."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_MAX)
        event, _, body, raw = self._read(parser, sink)
        return Request(
            event.http_version.decode(),
            _fields(event),
            body,
            raw,
            event.method.decode(),
            event.target.decode("latin-1"),
            connection,
            number,
        )

    def answer(self, method: str = "GET", *, sink: Callable[[bytes], None] | None = None) -> Answer:
        """Reads exactly one answer to a request with this method. sink: gets its body, piece by
        piece."""
        parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_MAX)
        parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        parser.send(h11.EndOfMessage())
        event, informed, body, raw = self._read(parser, sink)
        return Answer(
            event.http_version.decode(),
            _fields(event),
            body,
            raw,
            event.status_code,
            event.reason.decode("latin-1"),
            tuple(informed),
        )

    def ask(
        self, target: str = "/", method: str = "GET", *, body: bytes = b"", fields: Fields = ()
    ) -> Answer:
        """Sends one request and reads its answer."""
        self.say(request(target, method, body=body, fields=fields))
        return self.answer(method)

    def bytes_until(self, mark: bytes) -> bytes:
        """Reads raw bytes up to and including `mark`."""
        while mark not in self._rest:
            data = self._receive()
            assert data, f"the peer ended after {self._rest[:500]!r}"
            self._rest += data
        at = self._rest.index(mark) + len(mark)
        found, self._rest = self._rest[:at], self._rest[at:]
        return found

    def put_back(self, said: bytes) -> None:
        """Makes these bytes the next ones that are read."""
        self._rest = said + self._rest

    def rest(self) -> bytes:
        """Returns the bytes that have come behind the last message."""
        found, self._rest = self._rest, b""
        return found

    def bytes_to_end(self) -> bytes:
        """Reads raw bytes to the peer's end. A reset counts as one."""
        found, self._rest = self._rest, b""
        try:
            while data := self.sock.recv(1 << 18):
                found += data
        except ConnectionError:
            pass
        self.eof = True
        return found


def request(
    target: str = "/",
    method: str = "GET",
    *,
    body: bytes = b"",
    fields: Fields = (),
    version: str = "1.1",
    host: str | None = "example.test",
) -> bytes:
    """Returns the bytes of a request. A body has a Content-Length if no field frames it."""
    lines = [f"{method} {target} HTTP/{version}"]
    lines += [f"Host: {host}"] if host is not None else []
    lines += [f"{key}: {value}" for key, value in fields]
    framed = {key.lower() for key, _ in fields} & {"content-length", "transfer-encoding"}
    if (body or method in ("POST", "PUT")) and not framed:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*parts: bytes, trailers: bytes = b"") -> bytes:
    """Returns a body in chunks, one for each part."""
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part)
    return chunks + b"0\r\n" + trailers + b"\r\n"


def answer(
    body: bytes = b"", status: int = 200, *, fields: Fields = (), length: int | None = None
) -> bytes:
    """Returns the bytes of an answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}"]
    lines += [f"{key}: {value}" for key, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def before(
    backends: Sequence[str | Mapping[str, Any]],
    *,
    workers: int = 1,
    http: Mapping[str, Any] | None = None,
    listener: Mapping[str, Any] | None = None,
    pool_http: Mapping[str, Any] | None = None,
    process: Mapping[str, Any] | None = None,
    limits: Mapping[str, Any] | None = None,
    cache: Mapping[str, Any] | None = None,
    **pool: Any,
) -> Balancer:
    """Returns a balancer whose listener `web` speaks HTTP, in front of pool `web`. http, pool_http:
    the tables [listeners.web.http] and [pools.web.http]; listener, pool: other keys of the two.
    cache: the table [cache.pages], which the listener then has."""
    if pool_http:
        pool["http"] = dict(pool_http)
    config = one_pool(
        f"127.0.0.1:{PORTS.take()}",
        backends,
        process={"workers": workers, **(process or {})},
        limits=limits,
        **pool,
    )
    config["listeners"]["web"] |= {"protocol": "http", **(listener or {})}
    if cache is not None:
        config["cache"] = {"pages": {"memory": "16MiB", **cache}}
        http = {"cache": "pages", **(http or {})}
    if http:
        config["listeners"]["web"]["http"] = dict(http)
    return Balancer(config)


def client(lb: Balancer, timeout_s: float = PATIENCE_S) -> Peer:
    """Returns a client's connection to listener `web`."""
    return Peer(lb.connect(timeout_s))


def url(lb: Balancer, path: str, scheme: str = "http") -> str:
    """Returns a URL of its listener."""
    host, port = lb.address
    return f"{scheme}://{host}:{port}{path}"


def outcome(peer: Peer, method: str = "GET") -> int | str:
    """Returns the status of the next answer, or how the connection ended without one."""
    try:
        return peer.answer(method).status
    except CutOffError:
        return "cut"
