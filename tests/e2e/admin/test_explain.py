"""`explain` names the backend that the client then gets, `simulate` the effect of a change. Neither
changes anything."""

from __future__ import annotations

import json
import socket

import pytest
from hellos import hello

from ..harness import Backends, Balancer, greet, read_line, run
from ..harness.datagrams import UdpBackends, ask, clients, udp_balancer


def met(lb: Balancer, source: str) -> str:
    """Returns the backend that a new connection from this address reaches."""
    with socket.create_connection(lb.address, timeout=20, source_address=(source, 0)) as client:
        return read_line(client)


def told(lb: Balancer, client: str) -> str:
    """Returns the backend that `explain` names for this client."""
    return str(lb.ask("explain", pool="web", client=client)["backend"])


@pytest.mark.parametrize("balance", ["round_robin", "ip_hash", "maglev", "first"])
def test_what_is_explained_then_happens(three: Backends, balance: str) -> None:
    with Balancer.before(three.rows(a=2), balance=balance) as lb:
        for _ in range(2):
            for i in range(1, 13):
                source = f"127.8.0.{i}"
                assert told(lb, source) == told(lb, source) == met(lb, source)
            lb.admin("maint", "web/b")


def test_connections_in_progress_and_the_port_are_part_of_the_explanation(three: Backends) -> None:
    with Balancer.before(three.rows(b=2), balance="least_connections") as lb:
        clients = []
        for _ in range(12):
            name = told(lb, "127.0.0.1")
            client, reached = greet(lb)
            clients.append(client)
            assert reached == name
        for client in clients:
            client.close()
    with Balancer.before(three.rows(), balance="maglev", hash_key="source_ip_port") as lb:
        for _ in range(12):
            with socket.socket() as client:
                client.bind(("127.0.0.1", 0))
                ours = f"127.0.0.1:{client.getsockname()[1]}"
                name = told(lb, ours)
                client.settimeout(20)
                client.connect(lb.address)
                assert read_line(client) == name


def test_a_server_name_is_the_same_with_capitals_and_a_dot_at_its_end(three: Backends) -> None:
    with Balancer.before(three.rows(), balance="maglev", hash_key="sni") as lb:
        for number in range(6):
            with lb.connect() as client:
                client.sendall(hello(f"h{number}.example"))
                own = read_line(client)
            for name in (f"h{number}.example", f"H{number}.example."):
                answer = lb.ask("explain", pool="web", client="127.0.0.1", sni=name)
                assert answer["backend"] == own


def test_a_sticky_client_is_told_its_own_backend(three: Backends) -> None:
    with Balancer.before(three.rows(), sticky={}) as lb:
        own = met(lb, "127.8.1.1")
        for _ in range(4):
            answer = lb.ask("explain", pool="web", client="127.8.1.1")
            assert (answer["backend"], answer["sticky"]) == (own, True)
        before = lb.ask("sticky", pool="web")
        assert lb.ask("explain", pool="web", client="127.8.1.2")["sticky"] is False
        assert len(lb.ask("sticky", pool="web")) == len(before) == 1
        lb.admin("drain", f"web/{own}")
        name = told(lb, "127.8.1.1")
        assert name != own
        assert met(lb, "127.8.1.1") == name


def test_it_is_said_why_a_backend_is_not_taken() -> None:
    with Backends(5) as backends:
        rows = backends.rows(c=0)
        rows[0]["max_connections"] = 1
        rows[4]["backup"] = True
        with Balancer.before(rows, queue={"length": 5}) as lb:
            lb.admin("drain", "web/b")
            lb.admin("maint", "web/d")
            client, _ = greet(lb)
            answer = lb.ask("explain", pool="web", client="127.0.0.1:999")
            why = {one["name"]: one["why"] for one in answer["candidates"]}
            assert why == {
                "a": "at its max_connections, 1",
                "b": "drain",
                "c": "its weight is 0",
                "d": "maint",
                "e": "a backup",
            }
            assert (answer["outcome"], answer["backend"]) == ("waits", None)
            lb.admin("maint", "web/a")
            answer = lb.ask("explain", pool="web", client="127.0.0.1:999")
            assert (answer["backend"], answer["tier"]) == ("e", "backups")
            text = run("admin", "--socket", lb.socket, "explain", "web", "127.0.0.1").stdout
            assert "backup" in text
            client.close()


def test_chance_is_told_as_chance(three: Backends) -> None:
    with Balancer.before(three.rows(a=2), balance="random") as lb:
        answer = lb.ask("explain", pool="web", client="127.0.0.1")
        assert (answer["backend"], answer["outcome"]) == (None, "served")
        assert {one["name"]: one["chance"] for one in answer["candidates"]} == {
            "a": 0.5,
            "b": 0.25,
            "c": 0.25,
        }


@pytest.mark.parametrize("balance", ["maglev", "ip_hash"])
def test_a_simulated_change_is_what_the_change_then_does(balance: str) -> None:
    sources = [f"127.8.{i // 200}.{1 + i % 200}" for i in range(300)]
    with Backends(6) as backends, Balancer.before(backends.rows(), balance=balance) as lb:
        before = {source: told(lb, source) for source in sources}
        simulated = lb.admin("simulate", "web", "--weight", "b=0,c=3")
        assert {source: told(lb, source) for source in sources} == before
        lb.admin("weight", "web/b", "0")
        lb.admin("weight", "web/c", "3")
        after = {source: told(lb, source) for source in sources}
        moved = sum(before[source] != after[source] for source in sources) / len(sources)
        assert abs(simulated["moved"] - moved) < 0.1
        shares = {row["name"]: row["share_after"] for row in simulated["backends"]}
        assert shares["b"] == 0
        assert abs(shares["c"] - 3 / 7) < 0.02


def test_a_simulation_tells_the_load_that_each_would_carry(three: Backends) -> None:
    with Balancer.before(three.rows(), balance="least_connections") as lb:
        clients = [greet(lb)[0] for _ in range(12)]
        answer = lb.admin("simulate", "web", "--remove", "c", "--add", "d=2")
        rows = {row["name"]: row for row in answer["backends"]}
        assert rows["c"]["share_after"] == 0
        assert abs(rows["d"]["active_after"] - 6) <= 0.1
        assert answer["moved"] is None
        assert [row["name"] for row in lb.ask("backends")] == ["a", "b", "c"]
        for client in clients:
            client.close()


def test_what_is_asked_wrongly_is_refused(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        for wrong in (
            ("explain", "web", "nowhere"),
            ("explain", "nowhere", "10.0.0.1"),
            ("explain", "web", "10.0.0.1:99999"),
            ("simulate", "web", "--remove", "z"),
            ("simulate", "web", "--weight", "a=257"),
            ("simulate", "web", "--weight", "a"),
            ("simulate", "web", "--add", "a"),
            ("simulate", "web", "--add", "x" * 65),
        ):
            done = run("admin", "--socket", lb.socket, *wrong, "--json")
            assert done.returncode in (1, 2), json.dumps(wrong)
            assert len(done.stderr.splitlines()) == 1, done.stderr


def test_what_clients_got_lately_is_told_with_the_reason(three: Backends) -> None:
    with Balancer.before(three.rows(), sticky={}, process={"watch_picks": 1}) as lb:
        own = met(lb, "127.8.1.1")
        assert met(lb, "127.8.1.1") == own
        met(lb, "127.8.1.2")
        last, first = lb.ask("explain", recent=True, pool="web", client="127.8.1.1")
        assert (first["backend"], first["because"]) == (own, "round_robin")
        assert (last["backend"], last["because"]) == (own, "the client belongs to it (sticky)")
        assert {one["backend"] for one in first["candidates"]} == {"a", "b", "c"}
        assert len(lb.admin("explain", "--recent", "--limit", "2")) == 2
        shown = run("admin", "--socket", lb.socket, "explain", "web", "127.8.1.1", "--recent")
        assert "(sticky)" in shown.stdout
        refused = run("admin", "--socket", lb.socket, "explain")
        assert (refused.returncode, "--recent" in refused.stderr) == (2, True)


def test_choices_for_udp_clients_are_told_too() -> None:
    with (
        UdpBackends(2, "name") as two,
        udp_balancer(two.rows(), process={"watch_picks": 1}) as lb,
        clients(lb) as (one,),
    ):
        name = ask(one)[:1].decode()
        (pick,) = lb.ask("explain", recent=True, client=one.getsockname()[0])
        assert (pick["backend"], pick["because"]) == (name, "round_robin")
