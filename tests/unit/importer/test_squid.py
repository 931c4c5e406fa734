"""squid.conf as a forward proxy."""

from __future__ import annotations

from typing import Any

import pytest

from l4lb.config.reading import parse
from l4lb.importer import squid
from l4lb.importer.draft import Draft, Rank
from l4lb.importer.kind import kind_of
from l4lb.importer.text import toml

USUAL = """
acl localnet src 10.0.0.0/8   # RFC 1918
acl localnet src fc00::/7
acl SSL_ports port 443
acl Safe_ports port 80
acl Safe_ports port 1025-65535
http_access deny !Safe_ports
http_access deny CONNECT !SSL_ports
http_access allow localhost manager
http_access deny manager
http_access deny to_localhost
http_access allow localnet
http_access deny all
http_port 127.0.0.1:3128
coredump_dir /var/spool/squid
refresh_pattern . 0 20% 4320
"""


def read(text: str) -> Draft:
    return squid.read(text, "squid.conf")


def forward(text: str) -> dict[str, Any]:
    return dict(read(text).forwards["squid"])


def rules(*lines: str) -> list[dict[str, Any]]:
    return [dict(one) for one in forward("\n".join(lines)).get("rules", [])]


def ranks(*lines: str) -> list[Rank]:
    """The ranks of what was left, but for the note that each result has."""
    draft = read("\n".join(lines))
    return [one.rank for one in draft.ranked() if one.place != draft.place]


def test_the_configuration_that_squid_brings_along_is_converted_and_valid() -> None:
    draft = read(USUAL)
    given = draft.forwards["squid"]
    assert given["ports"] == [80, "1025-65535"]
    assert given["connect_ports"] == [443]
    assert [dict(one) for one in given["rules"]] == [
        {"name": "localnet", "action": "allow", "source": ["10.0.0.0/8", "fc00::/7"]},
        {"name": "all", "action": "deny"},
    ]
    assert "otherwise" not in given
    assert not draft.grave
    config = parse.loads(toml(draft), "result")
    assert config.listeners["proxy"].forward == "squid"


def test_it_is_recognised() -> None:
    assert kind_of(USUAL, "x") == "squid"
    assert kind_of("frontend a\n  acl b src 10.0.0.0/8\n  bind :80\n", "x") == "haproxy"


@pytest.mark.parametrize(
    ("acl", "key", "value"),
    [
        ("src 10.0.0.1-10.0.0.2", "source", ["10.0.0.1/32", "10.0.0.2/32"]),
        ("src 10.1.0.0/255.255.0.0", "source", ["10.1.0.0/16"]),
        ("dstdomain .a.example b.example", "domain", ["a.example", "*.a.example", "b.example"]),
        ("port 80 8000-8080", "port", [80, "8000-8080"]),
        ("method POST PUT", "method", ["POST", "PUT"]),
        ("proxy_auth REQUIRED", "user", "*"),
        ("proxy_auth ann bob", "user", ["ann", "bob"]),
        ("time SA 08:00-12:30", "time", "sat 08:00-12:30, sun 08:00-12:30"),
        ("url_regex -i ^http://a/.*[.]exe$", "url_regex", ["(?i)^a/.*[.]exe$"]),
    ],
)
def test_each_kind_of_acl_is_a_condition(acl: str, key: str, value: object) -> None:
    assert rules(f"acl x {acl}", "http_access allow x") == [
        {"name": "x", "action": "allow", key: value}
    ]


def test_a_file_of_domains_is_a_list() -> None:
    text = 'acl ads dstdomain "/etc/ads.txt"\nhttp_access deny ads\nhttp_access allow all\n'
    draft = read(text)
    assert dict(draft.lists["ads"]) == {"files": ["/etc/ads.txt"]}
    assert draft.forwards["squid"]["rules"][0]["list"] == "ads"


def test_who_has_not_logged_in_is_asked() -> None:
    found = rules(
        "acl known proxy_auth REQUIRED", "http_access deny !known", "http_access allow all"
    )
    assert [one["action"] for one in found] == ["auth", "allow"]


def test_the_opposite_of_the_last_line_holds_for_the_rest() -> None:
    text = "acl a src 10.0.0.1\nhttp_access deny a\n"
    assert forward(text)["otherwise"] == "allow"
    assert "otherwise" not in forward("acl a src 10.0.0.1\nhttp_access allow a\n")


@pytest.mark.parametrize(
    ("line", "rank"),
    [
        ("http_access deny x", Rank.OPEN),
        ("http_access allow x", Rank.MISSING),
        ("http_access deny !y", Rank.OPEN),
        ("http_access allow !y", Rank.MISSING),
        ("http_access deny y y2", Rank.OPEN),
        ("http_access permit y", Rank.OPEN),
        ("http_port 3128 intercept", Rank.MISSING),
        ("ssl_bump peek all", Rank.OPEN),
        ("auth_param ntlm program /x", Rank.MISSING),
        ("cache_peer a parent 3128 0", Rank.MISSING),
        ("what_is_this on", Rank.DIFFERENT),
    ],
)
def test_what_has_no_counterpart_is_told(line: str, rank: Rank) -> None:
    acls = ("acl x browser Wget", "acl y src 10.0.0.1", "acl y2 src 10.0.0.2")
    assert ranks("http_port 127.0.0.1:3128", *acls, line) == [rank]


def test_users_names_and_the_log_are_converted() -> None:
    draft = read(
        "http_port 127.0.0.1:3128\n"
        "auth_param basic program /usr/lib/squid/basic_ncsa_auth /etc/squid/passwd\n"
        "auth_param basic realm Our proxy\n"
        "auth_param basic credentialsttl 2 hours\n"
        "dns_nameservers 10.0.0.53 10.0.0.54\n"
        "forwarded_for delete\n"
        "access_log daemon:/var/log/squid/access.log squid\n"
    )
    given = draft.forwards["squid"]
    assert given["auth"] == {
        "htpasswd": "/etc/squid/passwd", "realm": "Our proxy", "remember": "7200s",
    }  # fmt: skip
    assert given["resolve"] == {"servers": ["10.0.0.53", "10.0.0.54"]}
    assert given["anonymous"] is True
    assert draft.process["log"] == {
        "access": "/var/log/squid/access.log", "access_format": "squid",
    }  # fmt: skip
