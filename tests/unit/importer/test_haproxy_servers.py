"""Servers of haproxy.cfg: which settings belong to a backend, and which to its pool."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.config.model import Pool
from l4lb.importer.draft import Rank
from tests.unit.importer.made import Made, of_haproxy, pg


def pool(lines: str = "", server: str = "", defaults: str = "") -> Pool:
    made = pg(lines, server, defaults)
    assert not made.left, made.left
    return made.config.pools["pg"]


def servers(*lines: str) -> Made:
    text = "\n  ".join(("listen pg", "bind 127.0.0.1:5000", *lines))
    return of_haproxy(text + "\n")


# ---- a pool has one of each ----------------------------------------------------------------------


def test_clients_over_a_server_s_maxconn_wait_as_long_as_haproxy_lets_them() -> None:
    queue = pool("timeout queue 10s", "maxconn 2").queue
    assert queue is not None
    assert (queue.timeout_ms, queue.length) == (10_000, 65_536)
    queue = pool("", "maxconn 2").queue
    assert queue is not None
    assert queue.timeout_ms == 4_000  # timeout connect
    assert pool("", "maxconn 0").queue is None
    queue = pg("", "maxconn 2 maxqueue 50").config.pools["pg"].queue
    assert queue is not None
    assert queue.length == 100


def test_sessions_of_a_server_that_is_marked_down_are_shut_down() -> None:
    assert pool("", "check on-marked-down shutdown-sessions").on_down == "close"
    found = pool("default-server inter 3s on-marked-down shutdown-sessions", "check")
    assert found.on_down == "close"


def test_checks_that_differ_in_what_is_asked_leave_a_server_unchecked() -> None:
    made = servers(
        "server a 10.0.0.1:1 check port 9200", "server b 10.0.0.2:1 check port 9201",
        "server c 10.0.0.3:1 check port 9200 inter 9s", "server d 10.0.0.4:1",
        "server e 10.0.0.5:1 check port 9200",
    )  # fmt: skip
    found = made.config.pools["pg"].health
    assert found is not None
    assert found.port == 9200
    ranks = [(made.rank(f"server {name}")) for name in "bcd"]
    assert ranks == [Rank.UNCHECKED, Rank.DIFFERENT, Rank.DIFFERENT]
    assert not made.says("server a")


def test_tls_towards_some_servers_is_tls_towards_all_and_the_others_are_missing() -> None:
    made = servers("server a 10.0.0.1:1 ssl verify none", "server b 10.0.0.2:1")
    assert made.config.pools["pg"].tls is not None
    assert made.rank("server b") is Rank.MISSING


@pytest.mark.parametrize("option", ["disabled", "check disabled"])
def test_a_server_that_is_disabled_gets_nobody_and_is_named(option: str) -> None:
    made = servers(f"server a 10.0.0.1:1 {option}", "server b 10.0.0.2:1 weight 3")
    assert [one.weight for one in made.config.pools["pg"].backends] == [0, 3]
    assert made.rank("disabled") is Rank.DIFFERENT
    assert not pg("default-server disabled", "enabled").says("server")


def test_options_that_take_a_value_do_not_leak_it() -> None:
    made = pg(
        "",
        "check agent-check agent-port 9 agent-inter 3s agent-send x ciphers A:B curves P-256"
        " proto h2 check-alpn h2 namespace n socks4 1.2.3.4:5 healthcheck hc ssl verify none",
    )
    unknown = [one for one in made.left if "not known" in one.why]
    assert not unknown, unknown
    agent = made.config.pools["pg"].agent
    assert agent is not None
    assert (agent.port, agent.interval_ms, agent.send) == (9, 3_000, "x")
    for option in ("namespace", "socks4"):
        assert any(option in one.why and one.rank is Rank.MISSING for one in made.left)
    assert any("healthcheck" in one.why and one.rank is Rank.UNCHECKED for one in made.left)


@pytest.mark.parametrize(
    ("option", "rank"),
    [
        ("track other/x", Rank.UNCHECKED),
        ("crl-file /x", Rank.CLEAR),
        ("minconn 3", Rank.DIFFERENT),
        ("cookie s1", Rank.DIFFERENT),
        ("id 7", Rank.NOTE),
        ("frob", Rank.DIFFERENT),
    ],
)
def test_options_that_nothing_here_is_like_are_named(option: str, rank: Rank) -> None:
    assert pg("", option).rank("server a") is rank


def test_headers_for_backends_are_of_the_version_that_is_said() -> None:
    assert pool("", "send-proxy").send_proxy == "v1"
    found = pool("", "send-proxy-v2-ssl proxy-v2-options crc32c,authority")
    assert (found.send_proxy, found.proxy_tlvs) == ("v2", ("ssl", "crc32c", "authority"))
    found = pool("", "send-proxy check port 9 check-send-proxy")
    assert found.health is not None
    assert found.health.send_proxy == "v1"


def test_slow_start_source_and_watching_of_sessions_are_a_pool_s() -> None:
    assert pool("", "slowstart 20s").slow_start_ms == 20_000
    found = pool("source 10.0.0.9 interface eth1", "")
    assert (found.source, found.interface) == (("10.0.0.9",), "eth1")
    assert pool("", "source 0.0.0.0 usesrc clientip").transparent
    made = pg("", "check observe layer4 error-limit 7")
    passive = made.config.pools["pg"].passive
    assert passive is not None
    assert (passive.failures, passive.max_ejected_percent) == (7, 100)
    assert made.rank("observe") is Rank.DIFFERENT


def test_tls_towards_servers_is_carried_over() -> None:
    made = pg("", "ssl verify required ca-file /ca.pem sni str(db.example) alpn h2 crt /c.pem "
              "ssl-min-ver TLSv1.3 no-ssl-reuse ciphers A")  # fmt: skip
    tls = made.config.pools["pg"].tls
    assert tls is not None
    assert (tls.verify, tls.ca, tls.server_name, tls.cert) == (
        True,
        "/ca.pem",
        "db.example",
        "/c.pem",
    )
    assert (tls.alpn, tls.min_version, tls.resume, tls.ciphers) == (("h2",), "1.3", False, "A")
    assert not made.left
    assert pg("", "ssl verify none sni req.hdr(host)").rank("sni") is Rank.DIFFERENT


def test_defaults_of_tls_in_the_global_section_hold_for_all() -> None:
    made = of_haproxy(
        "global\n ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets\n"
        " ssl-default-bind-ciphersuites TLS_AES_128_GCM_SHA256\n crt-base /certs\n ca-base /cas\n"
        " ssl-server-verify none\nlisten a\n bind :1 ssl crt x.pem crt y.pem ca-file c.pem "
        "verify optional alpn h2,http/1.1 strict-sni\n server s 10.0.0.1:1 ssl\n"
    )
    tls = made.config.listeners["a"].tls
    assert tls is not None
    assert [one.cert for one in tls.certificates] == ["/certs/x.pem", "/certs/y.pem"]
    assert (tls.ca, tls.verify, tls.alpn) == ("/cas/c.pem", "optional", ("h2", "http/1.1"))
    assert (tls.min_version, tls.tickets, tls.strict_sni) == ("1.3", False, True)
    assert tls.ciphersuites == "TLS_AES_128_GCM_SHA256"
    behind = made.config.pools["a"].tls
    assert behind is not None
    assert not behind.verify
    assert not made.left


@pytest.mark.parametrize(
    ("bind", "rank"),
    [
        ("ssl", Rank.CLEAR), ("ssl crt-list /nowhere", Rank.CLEAR),
        ("ssl crt /x.pem verify required", Rank.OPEN), ("ssl crt /x.pem crl-file /c", Rank.OPEN),
        ("ssl crt /x.pem curves P-256", Rank.DIFFERENT), ("tfo", Rank.NOTE),
        ("accept-netscaler-cip 1", Rank.MISSING), ("namespace x", Rank.MISSING),
    ],
)  # fmt: skip
def test_what_a_bind_loses_is_ranked(bind: str, rank: Rank) -> None:
    assert pg(f"bind 127.0.0.1:5001 {bind}").rank(f"bind 127.0.0.1:5001 {bind}") is rank


def test_a_folder_of_certificates_is_its_files(tmp_path: Path) -> None:
    for name in ("b.pem", "a.pem", "a.pem.key", ".hidden"):
        (tmp_path / name).write_text("x")
    tls = pg(f"bind 127.0.0.1:5001 ssl crt {tmp_path}").config.listeners["pg-2"].tls
    assert tls is not None
    assert [(one.cert, one.key) for one in tls.certificates] == [
        (f"{tmp_path}/a.pem", f"{tmp_path}/a.pem.key"), (f"{tmp_path}/b.pem", None)
    ]  # fmt: skip


# ---- names that are followed ---------------------------------------------------------------------


def test_names_that_haproxy_follows_are_discovered() -> None:
    made = of_haproxy(
        "resolvers r\n nameserver d 10.0.0.53:53\n hold valid 10s\n"
        "listen a\n bind :1\n server-template t 5 web.example:80 resolvers r check\n"
        "listen b\n bind :2\n server-template t 1-5 _web._tcp.example resolvers r\n"
        "listen c\n bind :3\n server s web.example:80 resolvers r init-addr none\n"
        "listen d\n bind :4\n server s web.example:80 resolvers r init-addr none\n"
        " server t 10.0.0.1:80\n"
    )
    a, c = made.config.pools["a"].discovery, made.config.pools["c"].discovery
    assert a is not None
    assert c is not None
    assert (a.name, a.port, list(map(str, a.servers or ()))) == (
        "web.example",
        80,
        ["10.0.0.53:53"],
    )
    assert (a.max_ttl_ms, c.name) == (10_000, "web.example")
    found = [one for one in made.left if one.place.line == 15]
    assert {one.rank for one in found} == {Rank.DIFFERENT}
    assert any("resolvers" in one.why for one in found)
    assert any("init-addr" in one.why for one in found)


def test_a_template_of_service_records_needs_no_port() -> None:
    made = of_haproxy("listen b\n bind :2\n server-template t 1-5 _web._tcp.example resolvers r\n")
    found = made.config.pools["b"].discovery
    assert found is not None
    assert (found.name, found.record, found.port) == ("_web._tcp.example", "srv", None)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "0.0.0.0:80", ":80", "10.0.0.1:+80", "abns@x", "quic4@10.0.0.1:443"]
)
def test_a_server_without_an_address_of_its_own_is_missing(address: str) -> None:
    made = servers(f"server a {address}", "server b 10.0.0.2:1")
    assert made.rank("server a") is Rank.MISSING
    assert len(made.config.pools["pg"].backends) == 1


def test_two_servers_of_one_address_or_name_are_two() -> None:
    made = servers("server a 10.0.0.1:1", "server a 10.0.0.1:1 backup")
    assert [(one.name, one.backup) for one in made.config.pools["pg"].backends] == [
        ("a", False), ("a-2", True)
    ]  # fmt: skip


# ---- algorithms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "balance", "key"),
    [
        ("hash-type consistent\n balance source", "maglev", "source_ip"),
        ("balance source\n hash-type consistent", "maglev", "source_ip"),
        ("balance source", "ip_hash", "source_ip"),
        ("balance random(2)", "random", "source_ip"),
        ("balance hash req.ssl_sni\n hash-type consistent", "maglev", "sni"),
        ("balance static-rr", "round_robin", "source_ip"),
    ],
)
def test_algorithms_are_carried_over(lines: str, balance: str, key: str) -> None:
    found = pool(lines)
    assert (found.balance, found.hash_key) == (balance, key)


def test_an_algorithm_that_looks_into_http_is_named() -> None:
    assert pg("balance uri").rank("balance uri") is Rank.DIFFERENT
    assert pg("hash-balance-factor 150").config.pools["pg"].hash_balance_percent == 150


def test_retries_that_are_switched_off_stay_off() -> None:
    assert pool("retries 0").retries == 0
    assert pg("no option redispatch").rank("no option redispatch") is Rank.DIFFERENT
    assert pool("option allbackups").all_backups


def test_socket_options_are_carried_over() -> None:
    made = pg("option tcpka\n srvtcpka-idle 30s\n clitcpka-cnt 4\n"
              " bind 127.0.0.1:5001 interface eth0 transparent tcp-ut 30s")  # fmt: skip
    web = made.config.listeners["pg-2"]
    assert web.options == {
        "keepalive": 1, "keepalive_probes": 4, "interface": "eth0", "user_timeout_ms": 30_000
    }  # fmt: skip
    assert made.config.pools["pg"].options == {"keepalive": 1, "keepalive_idle_s": 30}
    assert web.transparent
    assert not made.left


def test_a_table_that_nobody_sticks_by_is_no_stickiness() -> None:
    table = "stick-table type ip size 1m expire 10m"
    assert pool(table).sticky is None
    sticky = pool(f"stick on src\n  {table}").sticky
    assert sticky is not None
    assert (sticky.key, sticky.ttl_ms) == ("source_ip", 600_000)


@pytest.mark.parametrize(
    ("words", "alpn", "lost"),
    [
        ("alpn h2,http/1.1", ("h2", "http/1.1"), False),
        ("alpn http/1.1,http/1.0", ("http/1.1",), True),
        ("alpn h3", ("http/1.1",), True),
        ("no-alpn", ("http/1.1",), False),
        ("", (), False),
    ],
)
def test_http_listeners_offer_what_they_speak(
    words: str, alpn: tuple[str, ...], lost: bool
) -> None:
    made = pg(f"mode http\n bind 127.0.0.1:5001 ssl crt /x.pem {words}")
    tls = made.config.listeners["pg-2"].tls
    assert tls is not None
    assert tls.alpn == alpn
    assert any("alpn: clients speak" in one.why for one in made.left) == lost


def test_name_servers_of_addresses_are_named_all_the_same() -> None:
    assert pg("", "resolvers docker").rank("server a") is Rank.NOTE


@pytest.mark.parametrize(
    ("line", "rank"),
    [("stats enable", Rank.DIFFERENT), ("stats refresh 5s", Rank.NOTE)],
)
def test_pages_of_statistics_of_a_section_that_serves_are_named(line: str, rank: Rank) -> None:
    assert pg(line).rank(line) is rank
