"""Names of hosts, found by a name server on loopback whose answers a test sets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from l4lb.policy import names as module
from l4lb.policy.names import Addresses, GoneError, Names, ResolveError, Settings
from tests.unit.discovery.clock import FakeClock
from tests.unit.discovery.nameserver import Nameserver, Says, nameserver

SOA = ["example 30 SOA ns.example. admin.example. 1 2 3 4 20"]


@pytest.fixture
def server() -> Iterator[Nameserver]:
    with nameserver() as one:
        yield one


class Asked:
    """A resolver of one test, with a clock that stands still. Its answers are awaited together."""

    def __init__(self, server: Nameserver, **settings: Any) -> None:
        self.clock = FakeClock()
        place = ("127.0.0.1", server.port)
        self._settings = Settings(**({"servers": [place]} | settings))

    def run(self, act: Callable[[Names], Coroutine[Any, Any, Any]]) -> Any:
        async def whole() -> Any:
            names = Names(self._settings, self.clock)
            try:
                return await act(names)
            finally:
                await names.close()

        return asyncio.run(whole())

    def found(self, host: str) -> tuple[str, ...]:
        addresses = self.run(lambda names: names.resolve(host))
        assert isinstance(addresses, Addresses)
        return addresses.found


def rows(kind: str, *values: str, ttl: int = 60, name: str = "a.example") -> list[str]:
    return [f"{name} {ttl} {kind} {value}" for value in values]


def both(server: Nameserver) -> None:
    server.zone["a.example A"] = rows("A", "192.0.2.1", "192.0.2.2", "192.0.2.3")
    server.zone["a.example AAAA"] = rows("AAAA", "2001:db8::1", ttl=40)


def test_addresses_of_both_families_come_by_turns(server: Nameserver) -> None:
    both(server)
    server.zone["a.example AAAA"] = rows("AAAA", "2001:db8::1", "2001:db8::2")
    found = Asked(server).found("a.example")
    assert [":" in one for one in found] == [True, False, True, False, False]
    # In which order a family's addresses come is the server's choice.
    assert set(found[::2]) == {"2001:db8::1", "2001:db8::2", found[4]}
    assert sorted(server.asked) == ["a.example A", "a.example AAAA"]


def test_only_the_family_of_the_settings_is_asked_for(server: Nameserver) -> None:
    both(server)
    asked = Asked(server, family="ipv6")
    assert asked.found("a.example") == ("2001:db8::1",)
    assert server.asked == ["a.example AAAA"]
    with pytest.raises(ResolveError, match="IPv4 are not used"):
        asked.found("192.0.2.1")


def test_an_address_is_its_own_and_nobody_is_asked(server: Nameserver) -> None:
    assert Asked(server).found("192.0.2.1") == ("192.0.2.1",)
    assert Asked(server).found("[2001:db8::1]") == ("2001:db8::1",)
    for host in ("localhost", "x.localhost"):
        with pytest.raises(GoneError):
            Asked(server).found(host)
    assert server.asked == []


def test_no_more_than_eight_addresses_are_used(server: Nameserver) -> None:
    server.zone["a.example A"] = rows("A", *(f"192.0.2.{n}" for n in range(30)))
    server.zone["a.example AAAA"] = rows("AAAA", *(f"2001:db8::{n:x}" for n in range(30)))
    found = Asked(server).found("a.example")
    assert len(found) == 8
    assert sum(":" in one for one in found) == 4


def test_an_answer_is_kept_for_its_time_within_limits(server: Nameserver) -> None:
    both(server)
    asked = Asked(server, family="ipv4", min_ttl_s=50.0, max_ttl_s=100.0)

    async def act(names: Names) -> list[float]:
        until = []
        for ttl in (1, 70, 7_000):
            server.zone["a.example A"] = rows("A", "192.0.2.1", ttl=ttl)
            until.append((await names.resolve("a.example")).valid_until_s - asked.clock.now)
            asked.clock.now += until[-1] - 0.5
            await names.resolve("a.example")
            asked.clock.now += 0.5
        return until

    assert asked.run(act) == [50, 70, 100]
    assert server.count("a.example A") == 3


def test_the_sooner_end_of_both_answers_counts(server: Nameserver) -> None:
    both(server)
    asked = Asked(server)
    assert asked.run(lambda names: names.resolve("a.example")).valid_until_s == 40


def test_a_name_that_does_not_exist_is_remembered_too(server: Nameserver) -> None:
    server.zone["a.example A"] = Says(rcode="NXDOMAIN", authority=SOA)
    server.zone["a.example AAAA"] = Says(authority=SOA)
    asked = Asked(server)

    async def act(names: Names) -> None:
        for seconds in (19, 2):
            with pytest.raises(GoneError, match=r"a\.example: the name does not exist"):
                await names.resolve("a.example")
            asked.clock.now += seconds
        assert len(server.asked) == 2
        with pytest.raises(GoneError):
            await names.resolve("a.example")
        assert len(server.asked) == 4

    asked.run(act)


def test_a_server_that_fails_is_not_asked_again_at_once(server: Nameserver) -> None:
    for record in ("A", "AAAA"):
        server.zone[f"a.example {record}"] = Says(rcode="SERVFAIL")
    asked = Asked(server)

    async def act(names: Names) -> int:
        for _ in range(2):
            with pytest.raises(ResolveError, match="SERVFAIL") as told:
                await names.resolve("a.example")
            assert not isinstance(told.value, GoneError)
        before = len(server.asked)
        asked.clock.now += 1.5
        both(server)
        assert (await names.resolve("a.example")).found
        return before

    assert asked.run(act) <= 4  # dnspython asks a server that fails twice at most


def test_a_silent_server_takes_no_longer_than_the_time_out(server: Nameserver) -> None:
    for record in ("A", "AAAA"):
        server.zone[f"a.example {record}"] = Says(silent=True)
    with pytest.raises(ResolveError, match="did not answer"):
        Asked(server, timeout_s=0.2).found("a.example")


def test_the_next_server_is_asked_where_one_is_silent(server: Nameserver) -> None:
    both(server)
    with nameserver() as silent:
        silent.zone["a.example A"] = Says(silent=True)
        places = [("127.0.0.1", one.port) for one in (silent, server)]
        asked = Asked(server, servers=places, family="ipv4", timeout_s=30.0)
        assert sorted(asked.found("a.example")) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
        assert silent.count("a.example A") == 1


@pytest.mark.parametrize("fault", [Says(silent=True), Says(rcode="SERVFAIL"), Says()])
def test_one_family_is_enough(server: Nameserver, fault: Says) -> None:
    both(server)
    server.zone["a.example AAAA"] = fault
    asked = Asked(server, timeout_s=30.0)
    assert sorted(asked.found("a.example")) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


def test_an_answer_without_a_late_family_is_soon_looked_at_again(server: Nameserver) -> None:
    both(server)
    server.zone["a.example AAAA"] = Says(silent=True)
    asked = Asked(server, timeout_s=30.0)
    assert asked.run(lambda names: names.resolve("a.example")).valid_until_s <= 1.0


def test_equal_questions_are_asked_once(server: Nameserver) -> None:
    both(server)

    async def act(names: Names) -> None:
        waiting = [asyncio.create_task(names.resolve("a.example")) for _ in range(50)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert all(isinstance(one, Addresses) for one in answers[1:])

    Asked(server).run(act)
    assert sorted(server.asked) == ["a.example A", "a.example AAAA"]


def test_aliases_are_followed_within_the_answer(server: Nameserver) -> None:
    alias = ["a.example 9 CNAME b.example."]
    server.zone["a.example A"] = alias + rows("A", "192.0.2.9", name="b.example")
    server.zone["a.example AAAA"] = Says(alias, authority=SOA)
    asked = Asked(server, min_ttl_s=0.0)
    answer = asked.run(lambda names: names.resolve("a.example"))
    assert answer == Addresses(("192.0.2.9",), 9.0)


def test_addresses_of_another_name_are_not_taken(server: Nameserver) -> None:
    server.zone["a.example A"] = rows("A", "192.0.2.9", name="evil.example")
    server.zone["a.example AAAA"] = Says()
    with pytest.raises(ResolveError):
        Asked(server).found("a.example")


def test_answers_and_questions_are_bounded(
    server: Nameserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWERS_MAX", 3)
    monkeypatch.setattr(module, "ASKED_MAX", 2)
    hosts = [f"{letter}.example" for letter in "abcde"]
    for host in hosts:
        server.zone[f"{host} A"] = rows("A", "192.0.2.1", name=host)

    async def act(names: Names) -> None:
        for host in hosts:
            await names.resolve(host)
        assert len(names._answers) == 3
        server.asked.clear()
        for host in ("e.example", "c.example", "a.example"):
            await names.resolve(host)
        assert server.asked == ["a.example A"]
        at_once = [names.resolve(f"x{n}.example") for n in range(5)]
        answers = await asyncio.gather(*at_once, return_exceptions=True)
        assert sum(isinstance(one, GoneError) for one in answers) == 2
        assert sum("more than 2 names" in str(one) for one in answers) == 3
        assert not names._asked

    Asked(server, family="ipv4").run(act)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example", ".", ""])
def test_what_is_no_name_fails_as_a_question(server: Nameserver, host: str) -> None:
    with pytest.raises(ResolveError):
        Asked(server).found(host)
    assert server.asked == []


def test_questions_under_way_end_with_the_resolver(server: Nameserver) -> None:
    server.zone["a.example A"] = Says(silent=True)

    async def act(names: Names) -> None:
        waiting = asyncio.create_task(names.resolve("a.example"))
        await asyncio.sleep(0.05)
        await names.close()
        with pytest.raises(ResolveError, match="given up"):
            await waiting

    Asked(server, family="ipv4", timeout_s=60.0).run(act)
