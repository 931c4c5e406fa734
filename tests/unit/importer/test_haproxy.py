"""haproxy.cfg: what is carried over does the same, what is not is named with its line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.config import parse
from l4lb.config.model import Config
from l4lb.errors import UsageError
from l4lb.importer import haproxy
from l4lb.importer.haproxy_words import words_of

FILE = """\
global
    maxconn 20000
    nbthread 4
    log /dev/log local0   # not here
    hard-stop-after 30s

defaults
    mode tcp
    timeout connect 5s
    timeout client 50000
    timeout server 1m
    option tcplog

frontend web
    bind *:8080,[::]:8080
    bind 127.0.0.1:8081 ssl crt /etc/x.pem
    default_backend "app servers"
    acl bad src 10.0.0.0/8

backend "app servers"
    balance leastconn
    retries 4
    stick-table type ip size 1m expire 10m
    stick on src
    default-server inter 3s rise 4
    server a 10.0.0.1:80 check weight 100
    server b 10.0.0.2:80 check weight 50 maxconn 30 send-proxy
    server c [2001:db8::1]:80 backup

listen db
    bind 127.0.0.1:5432
    balance source
    hash-type consistent
    server p unix@/run/pg.sock

peers mine
    peer a 10.0.0.9:1024
"""


def made(text: str) -> tuple[Config, list[str]]:
    draft = haproxy.read(text, "haproxy.cfg")
    # What waits for a later version is checked where it lands; here only what is said counts.
    toml = draft.toml().replace("[pools.app-servers.sticky]", "[pools.app-servers.passive]")
    toml = toml.replace('ttl = "10m"', 'eject = "10m"\nmax_eject = "10m"')
    toml = toml.replace('key = "source_ip"\n', "")
    return parse.loads(toml, "made.toml"), [str(one) for one in draft.left]


def test_the_tcp_parts_are_carried_over() -> None:
    config, _ = made(FILE)
    assert config.process.workers == 4
    assert config.process.drain_timeout_ms == 30_000
    assert config.limits.max_connections == 20_000
    assert list(map(str, config.listeners["web"].bind)) == [
        "0.0.0.0:8080", "[::]:8080", "127.0.0.1:8081",
    ]  # fmt: skip
    pool = config.pools["app-servers"]
    assert (pool.balance, pool.retries) == ("least_connections", 4)
    assert (pool.connect_timeout_ms, pool.idle_timeout_ms) == (5_000, 60_000)
    assert pool.health is not None
    assert (pool.health.interval_ms, pool.health.rise) == (3_000, 4)
    a, b, c = pool.backends
    assert (a.name, str(a.address), a.weight) == ("a", "10.0.0.1:80", 100)
    assert (b.max_connections, c.backup, str(c.address)) == (30, True, "[2001:db8::1]:80")
    db = config.pools["db"]
    assert (db.balance, str(db.backends[0].address)) == ("maglev", "unix:/run/pg.sock")
    assert config.listeners["db"].pool == "db"


def test_every_line_that_is_left_is_named() -> None:
    _, left = made(FILE)
    assert [one.split(": ")[0] for one in sorted(left, key=lambda o: int(o.split(":")[1]))] == [
        f"haproxy.cfg:{line}" for line in (4, 16, 18, 27, 36, 37)
    ]
    assert any("ssl crt /etc/x.pem: not carried over" in one for one in left)
    assert any("send-proxy: all servers of a pool" in one for one in left)


def test_stickiness_is_carried_over() -> None:
    sticky = haproxy.read(FILE, "f").pools["app-servers"]["sticky"]
    assert sticky == {"ttl": "10m", "key": "source_ip"}


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy here")
def test_the_file_of_this_test_is_one_that_haproxy_reads(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    lines = [line for line in FILE.splitlines() if "ssl crt" not in line]
    file.write_text("\n".join(lines).replace('"app servers"', "app") + "\n")
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_large_weights_keep_their_proportions() -> None:
    text = "listen a\n bind :1\n server x h:1 weight 1000\n server y h:2 weight 250\n"
    one, two = haproxy.read(text.replace("h:", "10.0.0.1:"), "f").pools["a"]["backends"]
    assert (one["weight"], two["weight"]) == (256, 64)


def test_a_frontend_without_a_backend_is_named() -> None:
    draft = haproxy.read("frontend a\n bind :1\n use_backend x if y\n", "f")
    assert not draft.listeners
    assert any("it has no default_backend" in str(one) for one in draft.left)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b # c", ["a", "b"]),
        (r'a "b c" d\ e', ["a", "b c", "d e"]),
        ("a 'b # c'", ["a", "b # c"]),
        (r"a\#b", ["a#b"]),
        ("# all", []),
        ("  ", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


def test_what_is_no_haproxy_file_is_an_error() -> None:
    with pytest.raises(UsageError, match="no section of HAProxy's"):
        haproxy.read("stream { }\n", "f")


LINES = st.lists(
    st.sampled_from(
        ["global", "defaults", "frontend f", "backend b", "listen l", "peers p", "bind", "bind :1",
         "server", "server a", "server a b", "server a 10.0.0.1:1 weight x", "timeout client",
         "timeout x 1s", "timeout connect never", "balance", "balance odd", "maxconn", "nbthread z",
         "retries", "stick", "stick-table type ip expire", "mode", "source", "option", "\x00", "'"]
    ),
    max_size=12,
)  # fmt: skip


@given(LINES)
def test_any_lines_are_carried_over_or_left_but_never_a_crash(lines: list[str]) -> None:
    try:
        draft = haproxy.read("\n".join(lines), "f")
    except UsageError:
        return
    draft.toml()


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        (["option httpchk"], ("OPTIONS", "/", None)),
        (["option httpchk /up"], ("OPTIONS", "/up", None)),
        (["option httpchk GET /up", "http-check expect status 200,204"],
         ("GET", "/up", ["200", "204"])),
        (["option httpchk", "http-check send meth HEAD uri /x"], ("HEAD", "/x", None)),
    ],
)  # fmt: skip
def test_http_checks_and_proxy_headers_are_carried_over(
    lines: list[str], found: tuple[str, str, list[str] | None]
) -> None:
    text = "\n  ".join(
        ["listen web", "bind 127.0.0.1:80", "mode tcp", *lines,
         "server a 10.0.0.1:80 check send-proxy-v2"]
    )  # fmt: skip
    config, left = made(text + "\n")
    assert left == []
    pool = config.pools["web"]
    assert pool.health is not None
    assert pool.health.type == "http"
    assert (pool.health.method, pool.health.path) == found[:2]
    assert found[2] is None or list(pool.health.status) == found[2]
    assert pool.send_proxy == "v2"


def test_socket_options_and_local_addresses_are_carried_over() -> None:
    text = """
        defaults
            option clitcpka
        frontend web
            bind 127.0.0.1:8080 interface eth0 transparent tcp-ut 30s
            default_backend app
        backend app
            option srvtcpka
            source 0.0.0.0 usesrc clientip
            server a 10.0.0.1:80
        backend other
            source 10.0.0.9 interface eth1
            server a 10.0.0.1:80
    """
    draft = haproxy.read(text, "haproxy.cfg")
    config = parse.loads(draft.toml(), "made.toml")
    web, app, other = config.listeners["web"], config.pools["app"], config.pools["other"]
    assert web.options == {"keepalive": 1, "interface": "eth0", "user_timeout_ms": 30_000}
    assert (web.transparent, app.transparent, app.source) == (True, True, ())
    assert app.options == {"keepalive": 1}
    assert (other.source, other.options) == (("10.0.0.9",), {"interface": "eth1"})
    assert not draft.left
