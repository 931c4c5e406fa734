"""The PROXY protocol, from proxies to l4lb and from l4lb to backends, with real programs on both
sides."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doors.wire import read_proxy, write_proxy
from hellos import hello

from ..harness import PORTS, Backends, Balancer, Door, one_pool, read_line, until
from ..harness.secure import Authority, secure
from ..harness.servers import need, running

CLIENT = ("203.0.113.7", 4711)
MEANT = ("198.51.100.1", 443)


def balancer(address: str, *, pool: dict[str, Any] | None = None, **listener: Any) -> Balancer:
    config = one_pool(f"127.0.0.1:{PORTS.take()}", [address], process={"workers": 2}, **pool or {})
    config["listeners"]["web"] |= listener
    return Balancer(config)


@pytest.fixture(scope="module")
def echo() -> Iterator[Backends]:
    with Backends(1) as backends:
        yield backends


@pytest.fixture(scope="module")
def required(echo: Backends) -> Iterator[Balancer]:
    with balancer(
        echo.addresses[0],
        proxy_protocol="require",
        trusted=["127.0.0.0/29"],
        handshake_timeout="2s",
    ) as lb:
        yield lb


def from_source(lb: Balancer, source: str) -> socket.socket:
    return socket.create_connection(lb.address, 20, (source, 0))


def say(client: socket.socket, said: bytes, step: int) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(said), step):
        client.sendall(said[at : at + step])


HEADERS = {
    "v1": write_proxy(1, CLIENT, MEANT),
    "v1 over IPv6": write_proxy(1, ("2001:db8::7", 1), ("2001:db8::1", 2)),
    "v1 unknown": b"PROXY UNKNOWN\r\n",
    "v2": write_proxy(2, CLIENT, MEANT),
    "v2 with TLVs": write_proxy(2, CLIENT, MEANT, [(2, b"a.example"), (0xE0, bytes(900))],
                                crc32c=True),
    "v2 over IPv6": write_proxy(2, ("2001:db8::7", 1), ("2001:db8::1", 2)),
    "v2 local": write_proxy(2),
}  # fmt: skip
TOLD = {
    "v1": "203.0.113.7:4711",
    "v2": "203.0.113.7:4711",
    "v2 with TLVs": "203.0.113.7:4711",
    "v1 over IPv6": "[2001:db8::7]:1",
    "v2 over IPv6": "[2001:db8::7]:1",
}


@pytest.mark.parametrize("kind", list(HEADERS))
@pytest.mark.parametrize("step", [1 << 20, 1])
def test_a_header_is_taken_away_and_its_address_is_the_clients(
    required: Balancer, kind: str, step: int
) -> None:
    with required.connect() as client:
        say(client, HEADERS[kind], step)
        own = "{}:{}".format(*client.getsockname())
        assert read_line(client) == "a"
        client.sendall(b"payload")
        assert client.recv(100) == b"payload"
        assert TOLD.get(kind, own) in [row["client"] for row in required.ask("sessions")]


def test_data_may_come_with_the_header(required: Balancer) -> None:
    with required.connect() as client:
        client.sendall(HEADERS["v2"] + b"x" * 100_000)
        assert read_line(client) == "a"
        got = 0
        while got < 100_000:
            got += len(client.recv(1 << 16))
        assert got == 100_000


@pytest.mark.parametrize(
    ("source", "said", "reason"),
    [
        ("127.0.0.1", b"GET / HTTP/1.1\r\n\r\n", "no_proxy_header"),
        ("127.0.0.1", b"PROXY TCP4 1.2.3.4 x 1 2\r\n", "proxy_invalid"),
        ("127.0.0.1", b"PROXY UNKNOWN " + b"x" * 200, "proxy_invalid"),
        ("127.0.0.1", HEADERS["v2"][:14] + b"\xff\xff" + b"x" * 5000, "proxy_invalid"),
        ("127.0.0.1", HEADERS["v2"][:20], "handshake_timeout"),
        ("127.0.0.9", HEADERS["v2"], "proxy_untrusted"),
    ],
)
def test_who_does_not_do_it_right_is_reset_and_counted(
    required: Balancer, source: str, said: bytes, reason: str
) -> None:
    word = f"rejected:{reason}"
    before = required.ask("stats")["ended"].get(word, 0)
    with (
        contextlib.suppress(ConnectionResetError, BrokenPipeError),
        from_source(required, source) as client,
    ):
        client.sendall(said)
        assert not client.recv(1)
    until(lambda: required.ask("stats")["ended"].get(word, 0) == before + 1, word)


def test_a_header_that_ends_with_its_connection_is_broken(required: Balancer) -> None:
    with required.connect() as client:
        client.sendall(HEADERS["v1"][:20])
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            client.recv(1)


def test_with_accept_a_client_may_also_come_without_but_nobody_else_may_send_one(
    echo: Backends,
) -> None:
    with balancer(echo.addresses[0], proxy_protocol="accept", trusted=["127.0.0.1"]) as lb:
        for source, said in (("127.0.0.1", b"hi"), ("127.0.0.9", b"hi"), ("127.0.0.1", b"PRO")):
            with from_source(lb, source) as client:
                client.sendall(said)
                client.shutdown(socket.SHUT_WR)
                assert read_line(client) == "a"
                assert client.recv(10) == said
        with from_source(lb, "127.0.0.9") as client:
            client.sendall(HEADERS["v1"])
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_routes_see_the_told_address_and_the_hello_behind_the_header(echo: Backends) -> None:
    with Door() as other, Door() as third:
        config = one_pool(f"127.0.0.1:{PORTS.take()}", echo.addresses, process={"workers": 1})
        config["pools"]["other"] = {"backends": [other.address]}
        config["pools"]["third"] = {"backends": [third.address]}
        config["listeners"]["web"] |= {
            "proxy_protocol": "require",
            "trusted": ["127.0.0.1"],
            "routes": [
                {"source": "203.0.113.0/24", "pool": "other"},
                {"sni": "third.example", "pool": "third"},
            ],
        }
        said = hello("third.example")
        with Balancer(config) as lb, lb.connect() as first, lb.connect() as second:
            say(first, HEADERS["v2"] + said, 1000)
            with other.accept() as peer:
                assert peer.recv(1 << 16) == said
            say(second, write_proxy(1, ("10.0.0.1", 1), MEANT) + said, 7)
            with third.accept() as peer:
                got = b""
                while len(got) < len(said):
                    got += peer.recv(1 << 16)
                assert got == said


def test_an_ipv4_client_told_in_ipv6s_form_is_under_the_rules_for_it(echo: Backends) -> None:
    told = [("203.0.113.7", 4711), ("::ffff:203.0.113.7", 4711)]
    access = {"deny": ["203.0.113.0/24"]}
    with balancer(
        echo.addresses[0], proxy_protocol="require", trusted=["127.0.0.1"], access=access
    ) as lb:
        for version in (1, 2):
            for client in told:
                with lb.connect() as proxy:
                    proxy.sendall(write_proxy(version, client, ("2001:db8::1", 443)))
                    with pytest.raises(ConnectionResetError):
                        proxy.recv(1)
        assert lb.ask("stats")["ended"]["rejected:denied"] == 4
        with lb.connect() as proxy:
            proxy.sendall(write_proxy(2, ("::ffff:203.0.114.7", 4711), MEANT))
            assert read_line(proxy) == "a"
            assert [row["client"] for row in lb.ask("sessions")] == ["203.0.114.7:4711"]


def test_a_listener_of_a_unix_socket_alone_needs_nobody_named(
    echo: Backends, tmp_path: Path
) -> None:
    config = one_pool(f"unix:{tmp_path}/front", echo.addresses, process={"workers": 1})
    config["listeners"]["web"]["proxy_protocol"] = "require"
    with Balancer(config) as lb, socket.socket(socket.AF_UNIX) as proxy:
        proxy.settimeout(20)
        proxy.connect(f"{tmp_path}/front")
        proxy.sendall(HEADERS["v2"])
        assert read_line(proxy) == "a"
        assert [row["client"] for row in lb.ask("sessions")] == ["203.0.113.7:4711"]


# ---- towards backends ----------------------------------------------------------------------------


def heard(door: Door) -> tuple[tuple[Any, ...], bytes]:
    """Returns the first bytes of the next connection to the door: its header, and the bytes after
    it."""
    with door.accept() as peer:
        got = b""
        while (read := read_proxy(got))[0] == "more" or len(got) < read[1] + 5:
            piece = peer.recv(1 << 16)
            if not piece:
                break
            got += piece
        return read, got[read[1] :]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_backends_hear_who_the_client_is_before_its_first_byte(version: str) -> None:
    with (
        Door() as door,
        balancer(door.address, pool={"send_proxy": version}) as lb,
        lb.connect() as client,
    ):
        client.sendall(b"hello")
        header, behind = heard(door)
        assert header[2:] == (int(version[1]), client.getsockname(), lb.address, ())
        assert behind == b"hello"


def test_what_was_received_is_passed_on_with_what_was_learnt() -> None:
    tlvs = ["authority", "alpn", "unique_id", "crc32c", "received"]
    said = hello("asked.example", ("h2",))
    received = [(2, b"told.example"), (0xE0, b"custom"), (4, b"nothing")]
    with (
        Door() as door,
        balancer(
            door.address,
            pool={"send_proxy": "v2", "proxy_tlvs": tlvs},
            proxy_protocol="require",
            trusted=["127.0.0.1"],
        ) as lb,
        lb.connect() as client,
    ):
        client.sendall(write_proxy(2, CLIENT, MEANT, received, crc32c=True) + said)
        header, _ = heard(door)
        assert header[3:5] == (CLIENT, MEANT)
        got = dict(header[5])
        assert got[2] == b"asked.example"
        assert got[1] == b"h2"
        assert got[0xE0] == b"custom"
        assert len(got[5]) == 32
        assert set(got) == {1, 2, 3, 5, 0xE0}


def inside(value: bytes) -> dict[int, bytes]:
    """Returns the TLVs inside the value of another TLV, after its first five bytes."""
    found, rest = {}, value[5:]
    while rest:
        length = int.from_bytes(rest[1:3], "big")
        found[rest[0]] = rest[3 : 3 + length]
        rest = rest[3 + length :]
    return found


def test_backends_hear_of_the_tls_that_ends_here() -> None:
    with Authority() as ca, Door() as door:
        tls = {
            "certificates": [ca.issue("www.example.com")], "ca": ca.path, "verify": "optional",
            "alpn": ["h2", "http/1.1"],
        }  # fmt: skip
        lb = Balancer.secured(
            [door.address], tls, send_proxy="v2", proxy_tlvs=["authority", "alpn", "ssl"]
        )
        with lb:
            for own in (None, ca.issue("someone.example")):
                context = ca.client()
                context.set_alpn_protocols(["http/1.1"])
                if own:
                    context.load_cert_chain(own["cert"], own["key"])
                with secure(lb.connect(), context, name="www.example.com") as client:
                    client.send(b"hello")
                    header, behind = heard(door)
                assert behind == b"hello"
                got = dict(header[5])
                assert (got[2], got[1]) == (b"www.example.com", b"http/1.1")
                flags, verify = got[0x20][0], int.from_bytes(got[0x20][1:5], "big")
                about = inside(got[0x20])
                assert about[0x21].startswith(b"TLSv1.")
                assert b"_" in about[0x23]
                if own:
                    assert (flags, verify, set(about)) == (7, 0, {0x21, 0x22, 0x23})
                else:
                    assert (flags, verify, set(about)) == (1, 1, {0x21, 0x23})


# ---- with nginx and HAProxy ----------------------------------------------------------------------

HAPROXY = """
defaults
  mode tcp
  timeout connect 5s
  timeout client 20s
  timeout server 20s
frontend in
  bind 127.0.0.1:{port} accept-proxy
  mode http
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]"
frontend out
  bind 127.0.0.1:{out}
  default_backend lb
backend lb
  server one 127.0.0.1:{lb} {how}
"""

NGINX = """
load_module {module};
daemon off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{port} proxy_protocol;
    location / {{ return 200 "$proxy_protocol_addr:$proxy_protocol_port"; }}
  }}
}}
stream {{
  server {{ listen 127.0.0.1:{out}; proxy_pass 127.0.0.1:{lb}; proxy_protocol on; }}
}}
"""


def get(port: int, *, before: bytes = b"") -> tuple[str, tuple[str, int]]:
    """Returns the body of an HTTP answer, and the client's own address."""
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(before + b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as answer:
            return answer.read().rpartition(b"\r\n")[2].decode(), client.getsockname()


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("peer", ["haproxy", "nginx"])
def test_a_real_proxy_is_understood_and_understands(
    tmp_path: Path, peer: str, version: str
) -> None:
    program = need(peer)
    front, back, out = (PORTS.take() for _ in range(3))
    how = "send-proxy-v2" if version == "v2" else "send-proxy"
    values = {"port": back, "out": out, "lb": front, "how": how, "folder": tmp_path}
    path = tmp_path / "conf"
    if peer == "haproxy":
        path.write_text(HAPROXY.format(**values))
        command = [program, "-db", "-f", str(path)]
    else:
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        if not module.exists():
            pytest.skip("nginx has no stream module (libnginx-mod-stream)")
        path.write_text(NGINX.format(module=module, **values))
        command = [program, "-p", str(tmp_path), "-c", str(path)]
    config = one_pool(f"127.0.0.1:{front}", [f"127.0.0.1:{back}"], send_proxy=version)
    config["listeners"]["web"] |= {"proxy_protocol": "accept", "trusted": ["127.0.0.1"]}
    with running(command, out, tmp_path / "log"), Balancer(config):
        body, own = get(front)  # l4lb sends the header, the other reads it
        assert body == "{}:{}".format(*own)
        body, own = get(out)  # the other sends the header, l4lb reads it and passes it on
        assert body == "{}:{}".format(*own)
        body, _ = get(front, before=write_proxy(2, CLIENT, MEANT))
        assert body == "{}:{}".format(*CLIENT)
