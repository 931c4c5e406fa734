"""map, geo and split_clients of nginx.conf as routes; servers that share an address."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.importer.draft import Rank
from tests.unit.importer.made import Made, of_nginx

UPSTREAMS = "upstream a { server 10.0.0.1:1; }\nupstream b { server 10.0.0.2:1; }\n"


def made(folder: Path, variable: str, target: str = "$x", listen: str = "443") -> Made:
    server = f"server {{ listen {listen}; ssl_preread on; proxy_pass {target}; }}"
    return of_nginx(folder, f"stream {{\n{UPSTREAMS}{variable}\n{server}\n}}\n")


def routes(found: Made) -> list[tuple[object, str]]:
    """Returns the condition of each route of the only listener and its pool, then the default
    pool."""
    (listener,) = found.config.listeners.values()
    return [
        *((one.sni or one.alpn or one.source or one.percent, one.pool) for one in listener.routes),
        (None, listener.pool),
    ]


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        ("x.example a; default b;", [(("x.example",), "a"), (None, "b")]),
        ("hostnames; *.x.example a; .y.example a; default b;",
         [(("y.example", "*.x.example", "*.y.example"), "a"), (None, "b")]),
        ("hostnames; *.example b; *.a.example a; x.a.example b; default a;",
         [(("x.a.example",), "b"), (("*.a.example",), "a"), (("*.example",), "b"), (None, "a")]),
        (r"~^www\.example\.com$ a; default b;", [(("www.example.com",), "a"), (None, "b")]),
        (r"~*^.+\.example\.com$ a; default b;", [(("*.example.com",), "a"), (None, "b")]),
        (r"~^(.+\.)?example\.com$ a; default b;",
         [(("example.com", "*.example.com"), "a"), (None, "b")]),
        ('"" b; x.example a; default a;', [(("x.example",), "a"), (("*",), "a"), (None, "b")]),
    ],
)  # fmt: skip
def test_maps_of_server_names_are_routes(
    tmp_path: Path, entries: str, found: list[tuple[object, str]]
) -> None:
    result = made(tmp_path, f"map $ssl_preread_server_name $x {{ {entries} }}")
    assert routes(result) == found
    assert not result.left


def test_a_name_that_no_route_can_say_is_missing(tmp_path: Path) -> None:
    result = made(tmp_path, "map $ssl_preread_server_name $x {\n~\\d+ a;\ndefault b;\n}")
    assert result.rank(r"~\d+ a") is Rank.MISSING
    assert routes(result) == [(None, "b")]


def test_without_a_default_others_are_refused(tmp_path: Path) -> None:
    result = made(tmp_path, "map $ssl_preread_server_name $x { a.example a; }")
    assert routes(result) == [(("a.example",), "a"), (None, "nobody")]
    assert [one.weight for one in result.config.pools["nobody"].backends] == [0]


def test_values_may_be_addresses_parts_and_variables_again(tmp_path: Path) -> None:
    result = made(
        tmp_path,
        "geo $g { default 0; 10.0.0.0/8 1; 10.1.0.0/16 0; }\n"
        "map $g $x { 1 10.0.0.9; default 10.0.0.8; }",
        "$x:99",
    )
    assert routes(result) == [
        (("10.1.0.0/16",), "10.0.0.8:99"), (("10.0.0.0/8",), "10.0.0.9:99"), (None, "10.0.0.8:99")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "found"),
    [
        ("map $ssl_preread_alpn_protocols $x { h2 a; ~\\bacme-tls/1\\b a; default b; }",
         [(("h2", "acme-tls/1"), "a"), (None, "b")]),
        ("map $remote_addr $x { 10.0.0.1 a; default b; }", [(("10.0.0.1/32",), "a"), (None, "b")]),
        ("set $x b;", [(None, "b")]),
    ],
)  # fmt: skip
def test_other_variables_are_routes(
    tmp_path: Path, variable: str, found: list[tuple[object, str]]
) -> None:
    result = made(tmp_path, variable)
    assert routes(result) == found


def test_shares_of_clients_are_routes_and_named(tmp_path: Path) -> None:
    result = made(tmp_path, "split_clients $remote_addr $x {\n0.5% a;\n* b;\n}")
    assert routes(result) == [(0.5, "a"), (None, "b")]
    assert result.rank("split_clients") is Rank.DIFFERENT


def test_tls_or_not_is_a_route(tmp_path: Path) -> None:
    result = made(tmp_path, 'map $ssl_preread_protocol $x { "" a; default b; }')
    assert routes(result) == [(("*",), "b"), (None, "a")]


@pytest.mark.parametrize("target", ["$ssl_preread_server_name:443", "$nobody", "$a$b", "nowhere"])
def test_a_target_that_cannot_be_said_is_a_missing_listener(tmp_path: Path, target: str) -> None:
    lost = f"server {{ listen 1; proxy_pass {target}; }}"
    kept = "server { listen 2; proxy_pass 10.0.0.1:1; }"
    result = of_nginx(tmp_path, f"stream {{\n{lost}\n{kept}\n}}")
    assert result.left[0].rank is Rank.MISSING
    assert len(result.config.listeners) == 1


def test_servers_of_one_address_are_one_listener_with_routes(tmp_path: Path) -> None:
    result = of_nginx(
        tmp_path,
        f"stream {{\n{UPSTREAMS}"
        "server { listen 443 ssl; server_name a.example; proxy_pass a;\n"
        "ssl_certificate /a.pem; ssl_certificate_key /a.key; }\n"
        "server { listen 443 ssl; server_name b.example *.b.example; proxy_pass b;\n"
        "ssl_certificate /b.pem; ssl_certificate_key /b.key; }\n}",
    )
    (listener,) = result.config.listeners.values()
    assert [(one.sni, one.pool) for one in listener.routes] == [(("b.example", "*.b.example"), "b")]
    assert listener.pool == "a"
    assert listener.tls is not None
    assert [one.cert for one in listener.tls.certificates] == ["/a.pem", "/b.pem"]
    assert not result.left


def test_a_default_server_need_not_be_the_first(tmp_path: Path) -> None:
    result = of_nginx(
        tmp_path,
        f"stream {{\n{UPSTREAMS}server {{ listen 1 ssl; server_name a.example; proxy_pass a; "
        "ssl_certificate /a.pem; }\nserver { listen 1 ssl default_server; proxy_pass b;"
        " ssl_certificate /b.pem; deny 10.0.0.0/8; }\n}",
    )
    (listener,) = result.config.listeners.values()
    assert (listener.pool, listener.routes[0].pool) == ("b", "a")
    assert result.left[0].rank is Rank.OPEN  # the rules of one server apply to the other too


def test_a_variable_that_decides_nothing_is_named(tmp_path: Path) -> None:
    result = made(tmp_path, "map $remote_addr $log { default 0; }\nset $x a;")
    assert result.rank("map $remote_addr $log") is Rank.NOTE
