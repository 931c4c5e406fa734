"""HTTP servers in the test itself, and a client that shows every byte of a head.

with Web() as web, Balancer.serving(web) as lb:
    answer = ask(lb, "/a?b", {"X-Y": "z"})
    assert answer.status == 200
    assert web.asked[-1].path == "/a?b"
"""

from __future__ import annotations

import http.client
import http.server
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from .balancer import Balancer
from .deadline import PATIENCE_S


@dataclass(frozen=True)
class Asked:
    """One request as a server got it. fields: names as they came, in their order."""

    method: str
    path: str
    fields: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str | None:
        """Returns the value of a field; None: it is not there. Fails if it is there twice."""
        found = [value for key, value in self.fields if key.lower() == name.lower()]
        assert len(found) < 2, f"{name} came {len(found)} times"
        return found[0] if found else None


@dataclass(frozen=True)
class Answer:
    """One answer. fields: names in lower case."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


Reply = Callable[[Asked], Answer]


def _hello(asked: Asked) -> Answer:
    return Answer(200, {"Content-Type": "text/plain"}, asked.path.encode())


class Web:
    """A server with keep-alive. reply: makes its answers; the default repeats the path."""

    def __init__(self, reply: Reply = _hello) -> None:
        self.asked: list[Asked] = []
        self.reply = reply
        self.connections = 0
        web = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = PATIENCE_S

            def setup(self) -> None:
                web.connections += 1
                super().setup()

            def version_string(self) -> str:
                return "secret/1.0"

            def handle_one(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, self.path, list(self.headers.items()), body)
                web.asked.append(asked)
                answer = web.reply(asked)
                self.send_response(answer.status)
                for name, value in answer.fields.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(answer.body)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one  # noqa: N815

            def log_message(self, *args: Any) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """HOST:PORT"""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def before(
    *backends: str | Mapping[str, Any],
    http: Mapping[str, Any] | None = None,
    pool_http: Mapping[str, Any] | None = None,
    listener: Mapping[str, Any] | None = None,
    workers: int = 1,
    **more: Any,
) -> Balancer:
    """Returns a balancer with a listener of HTTP. http, pool_http: the tables `http` of the
    listener and of the pool. listener: other keys of the listener."""
    lb = Balancer.before(list(backends), workers=workers, **more)
    assert lb.config is not None
    lb.config["listeners"]["web"] |= {"protocol": "http", **(listener or {})}
    if http:
        lb.config["listeners"]["web"]["http"] = dict(http)
    if pool_http:
        lb.config["pools"]["web"]["http"] = dict(pool_http)
    return lb


def ask(
    lb: Balancer,
    path: str = "/",
    fields: Mapping[str, str] | None = None,
    *,
    method: str = "GET",
    body: bytes | None = None,
) -> Answer:
    """Returns the answer to one request over a connection of its own."""
    connection = http.client.HTTPConnection(*lb.address, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, dict(fields or {}))
        found = connection.getresponse()
        names = {name.lower(): value for name, value in found.getheaders()}
        return Answer(found.status, names, found.read())
    finally:
        connection.close()


def exchange(client: socket.socket, head: str) -> Answer:
    """Sends a head over a connection and returns the answer, which tells its length. The connection
    can be used again."""
    client.sendall(head.replace("\n", "\r\n").encode())
    return read_answer(client)


def read_answer(client: socket.socket) -> Answer:
    """Reads one answer that tells its length."""
    stream = client.makefile("rb", buffering=0)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = stream.read(1)
        assert byte, f"the connection ended after {head!r}"
        head += byte
    first, *lines = head.decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in lines if line)
    body, length = b"", int(fields.get("content-length", 0))
    while len(body) < length:
        more = stream.read(length - len(body))
        assert more, f"the connection ended in the body after {body!r}"
        body += more
    return Answer(int(first.split(" ")[1]), fields, body)
