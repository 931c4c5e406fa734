"""Plans of checks: made from a configuration, and sent over a channel without a change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import pytest

from l4lb.checker.judge import Verdict
from l4lb.checker.members import Member
from l4lb.checker.plan import Agent, Plan, messages, plans
from l4lb.checker.stream import tls_name
from l4lb.checker.types import Settings, Target, Way
from l4lb.config.build import build
from l4lb.config.origin import Origin
from l4lb.config.reading.resolve import Answer, resolve
from l4lb.frames import packed
from l4lb.native.rows import Address
from l4lb.supervisor.process.child import channel
from tests.unit.supervisor.tables import closed_port, table_of

from .conftest import Backend, Process

LOOPBACK = Answer(["127.0.0.1"])
WAY = Way(("10.0.0.9",), {"mark": 7, "interface": "eth0"})
POOL = {
    "backends": ["10.0.0.1:80"],
    "source": "10.0.0.9",
    "mark": 7,
    "interface": "eth0",
    "on_down": "close",
    "alert": ["/bin/true", "x"],
    "health": {
        "type": "tls", "sni": "a.example", "verify": False, "interval": "1s",
        "steps": [{"send": "a", "expect": "b"}, {"expect": "c"}],
    },
    "agent": {"port": 99, "interval": "3s", "send": "hi\n"},
    "passive": {"slow": {"factor": 2.5}},
}  # fmt: skip


def planned() -> dict[str, Plan]:
    pools = {"web": POOL, "plain": {"backends": ["10.0.0.1:81"]}}
    listeners = {"w": {"bind": [":80"], "pool": "web"}}
    return plans(build({"listeners": listeners, "pools": pools}, Origin()))


def test_a_pools_plan_is_what_its_tables_say() -> None:
    web = planned()["web"]
    assert web.checks is not None
    assert (web.checks.type, web.checks.sni, web.checks.verify) == ("tls", "a.example", False)
    assert (web.checks.way.sources, web.checks.interval_ms) == (("10.0.0.9",), 1_000)
    assert web.checks.steps == [{"send": "a", "expect": "b"}, {"expect": "c"}]
    assert web.agent == Agent(99, 3_000, 1_000, "hi\n", WAY)
    assert (web.on_down, list(web.alert), web.slow_factor) == ("close", ["/bin/true", "x"], 2.5)
    assert planned()["plain"] == Plan()


def secured(**health: object) -> Settings:
    """Returns the checks of a pool that uses TLS towards its backends."""
    tls = {"ca": "/ca", "server_name": "b.example", "cert": "/cert", "key": "/key"}
    pool = {"backends": ["10.0.0.1:443"], "tls": tls, "health": {"type": "https", **health}}
    listeners = {"w": {"bind": [":80"], "pool": "web"}}
    checks = plans(build({"listeners": listeners, "pools": {"web": pool}}, Origin()))["web"].checks
    assert checks is not None
    return checks


def test_checks_in_tls_are_as_the_pools_sessions_where_they_do_not_say_otherwise() -> None:
    same = secured()
    assert (same.verify, same.ca, same.sni) == (True, "/ca", "b.example")
    assert (same.cert, same.key) == ("/cert", "/key")
    other = secured(verify=False, ca="/other", sni="c.example")
    assert (other.verify, other.ca, other.sni) == (False, "/other", "c.example")
    elsewhere = secured(port=9443)
    assert (elsewhere.verify, elsewhere.ca, elsewhere.sni) == (True, None, None)
    assert elsewhere.cert is None
    assert (same.as_sessions, elsewhere.as_sessions) == (True, False)


@pytest.mark.parametrize(
    ("given", "due"),
    [
        ({}, None),
        ({"host": "h.test:8443"}, "h.test"),
        ({"host": "h.test", "sni": "s.test"}, "s.test"),
        ({"as_sessions": True}, "b.test"),
        ({"as_sessions": True, "host": "h.test"}, "b.test"),
        ({"as_sessions": True, "sni": "s.test"}, "s.test"),
    ],
)
def test_the_name_that_tls_asks_for_is_the_checks_own_or_that_of_sessions(
    given: dict[str, Any], due: str | None
) -> None:
    asked = Settings("https", 1_000, 500, 2, 3, 0, **given)
    by_name = Target(Address("10.0.0.1", 443), "web", "b", "b.test")
    assert tls_name(by_name, asked) == due
    by_address = Target(Address("10.0.0.1", 443), "web", "b")
    assert tls_name(by_address, asked) == ("10.0.0.1" if due == "b.test" else due)
    assert tls_name(Target(Address("", 0, "/run/b")), asked) == (None if due == "b.test" else due)


def test_a_plan_says_by_which_name_each_backend_was_found_where_checks_need_it() -> None:
    def of(kind: str) -> Plan:
        backends = [{"name": "a", "address": "localhost:443"}, "127.0.0.2:443"]
        pool = {"backends": backends, "tls": {}, "health": {"type": kind}}
        listeners = {"w": {"bind": [":80"], "pool": "web"}}
        config = build({"listeners": listeners, "pools": {"web": pool}}, Origin())
        found = resolve(config, look_up=lambda names, _: dict.fromkeys(names, LOOPBACK))
        return plans(found)["web"]

    assert (of("https").names, of("tcp").names) == ({"a": "localhost"}, {})
    (message,) = messages({"web": of("tls")})
    again = Plan.from_map(msgpack.unpackb(msgpack.packb(message))["pools"]["web"])
    assert again.names == {"a": "localhost"}
    (row,) = table_of({"web": {"a": Address("127.0.0.1", 443)}}).backends()
    assert Member(row, again, Verdict("unknown")).target.asked == "localhost"
    assert again.checks is not None
    elsewhere = replace(again, checks=replace(again.checks, address="10.9.9.9"))
    assert Member(row, elsewhere, Verdict("unknown")).target.asked == ""


def test_a_plan_is_the_same_at_the_other_end_of_a_channel() -> None:
    sent = [msgpack.unpackb(msgpack.packb(one)) for one in messages(planned())]
    (message,) = sent
    assert (message["op"], message["count"]) == ("plans", 2)
    assert message["pools"]["plain"] == {}
    web, again = planned()["web"], Plan.from_map(message["pools"]["web"])
    assert list(again.alert) == list(web.alert)
    assert again.checks == web.checks
    assert (again.agent, again.slow_factor, again.on_down) == (web.agent, 2.5, "close")


def test_a_thousand_pools_fit_into_a_channels_buffer() -> None:
    one = Plan(Settings("http", 1_000, 500, 3, 4, 10, path="/healthz", host="www.example.org"))
    ours, theirs = channel()
    with ours, theirs:
        for message in messages({f"pool-{n}": one for n in range(1_024)}):
            ours.send(msgpack.packb(message))


def test_a_plan_longer_than_a_message_comes_in_parts(backend: Backend) -> None:
    process = Process(table_of({"web": {"a": backend.address}}), {})
    alert = ["/bin/true", *["x" * 4_000] * 30]
    (message,) = messages({"web": Plan(Settings("tcp", 20, 20_000, 1, 1, 0), alert=alert)})
    frames = packed(message)
    try:
        assert len(frames) > 3
        for frame in frames:
            process.channel.send(frame)
        process.until_checked()
    finally:
        process.close()


def test_a_checker_that_lost_a_plan_makes_room_for_one_that_has_them_all(backend: Backend) -> None:
    table = table_of({"web": {"a": backend.address}, "other": {"b": closed_port()}})
    process = Process(table, {})
    try:
        process.channel.send(msgpack.packb({"op": "plans", "pools": {}, "count": 2}))
        assert process.ended() != "exited"
    finally:
        process.close()


def test_checks_say_a_proxy_header_where_sessions_do() -> None:
    def said(health: dict[str, object]) -> str:
        pools = {"web": {"backends": ["10.0.0.1:80"], "send_proxy": "v2", "health": health}}
        config = build(
            {"listeners": {"w": {"bind": [":80"], "pool": "web"}}, "pools": pools}, Origin()
        )
        checks = plans(config)["web"].checks
        assert checks is not None
        return checks.send_proxy

    assert said({}) == "v2"
    assert said({"send_proxy": "off"}) == "off"
    assert said({"port": 81}) == "off"
    assert said({"port": 81, "send_proxy": "v1"}) == "v1"
