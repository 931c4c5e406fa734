"""haproxy.cfg: imported parts have the same effect as in HAProxy; all others are named with line
and rank."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from l4lb.errors import UsageError
from l4lb.importer import haproxy
from l4lb.importer.draft import Rank
from l4lb.importer.haproxy.words import words_of
from l4lb.importer.settle import settle
from tests.unit.importer.made import front, of_haproxy, pg, refused

FILE = """\
global
    maxconn 20000
    nbthread 4
    log /dev/log local0
    chroot /var/lib/haproxy
    hard-stop-after 30s

defaults
    mode tcp
    timeout connect 5s
    timeout client 50000
    timeout server 60m
    log global

frontend web
    bind *:8080,[::]:8080 v6only
    bind 127.0.0.1:8081 ssl crt /etc/x.pem
    default_backend "app servers"
    tcp-request connection reject if { src 10.0.0.0/8 }

backend "app servers"
    balance leastconn
    retries 4
    stick-table type ip size 1m expire 10m
    stick on src
    default-server inter 3s rise 4
    server a 10.0.0.1:80 check weight 100
    server b 10.0.0.2:80 check weight 50 maxconn 30 send-proxy
    server c [2001:db8::1]:80 backup check

listen db
    bind 127.0.0.1:5432
    balance source
    hash-type consistent
    server p unix@/run/pg.sock

peers mine
    peer a 10.0.0.9:1024
"""


def test_the_tcp_parts_are_carried_over() -> None:
    config = of_haproxy(FILE).config
    assert config.process.workers == 4
    assert config.process.drain_timeout_ms == 30_000
    assert (config.process.log.access, config.process.log.syslog_facility) == ("syslog", "local0")
    assert config.limits.max_connections == 20_000
    web, tls = config.listeners["web"], config.listeners["web-2"]
    assert list(map(str, web.bind)) == ["0.0.0.0:8080", "[::]:8080"]
    assert tls.tls is not None
    assert tls.tls.certificates[0].cert == "/etc/x.pem"
    assert [one.access.deny for one in (web, tls) if one.access] == [("10.0.0.0/8",)] * 2
    pool = config.pools["app-servers"]
    assert (pool.balance, pool.retries) == ("least_connections", 4)
    assert (pool.connect_timeout_ms, pool.idle_timeout_ms) == (5_000, 50_000)
    assert pool.health is not None
    assert (pool.health.interval_ms, pool.health.rise) == (3_000, 4)
    assert pool.sticky is not None
    assert pool.sticky.ttl_ms == 600_000
    a, b, c = pool.backends
    assert (a.name, str(a.address), a.weight) == ("a", "10.0.0.1:80", 100)
    assert (b.max_connections, c.backup, str(c.address)) == (30, True, "[2001:db8::1]:80")
    db = config.pools["db"]
    assert (db.balance, str(db.backends[0].address)) == ("maglev", "unix:/run/pg.sock")


def test_every_line_that_is_left_is_named_word_for_word_the_gravest_first() -> None:
    left = of_haproxy(FILE).left
    assert [(one.rank, one.place.line) for one in left] == [
        (Rank.MISSING, 28), (Rank.DIFFERENT, 37), (Rank.NOTE, 5), (Rank.NOTE, 38),
    ]  # fmt: skip
    assert left[0].place.text == "server b 10.0.0.2:80 check weight 50 maxconn 30 send-proxy"
    assert str(left[1]).startswith("different: /etc/haproxy/haproxy.cfg:37: peers mine: ")


def test_haproxy_s_own_defaults_are_written_out_where_ours_differ() -> None:
    made = of_haproxy("listen a\n bind :1\n server x 10.0.0.1:2\n")
    pool = made.config.pools["a"]
    assert (pool.retries, pool.connect_timeout_ms) == (3, 600_000)
    assert (pool.idle_timeout_ms, pool.half_closed_timeout_ms) == (7 * 86_400_000,) * 2
    assert not made.left


def test_of_both_sides_timeouts_the_shorter_ends_a_session_unless_there_is_a_tunnel() -> None:
    assert pg("timeout server 5m").config.pools["pg"].idle_timeout_ms == 300_000
    assert pg("timeout tunnel 2h").config.pools["pg"].idle_timeout_ms == 7_200_000
    assert (
        pg("timeout client 0\n timeout server 0").config.pools["pg"].idle_timeout_ms == 604_800_000
    )
    assert pg("timeout client-fin 7s").config.pools["pg"].half_closed_timeout_ms == 7_000


def test_times_are_written_as_they_were() -> None:
    pool = pg("timeout tunnel 60m\n timeout connect 3600000us").draft.pools["pg"]
    assert (pool["idle_timeout"], pool["connect_timeout"]) == ("60m", "3600ms")
    assert pg("timeout tunnel 86400s").draft.pools["pg"]["idle_timeout"] == "86400s"


def test_a_time_of_an_environment_variable_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    made = pg('timeout tunnel "${L4LB_NOBODY_SETS_IT-5s}"')
    assert made.draft.pools["pg"]["idle_timeout"].startswith("\ue000")
    assert made.config.pools["pg"].idle_timeout_ms == 5_000
    monkeypatch.setenv("WHERE", "10.9.9.9")
    made = of_haproxy('listen a\n bind "${WHERE}:1"\n server x "${WHERE}:2"\n')
    assert str(made.config.pools["a"].backends[0].address) == "10.9.9.9:2"


def test_named_defaults_are_those_that_a_section_names() -> None:
    made = of_haproxy(
        "defaults one\n retries 1\ndefaults two from one\n timeout connect 2s\n"
        "defaults three\n retries 5\n"
        "listen a from two\n bind :1\n server x 10.0.0.1:1\n"
        "listen b\n bind :2\n server x 10.0.0.1:1\n"
    )
    a, b = made.config.pools["a"], made.config.pools["b"]
    assert (a.retries, a.connect_timeout_ms, b.retries) == (1, 2_000, 5)


@pytest.mark.parametrize(
    ("line", "binds"),
    [
        ("listen x 192.0.2.1:80", ["192.0.2.1:80"]),
        ("frontend x :80,192.0.2.1:81\n default_backend b", ["0.0.0.0:80", "192.0.2.1:81"]),
        ("listen x\n bind :::80", ["[::]:80", "0.0.0.0:80"]),
        ("listen x\n bind [::]:80 v6only", ["[::]:80"]),
        ("listen x\n bind :::80 v4v6\n bind *:80", ["[::]:80", "0.0.0.0:80"]),
        ("listen x\n bind ipv6@:80", ["[::]:80"]),
        ("listen x\n bind 127.0.0.1:7000-7001", ["127.0.0.1:7000", "127.0.0.1:7001"]),
        ("listen x\n bind 2001:db8::1:80", ["[2001:db8::1]:80"]),
        ("listen x\n bind unix@/run/x.sock", ["unix:/run/x.sock"]),
    ],
)
def test_addresses_are_bound_as_haproxy_binds_them(line: str, binds: list[str]) -> None:
    made = of_haproxy(f"{line}\n server s 10.0.0.1:1\nbackend b\n server s 10.0.0.1:1\n")
    assert list(map(str, made.config.listeners["x"].bind)) == binds


def test_binds_that_say_otherwise_are_listeners_of_their_own() -> None:
    made = pg("bind 127.0.0.1:5001 accept-proxy\n bind 127.0.0.1:5002 maxconn 9")
    modes = {
        str(one.bind[0]): (one.proxy_protocol, one.limits is not None)
        for one in made.config.listeners.values()
    }
    assert modes == {
        "127.0.0.1:5000": ("off", False),
        "127.0.0.1:5001": ("require", False),
        "127.0.0.1:5002": ("off", True),
    }
    assert made.rank("accept-proxy") is Rank.DIFFERENT


def test_a_frontend_without_a_backend_is_missing_and_named_with_its_line() -> None:
    made = pg().draft
    assert not made.grave
    draft = haproxy.read("# one\nfrontend a\n bind :1\n use_backend x if y\n", "f")
    assert not draft.listeners
    assert [(one.rank, one.place.line) for one in draft.ranked()][:2] == [
        (Rank.MISSING, 2), (Rank.MISSING, 4)
    ]  # fmt: skip


def test_sections_of_newer_versions_do_not_leak_into_the_one_before() -> None:
    made = of_haproxy(
        "listen a\n  bind :1\n  server x 10.0.0.1:1 check\n"
        "healthcheck h\n  type httpchk\n  timeout connect 1s\n"
        "acme le\n  retries 7\n"
        "brand-new-section z\n  retries 8\n  server y 10.0.0.9:1\n"
    )
    pool = made.config.pools["a"]
    assert (pool.retries, len(pool.backends)) == (3, 1)
    assert pool.health is not None
    assert pool.health.type == "tcp"
    for text in ("healthcheck h", "type httpchk", "brand-new", "retries 8"):
        assert made.says(text)
    assert made.rank("server y") is Rank.MISSING


def test_what_nobody_here_knows_is_ranked_by_the_worst_it_may_be() -> None:
    made = pg("  frobnicate on\n deny-frobnication all\n ssl-frobnicate x", "check frob-check x")
    assert made.rank("frobnicate on") is Rank.DIFFERENT
    assert made.rank("deny-frobnication") is Rank.OPEN
    assert made.rank("ssl-frobnicate") is Rank.CLEAR


def test_a_section_that_is_disabled_is_off() -> None:
    made = of_haproxy("listen a\n bind :1\n disabled\n server x 10.0.0.1:1\nlisten b\n bind :2\n"
                      " server x 10.0.0.1:1\n")  # fmt: skip
    assert list(made.config.listeners) == ["b"]


def test_large_weights_keep_their_proportions() -> None:
    text = "listen a\n bind :1\n server x h:1 weight 1000\n server y h:2 weight 250\n"
    one, two = haproxy.read(text.replace("h:", "10.0.0.1:"), "f").pools["a"]["backends"]
    assert (one["weight"], two["weight"]) == (256, 64)


def test_a_page_of_statistics_becomes_the_dashboard_s_address() -> None:
    stats = "listen stats\n bind 127.0.0.1:8404\n mode http\n stats enable\n stats uri /\n"
    made = of_haproxy(stats + "listen a\n bind :1\n server x 10.0.0.1:1\n")
    assert str(made.config.process.http) == "127.0.0.1:8404"
    asks = of_haproxy(stats + " stats auth a:b\nlisten a\n bind :1\n server x 10.0.0.1:1\n")
    assert asks.config.process.http is None
    assert asks.says("stats enable")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b # c", ["a", "b"]),
        (r'a "b c" d\ e', ["a", "b c", "d e"]),
        ("a 'b # c'", ["a", "b # c"]),
        (r"a\#b", ["a#b"]),
        (r"PING\r\n", ["PING\r\n"]),
        (r'"PING\r\n\x41"', ["PING\r\nA"]),
        (r"'PING\r\n'", [r"PING\r\n"]),
        (r"^a\.b\d", [r"^a\.b\d"]),
        ('a""b ""', ["ab", ""]),
        ("'${A}'", ["${A}"]),
        ('"$A"', ["\ue000A\ue002"]),
        ("# all", []),
        ("  ", []),
    ],
)
def test_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


def test_what_is_no_haproxy_file_is_an_error() -> None:
    with pytest.raises(UsageError, match="no section of HAProxy's"):
        haproxy.read("stream { }\n", "f")


def test_line_numbers_are_those_of_an_editor() -> None:
    text = "listen a\r\n bind :1\r\n server x 10.0.0.1:1\x0b\u2028\r\n frobnicate\r\n"
    left = haproxy.read("\ufeff" + text, "f").ranked()
    assert [(one.place.line, one.place.text) for one in left if "frob" in one.place.text] == [
        (4, "frobnicate")
    ]


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="no haproxy here")
def test_the_file_of_this_test_is_one_that_haproxy_reads(tmp_path: Path) -> None:
    file = tmp_path / "haproxy.cfg"
    lines = [line for line in FILE.splitlines() if "ssl crt" not in line and "chroot" not in line]
    file.write_text("\n".join(lines).replace('"app servers"', "app") + "\n")
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


WORDS = (
    "global", "defaults", "frontend f", "backend b", "listen l", "listen m :1", "peers p", "bind",
    "bind :1", "bind :1 ssl crt x.pem verify required", "bind *:2 accept-proxy", "server",
    "server a", "server a b", "server a 10.0.0.1:1 weight x",
    "server b h.example:80 check ssl verify none", "server c 10.0.0.1:99999",
    "server d 10.0.0.1:1 check inter 1us maxconn 4294967296 port 0",
    "server-template t 3 _x._tcp.y:1 resolvers r", "timeout client", "timeout x 1s",
    "timeout connect never", "timeout check 9y", "timeout queue 0", "timeout client 300d",
    "balance", "balance odd", "balance hash src", "maxconn", "maxconn -4", "nbthread z",
    "nbthread 0", "retries", "retries -1", "stick", "stick on src",
    "stick-table type ip expire 1000d", "mode", "source", "source 2001:db8::1", "option",
    "option httpchk", "option httpchk OPTIONS *", "no option httpchk",
    "option httpchk GET nothing", "option redis-check", "http-check expect rstatus [", "'",
    "http-check expect status 9", "tcp-check send-binary zz", "tcp-check connect port 70000",
    "tcp-check expect rstring (?=x)", "option tcp-check", "option external-check",
    "acl a src 10.0.0.0/8 2001:db8::/32", "acl b src x", "tcp-request connection reject if a",
    "tcp-request connection accept unless a !b",
    "tcp-request connection reject if { src -f /nope }",
    "use_backend b if { req.ssl_sni -i a.example }",
    "use_backend b if { req.ssl_sni -m end .x. }", "use_backend l", "default_backend b",
    "rate-limit sessions 0", "log 127.0.0.1 local0", "log x", "tcp-request inspect-delay 0",
    "hash-balance-factor 99999999", "\x00", "stats enable", "disabled",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=14))
def test_whatever_is_read_the_result_is_taken_and_nothing_crashes(lines: list[str]) -> None:
    try:
        draft = haproxy.read("\n".join(lines), "/f")
    except UsageError:
        return
    found = settle(draft, refused)
    assert not draft.listeners or not found, found


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_cut_into_words(line: str) -> None:
    assert all(isinstance(word, str) for word in words_of(line))


def test_a_time_out_of_bounds_is_moved_and_named() -> None:
    made = pg("timeout tunnel 30d")
    assert made.config.pools["pg"].idle_timeout_ms == 604_800_000
    assert made.rank("timeout tunnel 30d") is Rank.DIFFERENT


def test_a_listener_without_default_backend_refuses_those_that_no_rule_takes() -> None:
    made = of_haproxy(
        "frontend f\n bind :1\n use_backend b if { req.ssl_sni -i a.example }\n"
        "backend b\n server s 10.0.0.1:1\n"
    )
    listener = made.config.listeners["f"]
    assert listener.routes[0].sni == ("a.example",)
    assert all(one.weight == 0 for one in made.config.pools[listener.pool].backends)


def test_rules_of_a_frontend_are_carried_over_with_its_binds() -> None:
    made = front(
        "option tcplog\n tcp-request inspect-delay 3s\n use_backend two if { src 10.0.0.0/8 }"
    )
    listener = made.config.listeners["f"]
    assert listener.handshake_timeout_ms == 3_000
    assert [(one.source, one.pool) for one in listener.routes] == [(("10.0.0.0/8",), "two")]
    assert not made.left
