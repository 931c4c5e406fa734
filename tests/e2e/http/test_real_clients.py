"""Programs that people use in front of l4lb, and answers that come little by little: Chromium,
curl, HAProxy and nginx as clients; events and gRPC-web."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..harness import PORTS, Balancer, until
from ..harness.browser import browser
from ..harness.http import before, client, url
from ..harness.http2 import Http2
from ..harness.http2 import client as client_of_http2
from ..harness.secure import Authority, secure
from ..harness.servers import curl, need, nginx, running, uvicorn, wrk_sees_no_error

RESOURCES = 50
APP = """
import asyncio

turns = asyncio.Semaphore(0)
PAGE = b'<!doctype html><title>l4lb</title>' + b''.join(
    b'<script src="/script/%d.js"></script>' % n for n in range(50))
GRPC = [b'\\0\\0\\0\\0\\5hello', b'\\0\\0\\0\\0\\0', b'\\x80\\0\\0\\0\\x0fgrpc-status:0\\r\\n']

async def begin(send, kind, status=200):
    await send({"type": "http.response.start", "status": status,
                "headers": [(b"content-type", kind)]})

async def part(send, data, more=True):
    await send({"type": "http.response.body", "body": data, "more_body": more})

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text")})
    elif scope["path"] == "/turn":
        turns.release()
        await begin(send, b"text/plain")
        await part(send, b"", False)
    elif scope["path"] == "/events":
        await begin(send, b"text/event-stream")
        for n in range(10):
            await part(send, b"data: %d\\n\\n" % n)
            await turns.acquire()
        await part(send, b"", False)
    elif scope["path"] == "/grpc":
        await begin(send, b"application/grpc-web+proto")
        for data in GRPC:
            await part(send, data)
        await part(send, b"", False)
    elif scope["path"] == "/page":
        await begin(send, b"text/html")
        await part(send, PAGE, False)
    elif scope["path"].startswith("/script/"):
        await begin(send, b"text/javascript")
        await part(send, b"window.sum = (window.sum || 0) + %s;" % scope["path"][8:-3].encode(),
                   False)
    else:
        await begin(send, b"application/octet-stream")
        more = True
        while more:
            message = await receive()
            more = message.get("more_body", False)
            await part(send, message.get("body", b""))
        await part(send, b"", False)
"""
GRPC = b"\0\0\0\0\5hello" + b"\0\0\0\0\0" + b"\x80\0\0\0\x0fgrpc-status:0\r\n"


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    with Authority() as one:
        yield one


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A uvicorn application. Its events come one by one, each after a request of /turn."""
    with uvicorn(tmp_path_factory.mktemp("app"), APP) as port:
        yield port


@pytest.fixture(scope="module")
def lb(app: int) -> Iterator[Balancer]:
    with before([f"127.0.0.1:{app}"], http={"max_body": "0B"}, idle_timeout="2s") as one:
        yield one


@pytest.fixture(scope="module")
def secured(app: int, authority: Authority) -> Iterator[Balancer]:
    tls = {"certificates": [authority.issue("127.0.0.1")]}
    with before([f"127.0.0.1:{app}"], http={"max_body": "0B"}, listener={"tls": tls}) as one:
        yield one


def take_turn(lb: Balancer) -> None:
    with client(lb) as peer:
        assert peer.ask("/turn").status == 200


# ---- answers that come little by little ----------------------------------------------------------


def test_events_arrive_one_by_one_for_longer_than_the_idle_timeout(lb: Balancer) -> None:
    """Each event is sent only when the one before has arrived."""
    with client(lb) as peer:
        begun = time.monotonic()
        peer.say(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
        for n in range(10):
            peer.bytes_until(b"data: %d\n\n" % n)
            time.sleep(0.25)
            take_turn(lb)
        peer.bytes_until(b"\r\n0\r\n\r\n")
        assert time.monotonic() - begun > 2


def test_events_arrive_one_by_one_by_http_2(secured: Balancer, authority: Authority) -> None:
    sock = secure(secured.connect(), authority.client(alpn=["h2"]), "127.0.0.1")
    with (
        Http2(sock) as one,
        Http2(secure(secured.connect(), authority.client(alpn=["h2"]), "127.0.0.1")) as other,
    ):
        stream = one.begin("/events", host="127.0.0.1", scheme="https")
        got = one.answers[stream]
        for n in range(10):
            while b"data: %d\n\n" % n not in got.body:
                one.turn()
            assert other.ask("/turn", host="127.0.0.1").status == 200
        assert one.answer(stream).ended


def test_answers_of_grpc_web_keep_their_trailers(lb: Balancer) -> None:
    """They are frames of the body there."""
    with client(lb) as peer:
        got = peer.ask("/grpc", "POST", body=b"\0\0\0\0\0")
        assert (got.get("content-type"), got.body) == ("application/grpc-web+proto", GRPC)
    with client_of_http2(lb) as one:
        answer = one.ask("/grpc", "POST", body=b"\0\0\0\0\0")
        assert (answer.get("content-type"), bytes(answer.body)) == (
            "application/grpc-web+proto",
            GRPC,
        )


# ---- curl ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["--http1.1", "--http2-prior-knowledge", "--http2"])
@pytest.mark.parametrize("told", [True, False], ids=["length", "no length"])
def test_curl_uploads_and_gets_its_bytes_back(
    lb: Balancer, secured: Balancer, authority: Authority, tmp_path: Path, version: str, told: bool
) -> None:
    data = random.Random(7).randbytes(3 << 20)
    (tmp_path / "data").write_bytes(data)
    by_tls = version == "--http2"
    target = url(secured, "/echo", "https") if by_tls else url(lb, "/echo")
    sent = ["-T", str(tmp_path / "data") if told else "-", version, "--cacert", authority.path]
    with (tmp_path / "data").open("rb") as source:
        got = curl("--fail", *sent, target, stdin=source)
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


# ---- other proxies -------------------------------------------------------------------------------


@contextlib.contextmanager
def haproxy(folder: Path, server: str) -> Iterator[int]:
    """Runs HAProxy, which passes requests on to one server."""
    with PORTS.taken() as port:
        (folder / "haproxy.cfg").write_text(
            f"""
            defaults
                mode http
                timeout connect 10s
                timeout client 30s
                timeout server 30s
                http-reuse always
            frontend in
                bind 127.0.0.1:{port}
                default_backend out
            backend out
                server one {server}
            """.replace("\n            ", "\n")
        )
        command = [need("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]
        with running(command, port, folder / "haproxy.log"):
            yield port


@contextlib.contextmanager
def nginx_proxy(folder: Path, port_of_server: int) -> Iterator[int]:
    """Runs nginx, which passes requests on over connections that it keeps."""
    folder.mkdir()
    with PORTS.taken() as port:
        (folder / "nginx.conf").write_text(
            f"""
            user root; worker_processes 1; pid {folder}/pid; daemon off; error_log stderr;
            events {{ worker_connections 1024; }}
            http {{
                access_log off;
                client_body_temp_path {folder}/a; proxy_temp_path {folder}/b;
                fastcgi_temp_path {folder}/c; uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
                upstream out {{ server 127.0.0.1:{port_of_server}; keepalive 16; }}
                server {{
                    listen 127.0.0.1:{port};
                    location / {{
                        proxy_pass http://out; proxy_http_version 1.1;
                        proxy_set_header Connection "";
                    }}
                }}
            }}
            """
        )
        command = [
            need("nginx"),
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
            "-e",
            "stderr",
        ]
        with running(command, port, folder / "log"):
            yield port


def load_sees_no_error(port: int, path: str) -> None:
    """Asks for a second."""
    options = ("-t1", "-c16", "-d1s", "--timeout", "20s")
    wrk_sees_no_error(*options, f"http://127.0.0.1:{port}{path}")


@pytest.mark.parametrize("version", ["", "proto h2"], ids=["http/1.1", "http/2"])
def test_haproxy_in_front_sees_no_error(tmp_path: Path, version: str) -> None:
    with nginx(tmp_path) as port, before([f"127.0.0.1:{port}"], workers=2) as lb:
        (tmp_path / "www" / "file").write_bytes(b"x" * 20_000)
        with haproxy(tmp_path, f"127.0.0.1:{lb.address[1]} {version}") as front:
            load_sees_no_error(front, "/file")


def test_haproxy_behind_and_nginx_in_front_see_no_error(tmp_path: Path) -> None:
    with (
        nginx(tmp_path) as port,
        haproxy(tmp_path, f"127.0.0.1:{port}") as behind,
        before([f"127.0.0.1:{behind}"], workers=2) as lb,
        nginx_proxy(tmp_path / "front", lb.address[1]) as front,
    ):
        (tmp_path / "www" / "file").write_bytes(b"x" * 20_000)
        load_sees_no_error(front, "/file")
        until(lambda: lb.total("active") == 0, "no place is held")


# ---- a browser -----------------------------------------------------------------------------------

CHAT = """
const [address, done] = arguments;
const socket = new WebSocket(address), got = [];
socket.onopen = () => { for (let n = 0; n < 20; n++) socket.send('message ' + n); };
socket.onmessage = (event) => { got.push(event.data); if (got.length == 20) socket.close(1000); };
socket.onclose = (event) => done({got, code: event.code, clean: event.wasClean});
"""
SEEN = """
return performance.getEntriesByType('resource').map((one) => one.nextHopProtocol);
"""


def test_a_page_with_many_resources_and_a_websocket_work_in_chromium(secured: Balancer) -> None:
    with browser(flags=["--ignore-certificate-errors"]) as page:
        page.get(url(secured, "/page", "https"))
        assert page.title == "l4lb"
        assert page.execute_script("return window.sum") == sum(range(RESOURCES))
        protocols: list[Any] = page.execute_script(SEEN)
        assert protocols.count("h2") >= RESOURCES
        told = page.execute_async_script(CHAT, url(secured, "/chat", "wss"))
        assert told["got"] == [f"message {n}" for n in range(20)]
        assert (told["code"], told["clean"]) == (1000, True)
    until(lambda: secured.total("active") == 0, "no place is held")
