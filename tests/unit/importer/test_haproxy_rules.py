"""Access and routing rules of haproxy.cfg: rules, acls and use_backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.importer.draft import Rank
from tests.unit.importer.made import front, of_haproxy

ACCEPT, REJECT = "tcp-request connection accept", "tcp-request connection reject"


@pytest.mark.parametrize(
    ("rules", "allow", "deny"),
    [
        ("tcp-request connection reject if { src 10.0.0.0/8 }", [], ["10.0.0.0/8"]),
        ("acl in src 10.0.0.0/8 fd00::/8\n tcp-request connection reject if !in",
         ["10.0.0.0/8", "fd00::/8"], []),
        ("acl in src 10.0.0.0/8\n tcp-request connection reject unless in", ["10.0.0.0/8"], []),
        (f"acl in src 10.0.0.1\n acl in src 10.0.0.2\n {ACCEPT} if in\n {REJECT}",
         ["10.0.0.1/32", "10.0.0.2/32"], []),
        (f"{ACCEPT} if {{ src 10.1.0.0/16 }}\n {REJECT} if {{ src 10.0.0.0/8 }}",
         ["10.1.0.0/16"], ["10.0.0.0/8"]),
        ("tcp-request connection reject if { src 10.0.0.0/8 } !{ src 10.1.0.0/16 }",
         ["10.1.0.0/16"], ["10.0.0.0/8"]),
        ("tcp-request connection reject if { src 10.0.0.1 } || { src 10.0.0.2 }",
         [], ["10.0.0.1/32", "10.0.0.2/32"]),
        ("tcp-request content reject if { src 10.0.0.0/8 }", [], ["10.0.0.0/8"]),
        ("http-request deny if { src 10.0.0.0/8 }", [], ["10.0.0.0/8"]),
        ("tcp-request connection reject if LOCALHOST", [], ["127.0.0.0/8"]),
    ],
)  # fmt: skip
def test_rules_by_source_are_all_carried_over(
    rules: str, allow: list[str], deny: list[str]
) -> None:
    made = front(rules)
    access = made.config.listeners["f"].access
    assert access is not None
    assert (list(access.allow), list(access.deny)) == (allow, deny)
    assert not made.draft.grave


@pytest.mark.parametrize(
    ("action", "refusal"), [("reject", "reject"), ("silent-drop", "drop"), ("tarpit", "tarpit")]
)
def test_how_clients_are_turned_away_is_carried_over(action: str, refusal: str) -> None:
    rule = "http-request" if action == "tarpit" else "tcp-request connection"
    access = front(f"{rule} {action} if {{ src 10.0.0.0/8 }}").config.listeners["f"].access
    assert access is not None
    assert access.refusal == refusal


def test_a_list_in_a_file_stays_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "bad.lst"
    file.write_text("# bad\n192.0.2.0/24\n198.51.100.7\n")
    access = (
        front(f"tcp-request connection reject if {{ src -f {file} }}").config.listeners["f"].access
    )
    assert access is not None
    assert access.deny_file == str(file)
    rules = (
        "tcp-request connection accept if { src 192.0.2.1 }\n"
        f" tcp-request connection reject if {{ src -f {file} }}"
    )
    made = front(rules)
    access = made.config.listeners["f"].access
    assert access is not None
    assert (access.allow, access.deny) == (
        ("192.0.2.1/32",),
        ("192.0.2.0/24", "198.51.100.7/32"),
    )
    assert made.rank("-f") is Rank.DIFFERENT
    file.unlink()
    assert front(rules).rank("-f") is Rank.OPEN


@pytest.mark.parametrize(
    "rule",
    [
        "tcp-request connection reject if { dst_port 80 }",
        "tcp-request content reject if { req.payload(0,3) -m bin 000000 }",
        "tcp-request content reject",
        "tcp-request content reject if REQ_CONTENT",
        "tcp-request connection reject if nobody",
        "http-request deny if { path_beg /admin }",
        "http-request auth unless { src 10.0.0.0/8 }",
        "tcp-response content reject if { res.len gt 5 }",
        "tcp-request connection reject if { src_get_gpc0 gt 0 }",
        "block if { path /x }",
        "quic-initial reject if { src 10.0.0.0/8 }",
    ],
)
def test_a_rule_that_refuses_and_is_lost_leaves_the_result_open(rule: str) -> None:
    made = front("tcp-request content accept if { req.ssl_hello_type 1 }\n " + rule)
    assert made.rank(rule.split(" if ")[0]) is Rank.OPEN
    assert made.draft.grave


def test_limits_of_a_source_are_carried_over() -> None:
    made = front(
        "stick-table type ip size 100k expire 30s store conn_cur,conn_rate(10s)\n"
        " tcp-request connection track-sc0 src\n"
        " tcp-request connection reject if { src_conn_cur ge 10 }\n"
        " acl fast sc0_conn_rate gt 50\n"
        " tcp-request connection reject if fast"
    )
    limits = made.config.listeners["f"].limits
    assert limits is not None
    assert limits.connections_per_source is not None
    assert limits.connections_per_source.limit == 9
    assert limits.rate_per_source is not None
    assert (limits.rate_per_source.limit, limits.rate_per_source.burst) == (5, 50)
    assert not made.draft.grave


@pytest.mark.parametrize(
    ("condition", "sni"),
    [
        ("{ req.ssl_sni -i A.example }", ("a.example",)),
        ("{ req_ssl_sni -i a.example b.example }", ("a.example", "b.example")),
        ("{ req.ssl_sni -m end .a.example }", ("*.a.example",)),
        ("{ req.ssl_sni -m end a.example }", ("a.example", "*.a.example")),
        ("{ req_ssl_sni_end .a.example }", ("*.a.example",)),
        ("{ ssl_fc_sni a.example }", ("a.example",)),
        ("{ req.ssl_hello_type 1 } { req.ssl_sni a.example }", ("a.example",)),
        ("{ req.ssl_sni -m found }", ("*",)),
    ],
)
def test_backends_by_server_name_are_routes(condition: str, sni: tuple[str, ...]) -> None:
    listener = front(f"use_backend two if {condition}").config.listeners["f"]
    assert [(one.sni, one.pool) for one in listener.routes] == [(sni, "two")]
    assert listener.pool == "one"


def test_backends_by_protocol_source_and_chance_are_routes() -> None:
    made = front(
        "use_backend two if { req.ssl_alpn h2 }\n use_backend two if { src 10.0.0.0/8 }\n"
        " use_backend two if { rand(100) lt 5 }\n"
        " use_backend two if { src 10.0.0.1 } or { src 10.0.0.2 }"
    )
    routes = made.config.listeners["f"].routes
    assert [(one.alpn, one.source, one.percent) for one in routes] == [
        (("h2",), None, None), (None, ("10.0.0.0/8",), None), (None, None, 5.0),
        (None, ("10.0.0.1/32",), None), (None, ("10.0.0.2/32",), None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        "if { path_beg /api }",
        "if !{ req.ssl_sni a.example }",
        "if { req.ssl_sni -m reg ^a }",
        "if { nbsrv(one) lt 1 }",
        "if nobody",
    ],
)
def test_a_backend_that_no_route_can_name_is_missing(condition: str) -> None:
    made = front(f"use_backend two {condition}")
    assert made.rank("use_backend two") is Rank.MISSING
    assert made.draft.grave
    assert front("use_backend %[req.ssl_sni,lower]").rank("use_backend") is Rank.MISSING


def test_names_that_are_refused_are_routed_to_nobody() -> None:
    made = front("tcp-request content reject if { req.ssl_sni -i bad.example }")
    route = made.config.listeners["f"].routes[0]
    assert route.sni == ("bad.example",)
    assert [one.weight for one in made.config.pools[route.pool].backends] == [0]


def test_use_server_is_a_route_to_that_server_with_the_others_behind_it() -> None:
    made = of_haproxy(
        "listen l\n bind :1\n use-server b if { req.ssl_sni b.example }\n"
        " server a 10.0.0.1:1\n server b 10.0.0.2:1\n"
    )
    listener = made.config.listeners["l"]
    pool = made.config.pools[listener.routes[0].pool]
    assert [(one.name, one.backup) for one in pool.backends] == [("a", True), ("b", False)]
    assert listener.pool == "l"


def test_an_acl_that_no_rule_asks_for_is_named() -> None:
    assert front("acl unused src 10.0.0.0/8").rank("acl unused") is Rank.NOTE
    assert not front("acl in src 10.0.0.0/8\n use_backend two if in").left


def test_headers_of_proxies_are_expected_of_whom_haproxy_expects_them() -> None:
    made = front("tcp-request connection expect-proxy layer4 if { src 10.0.0.0/8 }")
    listener = made.config.listeners["f"]
    assert (listener.proxy_protocol, listener.trusted) == ("accept", ("10.0.0.0/8",))
    assert not made.left


def test_rules_of_the_only_backend_behind_a_frontend_hold_at_its_door() -> None:
    made = of_haproxy(
        "frontend f\n bind :1\n default_backend b\n"
        "backend b\n tcp-request content reject if { src 10.0.0.0/8 }\n server s 10.0.0.1:1\n"
    )
    access = made.config.listeners["f"].access
    assert access is not None
    assert access.deny == ("10.0.0.0/8",)


def test_rules_of_a_backend_that_others_share_are_named() -> None:
    made = of_haproxy(
        "frontend f\n bind :1\n default_backend b\nfrontend g\n bind :2\n default_backend b\n"
        "backend b\n tcp-request content reject if { src 10.0.0.0/8 }\n server s 10.0.0.1:1\n"
    )
    assert made.rank("tcp-request content reject") is Rank.OPEN


@pytest.mark.parametrize(
    "line", ["redirect scheme https if !{ ssl_fc }", "http-request redirect scheme https"]
)
def test_clients_that_are_no_longer_sent_to_https_are_in_clear(line: str) -> None:
    assert front(line).rank(line) is Rank.CLEAR


def test_limits_that_turn_away_instead_of_waiting_are_named() -> None:
    made = front("maxconn 100\n rate-limit sessions 50")
    limits = made.config.listeners["f"].limits
    assert limits is not None
    assert limits.connections is not None
    assert limits.rate is not None
    assert (limits.connections.limit, limits.rate.limit) == (100, 50)
    assert made.rank("maxconn") is Rank.DIFFERENT


def test_servers_that_a_backend_picks_by_itself_are_named_or_routed() -> None:
    backend = (
        "backend b\n use-server y if { req.ssl_sni y.example }\n"
        " server x 10.0.0.1:1\n server y 10.0.0.2:1\n"
    )
    made = of_haproxy(f"frontend f\n bind :1\n default_backend b\n{backend}")
    assert made.config.listeners["f"].routes[0].sni == ("y.example",)
    two = "frontend f\n bind :1\n default_backend b\nfrontend g\n bind :2\n default_backend b\n"
    assert of_haproxy(two + backend).rank("use-server") is Rank.MISSING
