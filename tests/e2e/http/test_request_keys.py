"""Values of requests as keys of a pool: by hash_key they choose a backend, by sticky.key clients
belong to one; the same over workers and versions of HTTP."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from ..harness import PORTS, Balancer, Door, run, toml, until
from ..harness.http import Fields, Peer, Request, answer, before, client, request
from ..harness.http2 import client as http2_client
from ..harness.origin import Origin
from .test_upgrades import AGREED, UPGRADE

NAMES = ("a", "b", "c")
KEYS = [f"user-{n}" for n in range(24)]
ASKED: Mapping[str, Callable[[str], tuple[str, Fields, str]]] = {
    "header:X-User": lambda key: ("/", [("x-user", key)], "h.example"),
    "cookie:sid": lambda key: ("/", [("cookie", f"other=1; sid={key}")], "h.example"),
    "query:id": lambda key: (f"/?x=1&%69d={key}&id=2", [], "h.example"),
    "host": lambda key: ("/", [], f"{key}.example"),
    "path": lambda key: (f"/u/{key}?x={len(key)}", [], "h.example"),
}


def named(name: str) -> Callable[[Request], bytes]:
    """Answers with the origin's name, and sets the cookie that the request asks for."""

    def answering(asked: Request) -> bytes:
        fields = [("Set-Cookie", value) for value in asked.all("x-set")]
        return answer(name.encode(), fields=fields)

    return answering


@contextmanager
def three(names: tuple[str, ...] = NAMES, **settings: Any) -> Iterator[tuple[Balancer, Any]]:
    """Yields a balancer with two workers before origins that answer with their names."""
    with ExitStack() as stack:
        origins = {one: stack.enter_context(Origin(named(one), name=one)) for one in names}
        rows = [one.row for one in origins.values()]
        lb = stack.enter_context(before(rows, **{"workers": 2, **settings}))
        yield lb, origins


def met(lb: Balancer, target: str = "/", fields: Fields = (), host: str = "h.example") -> str:
    """Returns the backend that a request of a new client reaches."""
    with client(lb) as peer:
        peer.say(request(target, fields=fields, host=host))
        got = peer.answer()
        assert got.status == 200, got
        return got.body.decode()


def met_by_cookie(lb: Balancer, value: str) -> str:
    return met(lb, fields=[("Cookie", f"sid={value}")])


def workers_used(lb: Balancer) -> bool:
    return all(row["accepted"] for row in lb.ask("workers"))


def entries(lb: Balancer) -> dict[str, str]:
    return {row["client"]: row["backend"] for row in lb.ask("sticky", pool="web")}


@pytest.mark.parametrize(
    ("key", "balance"), [*((key, "maglev") for key in ASKED), ("header:X-User", "ip_hash")]
)
def test_a_value_leads_to_one_backend_over_workers_and_versions(key: str, balance: str) -> None:
    asked = {one: ASKED[key](one) for one in KEYS}
    with three(balance=balance, hash_key=key) as (lb, _):
        first = {one: met(lb, *asked[one]) for one in KEYS}
        assert set(first.values()) == set(NAMES), "values spread over the backends"
        with client(lb) as one_client, http2_client(lb) as h2:
            for one, (target, fields, host) in asked.items():
                one_client.say(request(target, fields=fields, host=host))
                assert one_client.answer().body.decode() == first[one]
                got = h2.ask(target, fields=fields, host=host)
                assert bytes(got.body).decode() == first[one]
        until(
            lambda: (
                [met(lb, *asked[one]) for one in KEYS] == list(first.values()) and workers_used(lb)
            ),
            "both workers have served",
        )


@pytest.mark.parametrize("key", ["header:X-User", "cookie:sid", "query:id"])
def test_a_request_without_the_value_is_hashed_by_its_address(key: str) -> None:
    without: list[tuple[str, Fields]] = [
        ("/", []),
        ("/?id=&idd=7", [("x-user", ""), ("cookie", "sid=; sidd=7")]),
        ("/other", [("x-users", "7")]),
    ]
    with three(balance="maglev", hash_key=key) as (lb, _):
        found = {met(lb, target, fields) for target, fields in without for _ in range(6)}
        assert len(found) == 1


def test_spellings_of_one_path_and_one_host_are_one_key() -> None:
    with three(balance="maglev", hash_key="path") as (lb, _):
        for n in range(8):
            same = {met(lb, one) for one in (f"/u{n}", f"//%75{n}?a", f"/x/../u{n}?b")}
            assert len(same) == 1
    with three(balance="maglev", hash_key="host") as (lb, _):
        for n in range(8):
            same = {met(lb, host=one) for one in (f"u{n}.example", f"U{n}.EXAMPLE:81")}
            assert len(same) == 1


def test_a_backend_that_leaves_moves_its_own_values_only() -> None:
    keys = [f"key-{n}" for n in range(60)]
    with three(balance="maglev", hash_key="header:X-User") as (lb, _):
        first = {one: met(lb, fields=[("X-User", one)]) for one in keys}
        lb.admin("maint", "web/b")
        after = {one: met(lb, fields=[("X-User", one)]) for one in keys}
        assert all((first[one] == after[one]) == (first[one] != "b") for one in keys)
        lb.admin("ready", "web/b")
        assert {one: met(lb, fields=[("X-User", one)]) for one in keys} == first


def test_a_retry_goes_where_all_requests_of_the_value_go_then() -> None:
    """The order in which a value's backends are tried is the same for each of its requests."""
    with three(balance="maglev", hash_key="header:X-User", retries=2) as (lb, origins):
        first = {one: met(lb, fields=[("X-User", one)]) for one in KEYS}
        origins["b"].refuse()
        origins["b"].close_all()
        after = {one: met(lb, fields=[("X-User", one)]) for one in KEYS}
        assert all(first[one] == after[one] for one in KEYS if first[one] != "b")
        for _ in range(2):
            assert {one: met(lb, fields=[("X-User", one)]) for one in KEYS} == after


def test_a_reload_takes_another_value() -> None:
    with three(balance="maglev", hash_key="header:X-User") as (lb, _):
        fields = {one: [("X-User", one), ("X-Other", "same")] for one in KEYS}
        assert len({met(lb, fields=one) for one in fields.values()}) == 3
        assert lb.config is not None
        lb.config["pools"]["web"]["hash_key"] = "header:X-Other"
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        assert len({met(lb, fields=one) for one in fields.values()}) == 1
        (pool,) = lb.ask("pools")
        assert pool["hash_key"] == "header:x-other"


# ---- sticky --------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ASKED)
def test_a_value_belongs_to_one_backend_over_workers_a_death_and_an_upgrade(key: str) -> None:
    asked = {one: ASKED[key](one) for one in KEYS}

    def all_met() -> dict[str, str]:
        return {one: met(lb, *asked[one]) for one in KEYS}

    with three(sticky={"key": key}) as (lb, _):
        first = all_met()
        assert len(set(first.values())) > 1
        assert all_met() == first
        with http2_client(lb) as h2:
            for one, (target, fields, host) in asked.items():
                assert bytes(h2.ask(target, fields=fields, host=host).body).decode() == first[one]
        for worker in range(2):
            lb.wait_for_new_worker(worker, lb.kill(worker))
        assert all_met() == first
        lb.admin("upgrade")
        assert all_met() == first
        assert workers_used(lb)


def test_requests_without_the_value_are_not_sticky() -> None:
    with three(sticky={"key": "header:X-User"}) as (lb, _):
        assert {met(lb) for _ in range(12)} == set(NAMES)
        assert entries(lb) == {}


def test_a_cookie_that_a_backend_sets_leads_back_to_it() -> None:
    with three(sticky={"key": "cookie:sid"}) as (lb, _):
        own = {}
        for n in range(30):
            said = [("X-Set", f"other=x{n}"), ("X-Set", f"sid=value-{n}; Path=/; HttpOnly")]
            own[f"value-{n}"] = met(lb, fields=said)
        assert set(own.values()) == set(NAMES)
        assert {value: met_by_cookie(lb, value) for value in own} == own
        with http2_client(lb) as h2:
            for value, name in own.items():
                got = h2.ask(fields=[("cookie", "a=1"), ("cookie", f"sid={value}")])
                assert bytes(got.body).decode() == name
        for worker in range(2):
            lb.wait_for_new_worker(worker, lb.kill(worker))
        assert {value: met_by_cookie(lb, value) for value in own} == own
        lb.admin("upgrade")
        assert {value: met_by_cookie(lb, value) for value in own} == own
        assert workers_used(lb)


def test_a_long_cookie_is_known_after_an_upgrade_that_moves_its_pool() -> None:
    value = "s%3A" + 200 * "x" + "-{}"
    with three(sticky={"key": "cookie:sid"}) as (lb, _):
        assert lb.config is not None
        web = lb.config["pools"].pop("web")

        def reload(*before: str) -> None:
            assert lb.config is not None
            lb.config["pools"] = {
                **{one: {"backends": ["127.0.0.1:9"]} for one in before},
                "new": web,
            }
            lb.config["listeners"]["web"]["pool"] = "new"
            (lb.folder / "l4lb.toml").write_text(toml(lb.config))
            lb.admin("reload")

        reload("first", "second")
        own = {
            value.format(n): met(lb, fields=[("X-Set", "sid=" + value.format(n))])
            for n in range(12)
        }
        assert len(set(own.values())) > 1
        reload()
        lb.admin("upgrade")
        assert {one: met_by_cookie(lb, one) for one in own} == own


def test_a_cookie_that_is_taken_away_is_not_learnt() -> None:
    with three(sticky={"key": "cookie:sid"}) as (lb, _):
        met(lb, fields=[("X-Set", "sid=; Max-Age=0"), ("X-Set", "sidd=1"), ("X-Set", "sid")])
        assert entries(lb) == {}


def test_a_client_whose_backend_went_belongs_to_the_next_one() -> None:
    with three(sticky={"key": "cookie:sid"}) as (lb, _):
        own = met(lb, fields=[("X-Set", "sid=one")])
        lb.admin("maint", f"web/{own}")
        moved = met_by_cookie(lb, "one")
        assert moved != own
        lb.admin("ready", f"web/{own}")
        assert {met_by_cookie(lb, "one") for _ in range(6)} == {moved}


def test_a_tunnel_keeps_the_entry_of_its_client_alive() -> None:
    with Door() as door, before([door.address], sticky={"key": "cookie:sid", "ttl": "1s"}) as lb:
        with client(lb) as peer:
            peer.say(request("/chat", fields=[*UPGRADE, ("Cookie", "sid=abc")]))
            with Peer(door.accept()) as backend:
                backend.bytes_until(b"\r\n\r\n")
                backend.say(AGREED)
                peer.bytes_until(b"\r\n\r\n")
                (row,) = lb.ask("sticky", pool="web")
                assert row["client"] == "abc"
                until(lambda: _renewed(lb), "the entry was used again")
        until(lambda: not entries(lb), "it is forgotten after the tunnel")


def _renewed(lb: Balancer) -> bool:
    """True if the only entry is younger than the tunnel's session."""
    (row,) = lb.ask("sticky", pool="web")
    (session,) = lb.ask("sessions")
    return bool(session["age_ms"] > 2000 and row["idle_ms"] < 1000)


def test_an_operator_sees_sets_and_clears_values_and_no_secret_is_shown() -> None:
    secret = "0123456789abcdef"
    with three(sticky={"key": "cookie:sid"}) as (lb, _):
        met(lb, fields=[("X-Set", f"sid={secret}")])
        assert list(entries(lb)) == ["01234567..."]
        lb.admin("sticky", "web", "--set", secret, "--to", "c")
        assert {met_by_cookie(lb, secret) for _ in range(4)} == {"c"}
        assert lb.admin("sticky", "web", "--clear", secret) == {"pool": "web", "cleared": 1}
        assert entries(lb) == {}


# ---- explain -------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ASKED)
def test_explain_tells_the_value_and_where_it_leads(key: str) -> None:
    with three(balance="maglev", hash_key=key, sticky={"key": key, "ttl": "1h"}) as (lb, _):
        for one in KEYS[:8]:
            target, fields, host = ASKED[key](one)
            said = [word for name, value in fields for word in ("--header", f"{name}: {value}")]
            url = f"http://{host}{target}"
            told = lb.admin("explain", "web", "--request", f"GET {url}", *said)
            values = {row["key"]: row["value"] for row in told["keys"]}
            assert values.keys() == {"hash_key", "sticky.key"}
            assert all(one in value for value in values.values())
            assert told["backend"] == met(lb, target, fields, host)
            again = lb.admin("explain", "web", "--request", f"GET {url}", *said)
            assert (again["backend"], again["why"]) == (
                told["backend"],
                f"it belongs to {told['backend']} (sticky)",
            )


def test_explain_tells_that_a_value_is_missing() -> None:
    with three(balance="maglev", hash_key="header:X-User") as (lb, _):
        told = lb.admin("explain", "web", "--request", "GET http://h/")
        assert told["keys"] == [{"key": "hash_key", "takes": "header:x-user", "value": None}]
        shown = run("admin", "--socket", lb.socket, "explain", "web", "--request", "GET http://h/")
        assert "header:x-user" in shown.stdout


def test_clients_of_tcp_of_the_same_pool_are_hashed_by_their_address() -> None:
    """What a TCP client says is not looked at, and it is not sticky."""
    with three(balance="maglev", hash_key="header:X-User", sticky={"key": "cookie:sid"}) as (lb, _):
        assert lb.config is not None
        port = PORTS.take()
        listeners = lb.config["listeners"]
        listeners["raw"] = {"bind": [f"127.0.0.1:{port}"], "pool": "web"}
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        lb.admin("reload")
        found = set()
        for one in KEYS[:8]:
            with Peer(socket.create_connection(("127.0.0.1", port), timeout=20)) as peer:
                found.add(peer.ask(fields=[("X-User", one), ("Cookie", f"sid={one}")]).body)
        assert len(found) == 1
        assert entries(lb) == {}
        assert len({met(lb, fields=[("X-User", one)]) for one in KEYS[:8]}) > 1
