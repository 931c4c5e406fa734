"""nginx.conf: the stream part with its includes; parts that are left out are named with their
line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.cpus import usable_cpus
from l4lb.errors import L4lbError
from l4lb.importer import nginx
from l4lb.importer.draft import Rank
from l4lb.importer.settle import settle
from tests.unit.importer.made import Stream, of_nginx, refused, server

FILE = """\
worker_processes 2;
events { worker_connections 1000; }
http {
    server { listen 80; }
}
stream {
    proxy_timeout 10m;
    include more.conf;
    upstream app {
        least_conn;
        server 10.0.0.1:80 weight=3 max_conns=9;
        server 10.0.0.2:80 backup;
        server unix:/run/app.sock down;
        server 10.0.0.3:80 resolve;
    }
    server {
        listen 8080;
        listen [::]:8080 ipv6only=on;
        proxy_pass app;
        proxy_connect_timeout 1s;
        proxy_next_upstream_tries 3;
        proxy_upload_rate 1m;
    }
    server { listen 53 udp reuseport; proxy_pass dns; proxy_timeout 5; }
    server { listen 9000; proxy_pass 10.0.0.9:9000; }
    server { listen 9001; proxy_pass $where; }
}
"""
MORE = "upstream dns { hash $remote_addr consistent; server 10.0.0.5:53 max_fails=2; }\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "more.conf").write_text(MORE)
    path = tmp_path / "nginx.conf"
    path.write_text(FILE)
    return path


def test_the_stream_part_is_carried_over(file: Path) -> None:
    config = of_nginx(file.parent, FILE).config
    assert (config.process.workers, config.limits.max_connections) == (2, 1_000)
    app = config.pools["app"]
    assert (app.balance, app.retries) == ("least_connections", 2)
    assert (app.connect_timeout_ms, app.idle_timeout_ms) == (1_000, 600_000)
    one, two, three, four = app.backends
    assert (one.weight, one.max_connections, two.backup) == (3, 9, True)
    assert (str(three.address), three.weight, four.weight) == ("unix:/run/app.sock", 0, 1)
    dns = config.pools["dns"]
    assert (dns.balance, dns.udp_idle_timeout_ms, dns.passive) == ("maglev", 5_000, None)
    assert config.listeners["dns-udp"].protocol == "udp"
    assert [str(bind) for bind in config.listeners["app"].bind] == ["0.0.0.0:8080", "[::]:8080"]
    assert str(config.pools["10.0.0.9:9000"].backends[0].address) == "10.0.0.9:9000"


def test_every_line_that_is_left_is_named_word_for_word(file: Path) -> None:
    left = of_nginx(file.parent, FILE).left
    assert [(one.rank, one.place.line, one.place.text) for one in left] == [
        (Rank.MISSING, 4, "server"),
        (Rank.MISSING, 4, "server"),
        (Rank.MISSING, 26, "proxy_pass $where"),
        (Rank.DIFFERENT, 13, "server unix:/run/app.sock down"),
        (Rank.DIFFERENT, 14, "server 10.0.0.3:80 resolve"),
        (Rank.DIFFERENT, 22, "proxy_upload_rate 1m"),
    ]


def test_a_line_of_an_included_file_is_named_with_that_file(tmp_path: Path) -> None:
    (tmp_path / "in.conf").write_text(
        "server {\n  listen 1;\n  js_access 'a;b';\n  proxy_pass u;\n}\n"
    )
    made = of_nginx(tmp_path, "stream { upstream u { server 10.0.0.1:1; }\ninclude in.conf; }")
    place = made.left[0].place
    assert (place.file, place.line, place.text) == (str(tmp_path / "in.conf"), 3, "js_access 'a;b'")


def test_a_file_that_is_not_there_is_missing(tmp_path: Path) -> None:
    made = of_nginx(
        tmp_path, "stream {\n server { listen 1; proxy_pass 10.0.0.1:1; }\n include no.conf;\n}"
    )
    assert made.rank("include no.conf") is Rank.MISSING


def test_what_a_stream_block_includes_can_be_imported_alone(tmp_path: Path) -> None:
    made = of_nginx(
        tmp_path, "upstream u { server 10.0.0.1:1; }\nserver { listen 1; proxy_pass u; }\n"
    )
    assert list(made.config.listeners) == ["u"]
    assert not made.left


# ---- defaults ------------------------------------------------------------------------------------


def test_nginx_s_own_defaults_are_written_out_where_ours_differ(stream: Stream) -> None:
    made = stream("server { listen 1; proxy_pass u; }\nserver { listen 1 udp; proxy_pass u; }")
    tcp, udp = made.config.pools["u"], made.config.pools["u-udp"]
    assert (tcp.connect_timeout_ms, tcp.idle_timeout_ms, tcp.retries) == (60_000, 600_000, 8)
    assert tcp.half_closed_timeout_ms == 10_000  # proxy_half_close off
    assert udp.udp_idle_timeout_ms == 600_000
    for pool in (tcp, udp):
        assert pool.passive is not None
        passive = pool.passive
        assert (passive.failures, passive.eject_ms, passive.max_eject_ms) == (1, 10_000, 10_000)
        assert passive.max_ejected_percent == 100
    assert not made.left


def test_an_only_server_is_never_left_alone_and_tried_once(tmp_path: Path) -> None:
    made = of_nginx(
        tmp_path, "stream { upstream u { server 10.0.0.1:1; } server { listen 1; proxy_pass u; } }"
    )
    assert made.config.pools["u"].passive is None


def test_next_upstream_off_tries_no_other(stream: Stream) -> None:
    assert server(stream, "proxy_next_upstream off;").config.pools["u"].retries == 0
    assert server(stream, "proxy_next_upstream_tries 0;").config.pools["u"].retries == 8
    both = "proxy_next_upstream_tries 3; proxy_next_upstream off;"
    assert server(stream, both).config.pools["u"].retries == 0


def test_half_close_is_carried_over(stream: Stream) -> None:
    pool = server(stream, "proxy_half_close on;").config.pools["u"]
    assert pool.half_closed_timeout_ms == pool.idle_timeout_ms


def test_workers_of_nginx_count_for_themselves(tmp_path: Path) -> None:
    text = "stream { server { listen 1; proxy_pass 10.0.0.1:1; } }"
    made = of_nginx(tmp_path, "worker_processes auto; events { worker_connections 768; }\n" + text)
    workers = min(64, usable_cpus())
    assert made.config.limits.max_connections == 384 * workers
    assert made.rank("worker_processes auto") is Rank.DIFFERENT
    made = of_nginx(tmp_path, "worker_processes 4; events { worker_connections 768; }\n" + text)
    assert made.config.limits.max_connections == 384 * 4


def test_how_the_process_is_run_is_no_loss(tmp_path: Path) -> None:
    made = of_nginx(tmp_path, "daemon off;\nmaster_process on;\npid /run/x;\nuser nginx;\n"
                    "stream { server { listen 1; proxy_pass 10.0.0.1:1; } }")  # fmt: skip
    assert [one.place.text for one in made.left] == ["user nginx"]
    assert made.config.process.user is None


# ---- upstreams -----------------------------------------------------------------------------------


def test_servers_of_one_address_are_as_many_as_are_written(tmp_path: Path) -> None:
    made = of_nginx(
        tmp_path,
        "stream { upstream u { server 10.0.0.1:1; server 10.0.0.1:1;"
        " server 10.0.0.1:1 backup; } server { listen 1; proxy_pass u; } }",
    )
    assert [(one.name, one.backup) for one in made.config.pools["u"].backends] == [
        ("10.0.0.1:1", False), ("10.0.0.1:1-2", False), ("10.0.0.1:1-backup", True)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "balance", "key"),
    [
        ("least_conn;", "least_connections", "source_ip"),
        ("random two least_conn;", "random", "source_ip"),
        ("least_time first_byte;", "least_response_time", "source_ip"),
        ("hash $remote_addr;", "ip_hash", "source_ip"),
        ("hash $remote_addr$remote_port consistent;", "maglev", "source_ip_port"),
        ("hash $ssl_preread_server_name consistent;", "maglev", "sni"),
    ],
)
def test_algorithms_are_carried_over(tmp_path: Path, line: str, balance: str, key: str) -> None:
    text = f"upstream v {{ {line} server 10.0.0.1:1; server 10.0.0.2:1; }}"
    made = of_nginx(tmp_path, f"stream {{ {text} server {{ listen 1; proxy_pass v; }} }}")
    pool = made.config.pools["v"]
    assert (pool.balance, pool.hash_key) == (balance, key)
    assert not made.left


def test_all_backups_share_and_failures_are_counted_as_most_servers_say(tmp_path: Path) -> None:
    made = of_nginx(
        tmp_path,
        "stream {\nupstream v {\nserver 10.0.0.1:1 max_fails=3 fail_timeout=30;\n"
        "server 10.0.0.2:1 max_fails=3 fail_timeout=30;\nserver 10.0.0.3:1 backup max_fails=0;\n"
        "server 10.0.0.4:1 backup max_fails=3 fail_timeout=30;\n}\n"
        "server { listen 1; proxy_pass v; } }",
    )
    pool = made.config.pools["v"]
    assert pool.all_backups
    assert pool.passive is not None
    assert (pool.passive.failures, pool.passive.eject_ms) == (3, 30_000)
    assert made.rank("server 10.0.0.3:1") is Rank.DIFFERENT


def test_names_that_nginx_follows_are_discovered(tmp_path: Path) -> None:
    made = of_nginx(
        tmp_path,
        "stream { resolver 10.0.0.53 [2001:db8::1]:5353 valid=30s ipv6=off;"
        " upstream a { zone a 64k; server web.example:80 resolve; }"
        " upstream b { zone b 64k; server example.com service=http resolve; }"
        " server { listen 1; proxy_pass a; } server { listen 2; proxy_pass b; } }",
    )
    a, b = made.config.pools["a"].discovery, made.config.pools["b"].discovery
    assert a is not None
    assert b is not None
    assert (a.name, a.port, a.max_ttl_ms, a.family) == ("web.example", 80, 30_000, "ipv4")
    assert list(map(str, a.servers or ())) == ["10.0.0.53:53", "[2001:db8::1]:5353"]
    assert (b.name, b.record) == ("_http._tcp.example.com", "srv")
    assert not made.left


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text("stream {")
    with pytest.raises(L4lbError):
        nginx.read(str(tmp_path / "nginx.conf"))


WORDS = (
    "listen 1;", "listen 1 udp;", "listen x;", "listen;", "listen 99999;",
    "listen 2 ssl proxy_protocol;", "listen [::]:3 ipv6only=off so_keepalive=9::z;",
    "proxy_pass u;", "proxy_pass 10.0.0.1:1;", "proxy_pass $v;", "proxy_pass $g:$v;",
    "proxy_pass unix:/x;", "proxy_pass nobody;", "server_name a.b;", "server_name ~^x *.y z.*;",
    "proxy_timeout 0;", "proxy_timeout 99w;", "proxy_timeout x;", "deny all;",
    "allow 10.0.0.1/8;", "deny 2001:db8::/129;", "proxy_responses 0;", "proxy_responses 9999999;",
    "ssl_certificate a;", "ssl_certificate_key b;", "ssl_verify_client on;",
    "ssl_protocols TLSv1.3;", "proxy_ssl on;", "proxy_ssl_name ____;", "proxy_ssl_verify on;",
    "proxy_bind 2001:db8::1;", "proxy_protocol on;", "set_real_ip_from 10.0.0.1/8;",
    "limit_conn z 0;", "limit_conn z x;", "proxy_upload_rate 1;", "proxy_upload_rate x;",
    "health_check interval=0 port=0;", "health_check port=x;", "access_log x y;",
    "preread_timeout 0;", "ssl_preread on;", "proxy_next_upstream_tries -1;",
    "access_log syslog:server=;",
)  # fmt: skip


@settings(max_examples=250, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=7), min_size=1, max_size=3))
def test_whatever_is_read_the_result_is_taken_and_nothing_crashes(
    tmp_path_factory: pytest.TempPathFactory, servers: list[list[str]]
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed.conf"
    blocks = "\n".join("server { " + " ".join(lines) + " }" for lines in servers)
    file.write_text(
        "stream { limit_conn_zone $binary_remote_addr zone=z:1m; geo $g { 10.0.0.0/8 u; }\n"
        "map $ssl_preread_server_name $v { hostnames; .a.b u; ~x v; default w; }\n"
        "upstream u { server 10.0.0.1:1 weight=999 max_fails=0; server 10.0.0.1:1 fail_timeout=0; "
        f"server h.example:2 resolve; server x; }}\n{blocks} }}"
    )
    draft = nginx.read(str(file))
    found = settle(draft, refused)
    assert not draft.listeners or not found, found
