"""Servers of nginx.conf as listeners: addresses, access lists, TLS, PROXY headers, limits,
checks."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.importer.draft import Rank
from tests.unit.importer.made import Stream, server


def test_tcp_and_udp_of_one_server_are_two_listeners(stream: Stream) -> None:
    made = stream("server { listen 53; listen 53 udp; proxy_pass u; proxy_responses 1; }")
    found = {one.protocol: made.config.pools[one.pool] for one in made.config.listeners.values()}
    assert (found["udp"].responses, found["tcp"].responses) == (1, 0)
    assert set(made.config.listeners) == {"u", "u-udp"}
    assert not made.left


@pytest.mark.parametrize(
    ("listen", "binds"),
    [
        ("8080", ["0.0.0.0:8080"]),
        ("[::]:8080", ["[::]:8080"]),
        ("[::]:8080 ipv6only=off", ["[::]:8080", "0.0.0.0:8080"]),
        ("127.0.0.1:7000-7001", ["127.0.0.1:7000", "127.0.0.1:7001"]),
        ("unix:/run/x.sock", ["unix:/run/x.sock"]),
    ],
)
def test_addresses_are_bound_as_nginx_binds_them(
    stream: Stream, listen: str, binds: list[str]
) -> None:
    (listener,) = server(stream, "", listen).config.listeners.values()
    assert list(map(str, listener.bind)) == binds


@pytest.mark.parametrize(
    ("rules", "allow", "deny"),
    [
        ("deny 10.0.0.0/8;", [], ["10.0.0.0/8"]),
        ("allow 10.1.0.0/16; deny 10.0.0.0/8;", ["10.1.0.0/16"], ["10.0.0.0/8"]),
        ("deny 10.1.0.1; allow 10.0.0.0/8; allow 2001:db8::/32; deny all;",
         ["10.0.0.0/8", "2001:db8::/32"], ["0.0.0.0/0", "10.1.0.1/32", "::/0"]),
        ("deny 10.0.0.0/8; allow 10.1.0.0/16;", [], ["10.0.0.0/8"]),
        ("allow 10.0.0.0/8; deny all;", ["10.0.0.0/8"], []),
    ],
)  # fmt: skip
def test_access_rules_hold_in_their_order(
    stream: Stream, rules: str, allow: list[str], deny: list[str]
) -> None:
    made = server(stream, rules)
    access = made.config.listeners["u"].access
    assert access is not None
    assert (list(access.allow), list(access.deny)) == (allow, deny)
    assert not made.left


def test_a_server_s_own_access_rules_stand_instead_of_stream_s(stream: Stream) -> None:
    made = stream("deny all;\nserver { listen 1; proxy_pass u; allow 10.0.0.0/8; }\n"
                  "server { listen 2; proxy_pass u; }")  # fmt: skip
    access = {str(one.bind[0]): one.access for one in made.config.listeners.values()}
    assert access["0.0.0.0:1"] is None
    assert access["0.0.0.0:2"] is not None


def test_tls_of_clients_is_carried_over(stream: Stream, tmp_path: Path) -> None:
    made = server(
        stream,
        "ssl_certificate a.pem; ssl_certificate_key a.key; ssl_certificate /b.pem;"
        " ssl_certificate_key /b.key; ssl_protocols TLSv1.3; ssl_ciphers X; ssl_alpn h2 http/1.1;"
        " ssl_client_certificate /ca.pem; ssl_verify_client optional; ssl_session_tickets off;"
        " ssl_reject_handshake on; ssl_conf_command Ciphersuites Y; ssl_handshake_timeout 5s;",
        "443 ssl",
    )
    listener = made.config.listeners["u"]
    tls = listener.tls
    assert tls is not None
    assert [(one.cert, one.key) for one in tls.certificates] == [
        (f"{tmp_path}/a.pem", f"{tmp_path}/a.key"), ("/b.pem", "/b.key")
    ]  # fmt: skip
    assert (tls.min_version, tls.ciphers, tls.ciphersuites) == ("1.3", "X", "Y")
    assert (tls.alpn, tls.ca, tls.verify) == (("h2", "http/1.1"), "/ca.pem", "optional")
    assert (tls.tickets, tls.strict_sni, listener.handshake_timeout_ms) == (False, True, 5_000)
    assert not made.left


def test_tls_of_backends_is_carried_over(stream: Stream) -> None:
    made = server(
        stream,
        "proxy_ssl on; proxy_ssl_verify on; proxy_ssl_trusted_certificate /ca.pem;"
        " proxy_ssl_server_name on; proxy_ssl_certificate /c.pem; proxy_ssl_certificate_key /c.key;"
        " proxy_ssl_alpn h2; proxy_ssl_session_reuse off;",
    )
    tls = made.config.pools["u"].tls
    assert tls is not None
    assert (tls.verify, tls.ca, tls.server_name) == (True, "/ca.pem", "u")
    assert (tls.cert, tls.key, tls.alpn, tls.resume) == ("/c.pem", "/c.key", ("h2",), False)
    assert not made.left
    tls = server(stream, "proxy_ssl on;").config.pools["u"].tls
    assert tls is not None
    assert not tls.verify


@pytest.mark.parametrize(
    ("line", "listen", "rank"),
    [
        ("proxy_ssl on; proxy_ssl_crl /x;", "1", Rank.CLEAR),
        ("", "1 ssl", Rank.CLEAR),
        ("ssl_certificate $x; ssl_certificate_key $x;", "1 ssl", Rank.CLEAR),
        ("ssl_certificate /x; ssl_crl /c;", "1 ssl", Rank.OPEN),
        ("ssl_certificate /x; ssl_verify_client on;", "1 ssl", Rank.OPEN),
        ("js_access x;", "1", Rank.OPEN),
        ("limit_conn nobody 1;", "1", Rank.OPEN),
        ("deny nonsense;", "1", Rank.OPEN),
        ("health_check match=nobody;", "1", Rank.UNCHECKED),
        ("frobnicate_access on;", "1", Rank.OPEN),
        ("frobnicate_ssl on;", "1", Rank.CLEAR),
        ("proxy_download_rate 100k;", "1", Rank.DIFFERENT),
        ("proxy_ssl on;", "1 udp", Rank.CLEAR),
    ],
)
def test_what_is_lost_is_ranked(stream: Stream, line: str, listen: str, rank: Rank) -> None:
    made = server(stream, line, listen)
    assert made.left[0].rank is rank
    assert made.draft.grave is (rank <= Rank.MISSING)


def test_headers_of_proxies_are_read_and_sent(stream: Stream) -> None:
    made = server(stream, "set_real_ip_from 10.0.0.0/8; proxy_protocol on;", "1 proxy_protocol")
    listener = made.config.listeners["u"]
    assert (listener.proxy_protocol, listener.trusted) == ("require", ("10.0.0.0/8",))
    assert made.config.pools["u"].send_proxy == "v1"
    made = server(stream, "", "1 proxy_protocol")
    assert made.rank("listen 1 proxy_protocol") is Rank.DIFFERENT
    assert made.config.listeners["u"].trusted == ("0.0.0.0/0", "::/0")
    made = server(stream, "proxy_protocol on;", "1 udp")
    assert made.config.pools["u"].proxy_protocol_udp == "first"


def test_limits_are_carried_over(stream: Stream) -> None:
    zones = "limit_conn_zone $binary_remote_addr zone=a:1m; limit_conn_zone $server_name zone=s:1m;"
    made = stream(zones + "server { listen 1; listen 1 udp; proxy_pass u; limit_conn a 3;"
                  " limit_conn s 9; limit_conn_dry_run on; }")  # fmt: skip
    limits = made.config.listeners["u"].limits
    assert limits is not None
    assert limits.connections_per_source is not None
    assert limits.connections is not None
    assert (limits.connections_per_source.limit, limits.connections.limit) == (3, 9)
    assert limits.connections_per_source.dry_run
    assert made.config.listeners["u-udp"].max_sessions_per_source == 3


def test_checks_are_carried_over(stream: Stream) -> None:
    made = stream(
        'match m { send "PING\\r\\n"; expect ~ "^\\+PONG"; }'
        " server { listen 1; proxy_pass u; health_check interval=3 passes=2 fails=4 port=9 match=m;"
        " health_check_timeout 2s; }"
    )
    health = made.config.pools["u"].health
    assert health is not None
    assert (health.interval_ms, health.rise, health.fall, health.port) == (3_000, 2, 4, 9)
    assert (health.send, health.expect, health.timeout_ms) == ("PING\r\n", r"regex:^\+PONG", 2_000)
    assert not made.left


def test_access_logs_are_carried_over(stream: Stream) -> None:
    assert (
        server(stream, "access_log /var/log/x.log f;").config.process.log.access == "/var/log/x.log"
    )
    log = server(stream, "access_log syslog:server=10.0.0.1,facility=local3 f;").config.process.log
    assert (log.access, log.syslog, log.syslog_facility) == (
        "syslog",
        "udp://10.0.0.1:514",
        "local3",
    )
    assert server(stream, "access_log off;").config.process.log.access == "off"


def test_an_upstream_that_two_servers_use_in_different_ways_is_two_pools(stream: Stream) -> None:
    made = stream(
        "server { listen 1; proxy_pass u; proxy_timeout 1s; }\n"
        "server { listen 2; proxy_pass u; }\nserver { listen 3; proxy_pass u; }"
    )
    pools = {str(one.bind[0].port): one.pool for one in made.config.listeners.values()}
    assert pools["2"] == pools["3"] != pools["1"]
    assert {made.config.pools[name].idle_timeout_ms for name in pools.values()} == {1_000, 600_000}


def test_names_are_those_that_people_would_give(stream: Stream) -> None:
    made = stream(
        "server { listen unix:/tmp/front.sock; proxy_pass unix:/tmp/x.sock; }\n"
        "server { listen 2; proxy_pass u; }\nserver { listen 3; proxy_pass u; }"
    )
    assert list(made.config.listeners) == ["x", "u", "u-3"]
    assert set(made.config.pools) == {"x", "u"}


def test_socket_options_are_carried_over(stream: Stream) -> None:
    made = server(
        stream,
        "proxy_bind $remote_addr transparent; proxy_socket_keepalive on; proxy_session_drop on;",
        "9000 so_keepalive=30m::10 reuseport multipath",
    )
    listener, pool = made.config.listeners["u"], made.config.pools["u"]
    assert listener.options == {"keepalive": 1, "keepalive_idle_s": 1_800, "keepalive_probes": 10}
    assert listener.mptcp
    assert (pool.transparent, pool.options, pool.on_down) == (True, {"keepalive": 1}, "close")
    assert not made.left
