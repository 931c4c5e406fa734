"""DNS with partial failures: names that answer are used, names that fail keep their last
addresses."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rrset
import pytest

from l4lb.discovery import resolver
from l4lb.discovery.dns import ASKED_AT_ONCE
from l4lb.discovery.resolver import time_to_live
from l4lb.discovery.types import Member
from tests.unit.discovery.conftest import Following, following
from tests.unit.discovery.nameserver import Nameserver, Says, nameserver

FAILURES = [
    Says(rcode="NXDOMAIN"), Says(rcode="SERVFAIL"), Says(rcode="REFUSED"), Says(rcode="NOTIMP"),
    Says(silent=True),
]  # fmt: skip
FAILURE_IDS = ["nxdomain", "servfail", "refused", "notimp", "silent"]
A = ["web.example 0 A 10.0.0.1"]
AAAA = ["web.example 0 AAAA fd00::1"]
SOA = "example {ttl} SOA ns.example. root.example. 1 1 1 1 {minimum}"


@pytest.fixture
def server() -> Iterator[Nameserver]:
    with nameserver() as one:
        yield one


def settings(server: Nameserver, name: str = "web.example", **more: Any) -> dict[str, Any]:
    of_type = {} if name.startswith("_") else {"port": 80}
    return {
        "type": "dns", "name": name, "servers": [server.server], "min_ttl": "100ms",
        "timeout": "3s", "interval": "300ms", **of_type, **more,
    }  # fmt: skip


def until_whole(source: Following) -> None:
    while source.answer().faults:
        pass


@pytest.mark.parametrize("failure", FAILURES, ids=FAILURE_IDS)
@pytest.mark.parametrize("failing", ["A", "AAAA"])
def test_a_family_that_fails_voids_nothing_of_the_other(
    server: Nameserver, failing: str, failure: Says
) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": AAAA}
    other = {"A": "[fd00::1]:80", "AAAA": "10.0.0.1:80"}[failing]
    server.zone[f"web.example {failing}"] = failure
    with following(**settings(server)) as source:
        while not (answer := source.answer()).faults:
            assert [one.address for one in answer.members] == [other]
        assert [one.address for one in answer.members] == [other]
        (fault,) = answer.faults
        assert fault.startswith(f'{failing} of "web.example": ')
        asked = server.count(f"web.example {failing}")
        while server.count(f"web.example {failing}") < asked + 2:
            assert source.answer().faults == (
                fault,
            )  # equal word for word, so that it is reported once


@pytest.mark.parametrize("failure", FAILURES, ids=FAILURE_IDS)
def test_a_family_that_fails_later_keeps_what_it_had_found_and_the_other_changes(
    server: Nameserver, failure: Says
) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": AAAA}
    with following(**settings(server)) as source:
        assert source.addresses() == ["10.0.0.1:80", "[fd00::1]:80"]
        server.zone["web.example AAAA"] = failure
        while not source.answer().faults:
            pass
        server.zone["web.example A"] = ["web.example 0 A 10.0.0.2"]
        source.until("10.0.0.2:80", "[fd00::1]:80")
        server.zone["web.example AAAA"] = ["web.example 0 AAAA fd00::2"]
        source.until("10.0.0.2:80", "[fd00::2]:80")
        until_whole(source)


def test_what_an_earlier_process_found_of_a_family_that_fails_stays(server: Nameserver) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": Says(rcode="SERVFAIL")}
    before = [Member("10.0.0.9:80"), Member("[fd00::9]:80"), Member("[fd00::8]:81")]
    with following(before, **settings(server)) as source:
        assert source.addresses() == ["10.0.0.1:80", "[fd00::9]:80"]


def test_a_family_that_is_silent_does_not_hold_up_the_other(server: Nameserver) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": Says(silent=True)}
    with following(**settings(server, timeout="10m")) as source:
        assert source.addresses() == ["10.0.0.1:80"]
        server.zone["web.example A"] = ["web.example 0 A 10.0.0.2"]
        source.until("10.0.0.2:80")


def test_both_families_failing_is_a_fault_of_the_source(server: Nameserver) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": AAAA}
    with following(**settings(server)) as source:
        assert source.addresses()
        server.zone = dict.fromkeys(server.zone, Says(rcode="SERVFAIL"))
        assert 'A of "web.example"' in source.fault()


def test_no_address_beside_a_failure_is_no_empty_answer(server: Nameserver) -> None:
    server.zone = {"web.example A": [], "web.example AAAA": Says(rcode="SERVFAIL")}
    with following(**settings(server)) as source:
        assert 'AAAA of "web.example"' in source.fault()


def test_addresses_that_nobody_can_connect_to_are_left_out(server: Nameserver) -> None:
    server.zone = {"web.example A": [*A, "web.example 0 A 0.0.0.0"], "web.example AAAA": []}
    with following(**settings(server)) as source:
        answer = source.answer()
        assert [one.address for one in answer.members] == ["10.0.0.1:80"]
        assert "0.0.0.0" in answer.faults[0]


def test_a_family_that_is_not_wanted_is_not_asked_for(server: Nameserver) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": AAAA}
    with following(**settings(server, family="ipv6")) as source:
        assert source.addresses() == ["[fd00::1]:80"]
    assert server.count("web.example A") == 0


# ---- services ----------------------------------------------------------------------------------


def services(*rows: str) -> list[str]:
    return [f"_x._tcp.example 0 SRV {row}" for row in rows]


def test_one_bad_target_leaves_the_others_alone(server: Nameserver) -> None:
    server.zone = {
        "_x._tcp.example SRV": services(
            "1 1 80 a.example.", "1 1 80 gone.example.", "1 1 80 broken.example.", "1 1 80 .",
            "1 1 0 a.example.",
        ),
        "a.example A": ["a.example 0 A 10.0.0.1"], "a.example AAAA": [],
        "broken.example A": Says(rcode="SERVFAIL"), "broken.example AAAA": Says(rcode="SERVFAIL"),
    }  # fmt: skip
    with following(**settings(server, "_x._tcp.example")) as source:
        answer = source.answer()
    assert [one.address for one in answer.members] == ["10.0.0.1:80"]
    told = " / ".join(answer.faults)
    for word in ('"gone.example"', '"broken.example"', "port 0", 'target "."'):
        assert word in told, told


def test_a_target_that_goes_keeps_what_it_had(server: Nameserver) -> None:
    server.zone = {
        "_x._tcp.example SRV": services("1 1 80 a.example.", "1 1 80 b.example."),
        "a.example A": ["a.example 0 A 10.0.0.1"], "a.example AAAA": [],
        "b.example A": ["b.example 0 A 10.0.0.2"], "b.example AAAA": [],
    }  # fmt: skip
    with following(**settings(server, "_x._tcp.example")) as source:
        assert source.addresses() == ["10.0.0.1:80", "10.0.0.2:80"]
        del server.zone["b.example A"], server.zone["b.example AAAA"]
        while not (answer := source.answer()).faults:
            pass
        assert [one.address for one in answer.members] == ["10.0.0.1:80", "10.0.0.2:80"]
        server.zone["_x._tcp.example SRV"] = services("1 1 80 a.example.")
        source.until("10.0.0.1:80")


def test_only_bad_targets_are_a_fault_and_a_single_dot_is_an_empty_answer(
    server: Nameserver,
) -> None:
    server.zone = {"_x._tcp.example SRV": services("1 1 80 gone.example.")}
    with following(**settings(server, "_x._tcp.example")) as source:
        assert '"gone.example"' in source.fault()
    server.zone = {"_x._tcp.example SRV": services("0 0 0 .")}
    with following(**settings(server, "_x._tcp.example")) as source:
        assert source.addresses() == []


def test_two_targets_on_one_host_and_port_are_one_backend_with_both_shares(
    server: Nameserver,
) -> None:
    server.zone = {
        "_x._tcp.example SRV": services(
            "1 10 80 a.example.", "1 10 80 b.example.", "1 10 81 a.example.", "2 5 80 a.example."
        ),
        "a.example A": ["a.example 0 A 10.0.0.1"], "a.example AAAA": [],
        "b.example A": ["b.example 0 A 10.0.0.1"], "b.example AAAA": [],
    }  # fmt: skip
    with following(**settings(server, "_x._tcp.example")) as source:
        for _ in range(3):
            assert source.next() == [
                Member("10.0.0.1:80", weight=20),
                Member("10.0.0.1:81", weight=10),
            ]


def test_the_lowest_priority_that_resolves_serves(server: Nameserver) -> None:
    server.zone = {
        "_x._tcp.example SRV": services(
            "1 0 80 gone.example.", "2 0 80 a.example.", "3 0 80 b.example."
        ),
        "a.example A": ["a.example 0 A 10.0.0.1"], "a.example AAAA": [],
        "b.example A": ["b.example 0 A 10.0.0.2"], "b.example AAAA": [],
    }  # fmt: skip
    with following(**settings(server, "_x._tcp.example")) as source:
        assert source.next() == [Member("10.0.0.1:80"), Member("10.0.0.2:80", backup=True)]


def test_addresses_that_come_along_are_not_asked_for_while_they_are_good(
    server: Nameserver,
) -> None:
    server.zone = {
        "_x._tcp.example SRV": Says(
            ["_x._tcp.example 3600 SRV 1 1 80 A.example."],
            additional=["a.example 0 A 10.0.0.1"],
        ),
        "a.example A": ["a.example 0 A 10.0.0.2"], "a.example AAAA": [],
        "A.example A": ["A.example 0 A 10.0.0.2"], "A.example AAAA": [],
    }  # fmt: skip
    with following(**settings(server, "_x._tcp.example")) as source:
        assert source.addresses() == ["10.0.0.1:80"]
        source.until("10.0.0.2:80")  # the target's time is over long before the record's
    assert server.count("_x._tcp.example SRV") == 1


# ---- times -------------------------------------------------------------------------------------


def test_the_least_time_of_a_chain_counts(server: Nameserver) -> None:
    def chain(target: str, host: str) -> list[str]:
        return [
            "web.example 3600 CNAME mid.example.", f"mid.example 0 CNAME {target}.",
            f"{target} 3600 A {host}",
        ]  # fmt: skip

    server.zone["web.example A"] = chain("one.example", "10.0.0.1")
    with following(**settings(server, record="a")) as source:
        assert source.addresses() == ["10.0.0.1:80"]
        server.zone["web.example A"] = chain("two.example", "10.0.0.2")
        source.until("10.0.0.2:80")


@pytest.mark.parametrize("rcode", ["NOERROR", "NXDOMAIN"])
def test_nothing_without_a_zone_s_word_is_asked_for_again_soon(
    server: Nameserver, rcode: str
) -> None:
    server.zone["web.example A"] = Says(rcode=rcode)
    with following(**settings(server, record="a")) as source:
        if rcode == "NOERROR":
            assert source.addresses() == []
        else:
            assert source.fault() == '"web.example" does not exist'
        server.zone["web.example A"] = A
        while (said := source.said()) != [Member("10.0.0.1:80")]:
            assert said in ([], '"web.example" does not exist')


SECTIONS: list[tuple[Says, float]] = [
    (Says(["web.example 9 A 10.0.0.1"]), 9),
    (Says(["web.example 7 CNAME b.example.", "b.example 9 A 10.0.0.1"]), 7),
    (Says(["web.example 9 CNAME b.example.", "b.example 7 A 10.0.0.1"]), 7),
    (Says(), 0),
    (Says(rcode="NXDOMAIN"), 0),
    (Says(["web.example 7 CNAME b.example."]), 0),
    (Says(authority=[SOA.format(ttl=60, minimum=30)]), 30),
    (Says(authority=[SOA.format(ttl=20, minimum=30)]), 20),
    (Says(authority=[SOA.format(ttl=20, minimum=30)], rcode="NXDOMAIN"), 20),
    (Says(["web.example 7 CNAME b.example."], [SOA.format(ttl=60, minimum=30)]), 7),
    (Says(authority=[SOA.format(ttl=60, minimum=30).replace("example", "else", 1)]), 0),
]


@pytest.mark.parametrize(("says", "ttl_s"), SECTIONS)
def test_how_long_an_answer_is_good(server: Nameserver, says: Says, ttl_s: float) -> None:
    server.zone["web.example A"] = says
    wire = server._reply(dns.message.make_query("web.example", "A").to_wire())
    assert wire is not None
    response = dns.message.from_wire(wire)
    assert isinstance(response, dns.message.QueryMessage)
    assert time_to_live(response) == ttl_s


# ---- servers -----------------------------------------------------------------------------------


def closed_port() -> int:
    """Returns a UDP port on which nothing receives."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.mark.parametrize("first", [True, False])
def test_two_servers_at_one_address_are_two(server: Nameserver, first: bool) -> None:
    server.zone = {"web.example A": A, "web.example AAAA": []}
    servers = [server.server, f"127.0.0.1:{closed_port()}"]
    with following(**settings(server) | {"servers": servers if first else servers[::-1]}) as source:
        assert source.addresses() == ["10.0.0.1:80"]


def test_a_silent_server_leaves_time_for_the_next(server: Nameserver) -> None:
    server.zone = {"web.example A": A}
    with nameserver() as silent:
        silent.zone["web.example A"] = Says(silent=True)
        both = [silent.server, server.server]
        with following(**settings(server, record="a", timeout="1s") | {"servers": both}) as source:
            assert source.addresses() == ["10.0.0.1:80"]


@pytest.mark.parametrize("how", ["rewritten", "turned"])
def test_the_host_s_name_servers_are_followed(
    server: Nameserver, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.zone["web.example A"] = ["web.example 3600 A 10.0.0.1"]
    monkeypatch.setattr(resolver, "DNS_PORT", server.port)
    monkeypatch.setattr(resolver, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    for name, host in (("dead", "127.9.9.9"), ("good", "127.0.0.1")):
        (tmp_path / name).write_text(f"# a comment\nnameserver nonsense\nnameserver {host} # x\n")
    (tmp_path / "resolv.conf").symlink_to("dead")
    asked = settings(server, record="a", interval="1h")
    del asked["servers"]
    with following(**asked) as source:
        assert 'A of "web.example"' in source.fault()
        (tmp_path / "dead").write_text("")  # names none while it is written
        if how == "turned":
            (tmp_path / "new").symlink_to("good")
            (tmp_path / "new").rename(tmp_path / "resolv.conf")
        else:
            (tmp_path / "dead").write_text((tmp_path / "good").read_text())
        while source.said() != [Member("10.0.0.1:80")]:
            pass


def test_what_each_server_did_is_told(server: Nameserver) -> None:
    server.zone["web.example A"] = Says(rcode="SERVFAIL")
    with nameserver() as silent:
        silent.zone["web.example A"] = Says(silent=True)
        both = [silent.server, server.server]
        with following(**settings(server, record="a") | {"servers": both}) as source:
            fault = source.fault()
    assert f"127.0.0.1 port {silent.port} did not answer" in fault
    assert f"127.0.0.1 port {server.port} answered SERVFAIL" in fault


def test_a_host_without_name_servers_is_a_fault(
    server: Nameserver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "RESOLV_CONF", str(tmp_path / "resolv.conf"))
    asked = settings(server)
    del asked["servers"]
    with following(**asked) as source:
        assert "no name server is configured" in source.fault()


def test_a_thousand_targets_are_followed_without_asking_for_all_at_once(
    server: Nameserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The work for each answer does not grow with the number of targets."""
    busy, maximum = 0, 0
    count = 1_000
    records = dns.rrset.from_text(
        "_x._tcp.example.", 3600, "IN", "SRV", *(f"1 1 80 n{n}.example." for n in range(count))
    )

    async def ask(_: resolver.Resolver, name: dns.name.Name, record: str) -> resolver.Found:
        nonlocal busy, maximum
        busy, maximum = busy + 1, max(maximum, busy + 1)
        await asyncio.sleep(0)
        busy -= 1
        if record == "SRV":
            return resolver.Found(tuple(records), 3600.0)
        number = int(name.labels[0][1:])
        host = f"10.1.{number >> 8}.{number & 255}"
        found = dns.rrset.from_text(name, 3600, "IN", "A", host) if record == "A" else ()
        return resolver.Found(tuple(found), 3600.0)

    monkeypatch.setattr(resolver.Resolver, "ask", ask)
    with following(**settings(server, "_x._tcp.example")) as source:
        while len(source.addresses()) < count:
            pass
    assert maximum <= ASKED_AT_ONCE
