"""A forward proxy for tests: its configuration, and clients that ask it for other hosts."""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import Any

from ..harness import PATIENCE_S, PORTS, Balancer, until
from ..harness.http import Answer, Fields, Peer

OUTSIDE = "127.0.0.0/8"  # why: tests have no other addresses; each proxy here may go there
ALL = {"name": "all", "action": "allow"}


def proxy(
    *,
    socks: bool = False,
    inside: bool = True,
    workers: int = 1,
    rules: list[dict[str, Any]] | None = None,
    lists: dict[str, Any] | None = None,
    http: dict[str, Any] | None = None,
    limits: dict[str, Any] | None = None,
    cache: dict[str, Any] | None = None,
    log: Path | None = None,
    **forward: Any,
) -> Balancer:
    """Returns a balancer whose listener `web` is a forward proxy. inside: its clients may reach
    OUTSIDE. rules: without any, all may go anywhere. forward: other keys of [forward.office]."""
    listener: dict[str, Any] = {
        "bind": [f"127.0.0.1:{PORTS.take()}"],
        "protocol": "socks5" if socks else "http",
        "forward": "office",
    }
    if http:
        listener["http"] = http
    if limits:
        listener["limits"] = limits
    given = {"ports": ["1-65535"], "connect_ports": ["1-65535"], "rules": rules or [ALL]}
    if inside:
        given["allow_private"] = [OUTSIDE]
    process: dict[str, Any] = {"workers": workers}
    if log:
        process["log"] = {"access": str(log), "access_format": "json"}
    config: dict[str, Any] = {
        "process": process,
        "listeners": {"web": listener},
        "forward": {"office": {**given, **forward}},
    }
    if lists:
        config["lists"] = lists
    if cache:
        config["cache"] = cache
    return Balancer(config)


def basic(user: str, password: str) -> tuple[str, str]:
    """Returns the field of a client that logs in."""
    told = base64.b64encode(f"{user}:{password}".encode()).decode()
    return "Proxy-Authorization", f"Basic {told}"


def ask(lb: Balancer, url: str, method: str = "GET", fields: Fields = ()) -> Answer:
    """Asks for a URL, in the absolute form."""
    host = url.split("/")[2]
    with Peer(lb.connect(PATIENCE_S)) as peer:
        said = "".join(f"{name}: {value}\r\n" for name, value in fields)
        peer.say(f"{method} {url} HTTP/1.1\r\nHost: {host}\r\n{said}\r\n".encode())
        return peer.answer(method)


class Tunnel:
    """A connection of a client through the proxy, by CONNECT. status: of the proxy's answer."""

    def __init__(
        self,
        lb: Balancer,
        target: str,
        fields: Fields = (),
        *,
        early: bytes = b"",
        source: str = "",
    ) -> None:
        self.sock = lb.connect(PATIENCE_S, source=source)
        self.ask(target, fields, early=early)

    def ask(self, target: str, fields: Fields = (), *, early: bytes = b"") -> None:
        """Asks for a target; inside an open tunnel, the proxy at its other end."""
        said = "".join(f"{name}: {value}\r\n" for name, value in fields)
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{said}\r\n"
        self.sock.sendall(head.encode() + early)
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            data = self.sock.recv(1)
            assert data, self.head
            self.head += data
        self.status = int(self.head.split()[1])

    def __enter__(self) -> Tunnel:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def read(self, size: int) -> bytes:
        return exactly(self.sock, size)

    def echoes(self, data: bytes) -> bool:
        self.sock.sendall(data)
        return self.read(len(data)) == data


def exactly(sock: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        data = sock.recv(size - len(got))
        assert data, f"it ended after {len(got)} bytes"
        got += data
    return got


def lines(log: Path, count: int = 1) -> list[dict[str, Any]]:
    """Returns the lines of a log, once there are so many."""

    def found() -> list[dict[str, Any]]:
        text = log.read_text() if log.exists() else ""
        whole = [json.loads(one) for one in text.splitlines(keepends=True) if one.endswith("\n")]
        return whole if len(whole) >= count else []

    return until(found, f"the log has {count} lines")
