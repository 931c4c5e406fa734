"""Questions of workers, judged: who asks, what the rules say, where the host is."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from l4lb.native.questions import Question
from l4lb.policy.compiled import own_addresses, rules_of, spans_of
from l4lb.policy.files import Books
from l4lb.policy.judge import ALLOWED_S, Judge, Terms, Verdict
from l4lb.policy.names import Addresses, GoneError, ResolveError
from tests.unit.discovery.clock import FakeClock

EVERYWHERE = spans_of(["1-65535"])
RULE: dict[str, Any] = dict.fromkeys(
    ("user", "group", "source", "domain", "lists", "port", "method", "url", "url_regex", "time")
)  # fmt: skip


@dataclass
class FakeNames:
    """Names whose addresses a test says."""

    found: dict[str, Any] = field(default_factory=dict)

    async def resolve(self, host: str) -> Addresses:
        said = self.found.get(host, GoneError(f"{host} does not exist"))
        if isinstance(said, Exception):
            raise said
        return Addresses(*said)


@dataclass
class FakeUsers:
    """Users, with their passwords. asked: how often one was checked."""

    passwords: Mapping[str, str]
    asked: int = 0
    secret: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def hashes(self) -> Mapping[str, str]:
        return self.passwords

    def verify(self, user: str, password: str) -> bool:
        self.asked += 1
        return self.passwords.get(user) == password


def rule(name: str, action: str, **conditions: Any) -> SimpleNamespace:
    return SimpleNamespace(**RULE | {"name": name, "action": action} | conditions)


def question(host: str = "a.example", **more: Any) -> Question:
    asked = {
        "worker": 0, "row": 0, "serial": 1, "key": (1, 2), "forward": 1,
        "source": "192.0.2.9", "port": 80, "host": host.encode(), "method": b"GET", "path": b"",
        "credentials": b"", "socks": False,
    }  # fmt: skip
    return Question(**asked | more)


class Asked:
    """A judge of one test."""

    def __init__(
        self,
        *rules: SimpleNamespace,
        users: Mapping[str, str] | None = None,
        own: Mapping[int, set[str]] | None = None,
        otherwise: str = "allow",
        **terms: Any,
    ) -> None:
        self.clock = FakeClock()
        self.names = FakeNames({"a.example": (("192.0.2.1",), float("inf"))})
        self.users = FakeUsers(users) if users is not None else None
        given = {
            "name": "office",
            "rules": rules_of(rules, otherwise),
            "ports": EVERYWHERE,
            "connect_ports": EVERYWHERE,
            "realm": "office" if users is not None else None,
        }
        self._judge = Judge(
            terms=Terms(**given | terms),
            names=self.names,  # type: ignore[arg-type]
            facts=Books(None, {}),
            users=lambda: self.users,  # type: ignore[arg-type,return-value]
            own=lambda: own or {},
            threads=ThreadPoolExecutor(1),
            clock=self.clock,
        )

    def __call__(self, host: str = "a.example", **more: Any) -> Verdict:
        return asyncio.run(self._judge.judge(question(host, **more)))


def basic(user: str, password: str) -> bytes:
    import base64

    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def test_what_is_allowed_has_its_addresses() -> None:
    assert Asked(rule("all", "allow"))() == Verdict("allow", ALLOWED_S, "all", "", ("192.0.2.1",))


def test_what_is_denied_is_not_looked_up() -> None:
    asked = Asked(rule("none", "deny"))
    asked.names.found["a.example"] = AssertionError("nobody may ask")
    assert asked().kind == "deny"
    assert asked().rule == "none"


@pytest.mark.parametrize(
    ("said", "kind"),
    [(GoneError("gone"), "no_name"), (ResolveError("nobody answers"), "failed")],
)
def test_a_host_without_an_address_is_told_apart(said: Exception, kind: str) -> None:
    asked = Asked()
    asked.names.found["a.example"] = said
    assert asked().kind == kind


def test_an_answer_holds_no_longer_than_its_addresses() -> None:
    asked = Asked()
    asked.names.found["a.example"] = (("192.0.2.1",), asked.clock.now_s() + 7)
    assert asked().ttl_s == 7


@pytest.mark.parametrize(
    ("method", "socks", "port", "kind"),
    [
        (b"GET", False, 80, "allow"),
        (b"GET", False, 443, "deny"),
        (b"CONNECT", False, 443, "allow"),
        (b"CONNECT", False, 80, "deny"),
        (b"CONNECT", True, 80, "allow"),
        (b"CONNECT", True, 443, "deny"),
    ],
)
def test_tunnels_and_requests_have_their_own_ports(
    method: bytes, socks: bool, port: int, kind: str
) -> None:
    asked = Asked(ports=spans_of(["80"]), connect_ports=spans_of(["443"]))
    assert asked(method=method, socks=socks, port=port).kind == kind


def test_nobody_is_sent_to_this_service_itself() -> None:
    own = own_addresses([("0.0.0.0", 3128), ("192.0.2.2", 80)], ["192.0.2.1", "fe80::1%eth0"])
    asked = Asked(own=own)
    assert asked(port=3128) == Verdict("deny", 10.0, "loop")
    assert asked(port=80).kind == "allow"
    asked.names.found["a.example"] = (("192.0.2.2", "192.0.2.1"), float("inf"))
    assert asked(port=80).addresses == ("192.0.2.1",)


def test_a_user_is_asked_for_where_a_rule_needs_one_and_remembered() -> None:
    asked = Asked(
        rule("ann", "allow", user=("ann",)), users={"ann": "right", "bob": "x"}, otherwise="deny"
    )
    assert asked.users is not None
    assert asked() == Verdict("auth", 1.0, "office")
    assert asked(credentials=basic("ann", "wrong")).kind == "auth"
    assert asked(credentials=b"Bearer x").kind == "auth"
    for _ in range(3):
        assert asked(credentials=basic("ann", "right")).user == "ann"
    assert asked.users.asked == 2
    asked.clock.now += 61
    assert asked(credentials=basic("ann", "right")).user == "ann"
    assert asked.users.asked == 3
    assert asked(credentials=basic("bob", "x")) == Verdict("deny", 10.0, "", "bob")
    told = asked(credentials=b"ann\0right", socks=True, method=b"CONNECT")
    assert (told.kind, told.user) == ("allow", "ann")


def test_without_rules_any_user_may_and_nobody_else() -> None:
    asked = Asked(users={"ann": "right"}, known_only=True)
    assert asked().kind == "auth"
    assert asked(credentials=basic("ann", "right")).kind == "allow"


def test_a_proxy_without_users_refuses_where_it_would_ask_for_one() -> None:
    assert Asked(rule("any", "auth"))() == Verdict("deny", 10.0, "nobody")


def test_a_password_that_was_right_is_not_remembered_for_other_users() -> None:
    asked = Asked(rule("all", "allow", user="*"), users={"ann": "old"})
    told = basic("ann", "old")
    assert asked(credentials=told).kind == "allow"
    for _ in range(10):
        asked.users = None  # why: the next ones are made where these were in memory
        asked.users = FakeUsers({"ann": "new"})
        assert asked(credentials=told).kind == "auth"
