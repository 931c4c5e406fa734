"""Programs that people run, on both sides of l4lb: nginx, gunicorn, uvicorn, Node; curl, wrk."""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

from ..harness import PORTS, Balancer, until
from ..harness.http import before, client, url
from ..harness.servers import curl, need, nginx, running, uvicorn, wrk_sees_no_error

MIB = 1 << 20
WSGI = """
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body))),
                              ("X-Path", environ["PATH_INFO"]),
                              ("X-For", environ.get("HTTP_X_FORWARDED_FOR", ""))])
    return [body]
"""
ASGI = """
import asyncio

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": message.get("bytes"),
                        "text": message.get("text")})
    elif scope["path"] == "/events":
        await send({"type": "http.response.start", "status": 200,
                    "headers": [(b"content-type", b"text/event-stream")]})
        for n in range(5):
            await send({"type": "http.response.body", "body": b"data: %d\\n\\n" % n,
                        "more_body": True})
            await asyncio.sleep(0.05)
        await send({"type": "http.response.body", "body": b""})
    else:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for at in range(0, len(body), 10_000):
            await send({"type": "http.response.body", "body": body[at:at + 10_000],
                        "more_body": True})
        await send({"type": "http.response.body", "body": b""})
"""
NODE = """
const http = require('http');
const server = http.createServer((asked, answer) => {
  const parts = [];
  asked.on('data', (part) => parts.push(part));
  asked.on('end', () => {
    answer.setHeader('X-Path', asked.url);
    answer.end(Buffer.concat(parts));
  });
});
server.keepAliveTimeout = Number(process.argv[3]);
server.listen(Number(process.argv[2]), '127.0.0.1');
"""


@contextlib.contextmanager
def behind(port: int) -> Iterator[Balancer]:
    with before([f"127.0.0.1:{port}"], workers=2, http={"max_body": "0B"}) as lb:
        yield lb


@pytest.fixture
def node(tmp_path: Path) -> Iterator[int]:
    """A Node server that closes connections at rest after 150 ms (its default is 5 s)."""
    (tmp_path / "server.js").write_text(NODE)
    with PORTS.taken() as port:
        command = [need("node"), str(tmp_path / "server.js"), str(port), "150"]
        with running(command, port, tmp_path / "node.log"):
            yield port


def test_curl_gets_files_of_nginx_unchanged(tmp_path: Path) -> None:
    with nginx(tmp_path) as port, behind(port) as lb:
        data = random.Random(1).randbytes(40 * MIB)
        (tmp_path / "www" / "large").write_bytes(data)
        (tmp_path / "www" / "empty").write_bytes(b"")
        for version in ("--http1.1", "--http1.0"):
            got = curl(version, "--fail", url(lb, "/large"))
            assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()
        assert curl("-r", "1000-1999", url(lb, "/large")) == data[1000:2000]
        assert curl("--fail", url(lb, "/empty")) == b""
        head = curl("-I", url(lb, "/large"))
        assert b"content-length: %d" % len(data) in head.lower()
        codes = curl("-o", "/dev/null", "-w", "%{http_code}\n", url(lb, "/missing"))
        assert codes == b"404\n"


def test_curl_reuses_its_connection_for_many_files(tmp_path: Path) -> None:
    with nginx(tmp_path) as port, behind(port) as lb:
        for n in range(10):
            (tmp_path / "www" / f"f{n}").write_bytes(b"%d" % n * 5000)
        got = curl("-w", "%{num_connects} ", url(lb, "/f[0-9]"))
        assert got == b"".join(b"%d" % n * 5000 + (b"1 " if n == 0 else b"0 ") for n in range(10))


@pytest.mark.parametrize("field", ["Connection: keep-alive", "Connection: close"])
def test_wrk_sees_no_error_in_front_of_nginx(tmp_path: Path, field: str) -> None:
    with nginx(tmp_path) as port, behind(port) as lb:
        (tmp_path / "www" / "small").write_bytes(b"x" * 1000)
        wrk_sees_no_error("-t2", "-c64", "-d2s", "-H", field, url(lb, "/small"))
        until(lambda: lb.total("active") == 0, "no place is held")


def test_a_gunicorn_application_gets_bodies_and_the_clients_address(tmp_path: Path) -> None:
    need("gunicorn", Path(sys.executable).parent)
    (tmp_path / "app.py").write_text(WSGI)
    with PORTS.taken() as port:
        command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gthread",
                   "--threads", "4", "--keep-alive", "1", "app:app"]  # fmt: skip
        with running(command, port, tmp_path / "log"), behind(port) as lb, client(lb) as peer:
            for n in range(10):
                got = peer.ask(f"/{n}", "POST", body=b"b" * n * 1000)
                assert (got.body, got.get("x-path")) == (b"b" * n * 1000, f"/{n}")
                assert got.get("x-for") == "127.0.0.1"
                assert got.get("server") is None
            data = tmp_path / "data"
            data.write_bytes(random.Random(2).randbytes(3 * MIB))
            sent = ["--data-binary", f"@{data}", "-H", "Expect: 100-continue"]
            assert curl(*sent, url(lb, "/up")) == data.read_bytes()
            assert curl(*sent, "-H", "Transfer-Encoding: chunked", url(lb, "/up")) == (
                data.read_bytes()
            )


@pytest.fixture
def asgi(tmp_path: Path) -> Iterator[int]:
    with uvicorn(tmp_path, ASGI) as port:
        yield port


def test_a_uvicorn_application_streams_in_both_directions(asgi: int, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(random.Random(3).randbytes(2 * MIB))
    with behind(asgi) as lb:
        sent = ["-T", str(data)]
        assert curl(*sent, url(lb, "/echo")) == data.read_bytes()
        assert curl(*sent, "-H", "Transfer-Encoding: chunked", url(lb, "/")) == data.read_bytes()
        with client(lb) as peer:
            assert peer.ask("/echo", "POST", body=b"again").body == b"again"


def test_events_arrive_when_they_are_sent_and_not_with_the_last_one(asgi: int) -> None:
    with behind(asgi) as lb, client(lb) as peer:
        pieces: list[bytes] = []
        peer.say(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
        peer.answer(sink=pieces.append)
        assert b"".join(pieces) == b"".join(b"data: %d\n\n" % n for n in range(5))
        assert len(pieces) > 1


def test_a_websocket_of_uvicorn_echoes_through_l4lb(asgi: int) -> None:
    with behind(asgi) as lb:
        peer = websocket.create_connection(url(lb, "/ws", "ws"), timeout=20)
        for size in (0, 1, 126, 70_000, 400_000):
            data = random.Random(size).randbytes(size)
            peer.send_binary(data)
            assert peer.recv() == data
        peer.send("text")
        assert peer.recv() == "text"
        peer.close()
        until(lambda: lb.total("active") == 0, "its place is free")


def test_a_node_server_that_closes_idle_connections_early_costs_no_request(node: int) -> None:
    """Requests come just when Node gives up a connection at rest."""
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def ask_now_and_then(seed: int) -> None:
        rng = random.Random(seed)
        with client(lb) as peer:
            for n in range(25):
                method = "POST" if n and rng.random() < 0.5 else "GET"
                body = b"b" * rng.randint(1, 9_000) if method == "POST" else b""
                got = peer.ask(f"/{seed}/{n}", method, body=body)
                assert got.status != 200 or (got.body, got.get("x-path")) == (body, f"/{seed}/{n}")
                with lock:
                    seen[got.status] += 1
                time.sleep(rng.uniform(0.13, 0.17))

    with behind(node) as lb:
        threads = [threading.Thread(target=ask_now_and_then, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=60)
    assert seen == {200: 16 * 25}
