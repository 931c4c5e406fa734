"""Sticky clients: over all workers, through a worker's death, until their backend is removed."""

from __future__ import annotations

import json
import socket
import ssl
from typing import Any

import pytest

from ..harness import Backends, Balancer, read_line, run, until

STICKY = {"key": "source_ip", "ttl": "30m"}


def met(lb: Balancer, source: str) -> str:
    """Returns the backend that a new connection from this address reaches."""
    with socket.create_connection(lb.address, timeout=20, source_address=(source, 0)) as client:
        return read_line(client)


def asking(lb: Balancer, name: str) -> str:
    """Returns the backend that a TLS client with this server name reaches."""
    out = ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    with lb.connect() as client:
        client.sendall(out.read())
        return read_line(client)


def entries(lb: Balancer, pool: str = "web") -> dict[str, str]:
    return {row["client"]: row["backend"] for row in lb.ask("sticky", pool=pool)}


def sticky_before(backends: Backends, **pool: Any) -> Balancer:
    return Balancer.before(backends.rows(), **{"sticky": STICKY, "workers": 4, **pool})


def test_a_client_belongs_to_one_backend_over_all_workers_and_a_death(three: Backends) -> None:
    sources = [f"127.6.0.{i}" for i in range(1, 31)]
    with sticky_before(three) as lb:
        first = {source: met(lb, source) for source in sources}
        assert len(set(first.values())) == 3
        for _ in range(3):
            assert {source: met(lb, source) for source in sources} == first
        assert entries(lb) == first
        for worker in range(4):
            lb.wait_for_new_worker(worker, lb.kill(worker))
        assert {source: met(lb, source) for source in sources} == first


def test_it_moves_when_its_backend_goes_and_stays_there(three: Backends) -> None:
    with sticky_before(three) as lb:
        own = met(lb, "127.6.1.1")
        three.stop(own)
        moved = met(lb, "127.6.1.1")
        assert moved != own
        three.start(own)
        assert {met(lb, "127.6.1.1") for _ in range(6)} == {moved}
        lb.admin("maint", f"web/{moved}")
        assert met(lb, "127.6.1.1") != moved


@pytest.mark.parametrize("during_drain", [True, False])
def test_a_draining_backend_keeps_its_clients_only_if_told(
    three: Backends, during_drain: bool
) -> None:
    with sticky_before(three, sticky_during_drain=during_drain) as lb:
        own = met(lb, "127.6.2.1")
        lb.admin("drain", f"web/{own}")
        assert (met(lb, "127.6.2.1") == own) == during_drain
        assert all(met(lb, f"127.6.2.{i}") != own for i in range(2, 12))


def test_the_entry_is_forgotten_after_its_ttl_but_not_while_a_session_lives(
    three: Backends,
) -> None:
    with sticky_before(three, sticky={"ttl": "1s"}) as lb:
        living = socket.create_connection(lb.address, timeout=20, source_address=("127.6.3.1", 0))
        own = read_line(living)
        met(lb, "127.6.3.2")
        until(lambda: "127.6.3.2" not in entries(lb), "the one without a session is forgotten")
        assert entries(lb) == {"127.6.3.1": own}
        assert met(lb, "127.6.3.1") == own
        living.close()
        until(lambda: not entries(lb), "it is forgotten too")


def test_clients_of_one_network_belong_together(three: Backends) -> None:
    with sticky_before(three, sticky={"prefix": [24, 64]}) as lb:
        own = met(lb, "127.6.4.1")
        assert {met(lb, f"127.6.4.{i}") for i in range(2, 12)} == {own}
        assert entries(lb) == {"127.6.4.0": own}


def test_a_client_is_known_by_the_name_it_asks_for(three: Backends) -> None:
    with sticky_before(three, sticky={"key": "sni"}) as lb:
        first = {name: asking(lb, name) for name in ("one.example", "two.example", "x.example")}
        assert sorted(first.values()) == ["a", "b", "c"]
        assert {name: asking(lb, name) for name in first} == first
        assert entries(lb) == first


def test_names_are_hashed_where_the_key_is_the_name(three: Backends) -> None:
    with Balancer.before(three.rows(), balance="maglev", hash_key="sni") as lb:
        first = {f"n{i}.example": asking(lb, f"n{i}.example") for i in range(20)}
        assert set(first.values()) == {"a", "b", "c"}
        assert {name: asking(lb, name) for name in first} == first


def test_an_operator_sees_sets_and_clears_entries(three: Backends) -> None:
    with sticky_before(three) as lb:
        met(lb, "127.6.5.1")
        lb.admin("sticky", "web", "--set", "127.6.5.2", "--to", "c")
        assert {met(lb, "127.6.5.2") for _ in range(4)} == {"c"}
        shown = run("admin", "--socket", lb.socket, "sticky").stdout
        assert "127.6.5.2" in shown
        assert lb.admin("sticky", "web", "--clear", "127.6.5.2") == {"pool": "web", "cleared": 1}
        assert entries(lb).keys() == {"127.6.5.1"}
        assert lb.admin("sticky", "web", "--clear", "all") == {"pool": "web", "cleared": 1}
        assert entries(lb) == {}
        for wrong in (
            ("web", "--set", "no address", "--to", "c"),
            ("web", "--set", "127.6.5.2"),
            ("web", "--set", "127.6.5.2", "--to", "z"),
            ("web", "--clear", "127.6.5.9"),
            ("nowhere",),
        ):
            done = run("admin", "--socket", lb.socket, "sticky", *wrong, "--json")
            assert done.returncode in (1, 2), json.dumps(wrong)
            assert len(done.stderr.splitlines()) == 1
