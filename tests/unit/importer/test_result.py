"""Settling a draft: the file's format, first match as longest prefix, removals, and the text."""

from __future__ import annotations

import ipaddress
import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l4lb.config.units import DURATION
from l4lb.errors import UsageError
from l4lb.importer import haproxy
from l4lb.importer.draft import Draft, Place, Rank, Table, name_of
from l4lb.importer.kind import kind_of
from l4lb.importer.networks import by_longest_prefix, covered, first_match, network
from l4lb.importer.quantities import milliseconds, natural, written
from l4lb.importer.settle import settle
from l4lb.importer.text import reference, toml
from tests.unit.cli.conftest import L4lb, l4lb
from tests.unit.importer.made import pg, refused

__all__ = ["l4lb"]

HAPROXY = (
    "defaults\n mode tcp\nfrontend f\n bind :1\n default_backend b\n"
    "backend b\n server s 10.0.0.1:1\n"
)
NGINX = "stream {\n server {\n listen 1;\n proxy_pass 10.0.0.1:1;\n }\n}\n"


# ---- whose file ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (HAPROXY, "haproxy"),
        (HAPROXY.replace("\n", "\r\n"), "haproxy"),
        (HAPROXY + " acl a path_beg /x { }\n http-request deny if { path /a }\n", "haproxy"),
        ("frontend f # {\n use_backend b if { src 10.0.0.0/8 }\n", "haproxy"),
        (NGINX, "nginx"),
        ("server { listen 1; proxy_pass 10.0.0.1:1; }", "nginx"),
        ("# listen 80\nupstream backend {\n}\nlisten 1;\n", "nginx"),
    ],
)
def test_files_are_told_by_what_is_in_them(text: str, kind: str) -> None:
    assert kind_of(text, "any.cfg") == kind


def test_a_file_of_neither_is_an_error() -> None:
    with pytest.raises(UsageError, match="--from"):
        kind_of("[listeners.web]\nbind = 1\n", "l4lb.toml")


def test_a_large_file_is_told_at_once() -> None:
    assert kind_of("global\n" + " maxconn 1\n" * 200_000, "x") == "haproxy"


# ---- access rules --------------------------------------------------------------------------------

SMALL = st.builds(
    lambda value, bits: ipaddress.ip_network((value << 24 & ~((1 << (32 - bits)) - 1), bits)),
    st.integers(0, 15), st.integers(0, 8),
)  # fmt: skip
RULES = st.lists(st.tuples(st.booleans(), SMALL, st.booleans()), max_size=7)


@given(RULES)
def test_the_longest_prefix_says_what_the_first_match_said(
    rules: list[tuple[bool, ipaddress.IPv4Network, bool]],
) -> None:
    """Compares both with a naive implementation, for an address in each of the networks."""

    def first(address: ipaddress.IPv4Address) -> bool:
        return next((ok for ok, net, inside in rules if (address in net) == inside), True)

    def comes_in(prefix: object) -> bool:
        return next((ok for ok, net, inside in rules if covered(prefix, {net}) == inside), True)

    allow, deny = by_longest_prefix([net for _, net, _ in rules], comes_in)
    said = [(ipaddress.ip_network(n), True) for n in allow]
    said += [(ipaddress.ip_network(n), False) for n in deny]
    others = bool(deny) or not allow

    def longest(address: ipaddress.IPv4Address) -> bool:
        holds = [(net.prefixlen, ok) for net, ok in said if address in net]
        return max(holds)[1] if holds else others

    for value in range(16):
        address = ipaddress.IPv4Address(value << 24 | 1)
        assert longest(address) == first(address)


def test_long_lists_of_rules_are_read_at_once() -> None:
    rules = [(n % 2 == 0, network(f"10.{n >> 8 & 255}.{n & 255}.0/24")) for n in range(5_000)]
    allow, deny = first_match([*rules, (False, None)])
    assert (len(allow), deny) == (2_500, [])


def test_networks_are_read_as_they_are_meant() -> None:
    assert str(network("10.1.2.3/8")) == "10.0.0.0/8"
    assert str(network("::ffff:10.0.0.1")) == "10.0.0.1/32"


# ---- quantities ----------------------------------------------------------------------------------


@given(st.integers(0, 10**9))
def test_times_are_written_so_that_they_are_read_back(ms: int) -> None:
    assert DURATION.parse(written(ms)) == ms


@pytest.mark.parametrize(
    ("text", "unit", "found"),
    [("60m", "ms", "60m"), ("50000", "ms", "50s"), ("1h30m", "s", "90m"), ("90", "s", "90s"),
     ("007s", "s", "7s"), ("2w", "s", "7d"), ("100us", "ms", "1ms")],
)  # fmt: skip
def test_times_read_as_people_write_them(text: str, unit: str, found: str) -> None:
    assert natural(text, unit, "idle_timeout")[0] == found


@pytest.mark.parametrize("text", ["", "x", "5 parsecs", "1.5s", "-1"])
def test_what_is_no_time_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time"):
        milliseconds(text, "s")


# ---- names and text ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name"),
    [("app servers", "app-servers"), ("unix:/tmp/x.sock", "x"), ("10.0.0.1:80", "10.0.0.1:80"),
     ("[2001:db8::1]:80", "[2001:db8::1]:80"), ("///", "unnamed"), ("a" * 99, "a" * 56)],
)  # fmt: skip
def test_names(text: str, name: str) -> None:
    assert name_of(text) == name


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ue000\ue001\ue002"))


@given(TEXT, TEXT)
def test_any_text_is_written_so_that_toml_reads_it_back(key: str, value: str) -> None:
    place = Place("f", 1, "x\ny")
    draft = Draft(place)
    pool = Table(place)
    pool.put(key or "k", {"inner": [value]}, place)
    draft.pools["p"] = pool
    draft.leave(place, Rank.NOTE, value, ("pools", "p"))
    read = tomllib.loads(toml(draft))
    assert read["pools"]["p"][key or "k"]["inner"] == [value.replace("${", "$${")]


def test_environment_variables_are_written_as_references() -> None:
    place = Place("f", 1, "")
    draft = Draft(place)
    draft.process.put("user", reference("A", "x") + "-${B}", place)
    assert 'user = "${A:-x}-$${B}"' in toml(draft)


def test_a_line_that_was_left_stands_where_it_belongs() -> None:
    text = toml(pg("  frobnicate\\d on", "").draft)
    at = text.index("[pools.pg]")
    assert text[at:].splitlines()[1:3] == [
        r"# /etc/haproxy/haproxy.cfg:9: frobnicate\d on",
        "#   different: not known to this import",
    ]


# ---- settling ------------------------------------------------------------------------------------


def test_what_the_configuration_refuses_is_taken_out_and_named_by_its_line() -> None:
    made = pg("option httpchk GET nowhere", "check")
    health = made.config.pools["pg"].health
    assert health is not None
    assert health.path == "/"
    assert made.rank("option httpchk GET nowhere") is Rank.UNCHECKED


def test_a_listener_whose_pool_is_refused_goes_with_it() -> None:
    draft = haproxy.read(
        "listen a\n bind :1\n server s h_!:1\nlisten b\n bind :2\n server s 10.0.0.1:1\n", "f"
    )
    assert not settle(draft, refused)
    assert list(draft.listeners) == ["b"]
    assert draft.grave


def test_many_pools_have_room() -> None:
    text = "".join(f"listen l{n}\n bind :{n}\n server s 10.0.0.1:1\n" for n in range(1, 301))
    draft = haproxy.read(text, "f")
    assert not settle(draft, refused)
    assert draft.limits["max_pools"] == 300


# ---- the command ---------------------------------------------------------------------------------


def test_the_command_prints_the_one_and_names_the_other(l4lb: L4lb, tmp_path: Path) -> None:
    file = tmp_path / "any"
    file.write_text(HAPROXY.replace(" mode tcp", " mode tcp\n email-alert from x"))
    done = l4lb("import", str(file))
    assert done.status == 0
    assert "[pools.b]" in done.out
    assert f"different: {file}:3: email-alert from x: see `alert`" in done.err
    assert "1 different: it is served in another way" in done.err
    assert l4lb("import", "--strict", str(file)).status == 1


@pytest.mark.parametrize(
    ("line", "rank"),
    [
        ("tcp-request connection reject if { dst_port 1 }", "open"),
        ("redirect scheme https", "clear"),
        ("option spop-check", "unchecked"),
        ("use_backend b if { path /x }", "missing"),
    ],
)
def test_grave_losses_end_with_status_1(l4lb: L4lb, tmp_path: Path, line: str, rank: str) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.replace("\nbackend", f"\n {line}\nbackend")
                    if "spop" not in line else HAPROXY + f" {line}\n")  # fmt: skip
    done = l4lb("import", str(file))
    assert done.status == 1
    assert done.err.startswith(f"{rank}: {file}:")


def test_the_report_can_be_read_by_programs(l4lb: L4lb, tmp_path: Path) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text(NGINX.replace("listen 1;", "listen 1; js_access x;"))
    done = l4lb("import", "--json", str(file))
    told = json.loads(done.out)
    assert (done.status, told["ok"], told["problems"]) == (1, False, [])
    assert told["left"] == [
        {"rank": "open", "file": str(file), "line": 3, "text": "js_access x",
         "why": "there is no JavaScript here", "table": ["listeners", "10.0.0.1:1"]}
    ]  # fmt: skip
    assert tomllib.loads(told["configuration"])["pools"]


def test_files_that_are_not_here_are_told_with_the_line_that_names_them(
    l4lb: L4lb, tmp_path: Path
) -> None:
    file = tmp_path / "haproxy.cfg"
    file.write_text(HAPROXY.replace("bind :1", "bind :1 ssl crt /nowhere.pem"))
    done = l4lb("import", str(file))
    assert done.status == 1
    assert f"to be put right by hand: {file}:4: bind :1 ssl crt /nowhere.pem" in done.err
    assert "[listeners.f.tls]" in done.out


def test_what_cannot_be_read_is_an_error(l4lb: L4lb, tmp_path: Path) -> None:
    done = l4lb("import", str(tmp_path / "none"))
    assert (done.status, "cannot be read" in done.err) == (2, True)


def test_a_result_without_a_listener_says_so(l4lb: L4lb, tmp_path: Path) -> None:
    path = tmp_path / "haproxy.cfg"
    path.write_text("global\n maxconn 1\n")
    done = l4lb("import", str(path))
    assert done.status == 1
    assert "to be put right by hand: " in done.err
    assert "there is no listener" in done.err


def test_a_route_that_would_lose_a_condition_goes_as_a_whole() -> None:
    draft = haproxy.read(
        "frontend f\n bind :1\n use_backend b if { req.ssl_sni not_*_a.name } { src 10.0.0.0/8 }\n"
        " default_backend b\nbackend b\n server s 10.0.0.1:1\n",
        "f",
    )
    assert not settle(draft, refused)
    assert "routes" not in draft.listeners["f"]
    assert any(one.rank is Rank.MISSING and one.place.line == 3 for one in draft.left)
