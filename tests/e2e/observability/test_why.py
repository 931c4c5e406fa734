"""`admin why` and the filters of `admin sessions`, asked of a running balancer."""

from __future__ import annotations

from ..harness import Backends, Balancer, held, turned_away, until


def test_why_a_backend_is_down_and_what_brings_it_back(three: Backends) -> None:
    checks = {"type": "tcp", "interval": "100ms", "fall": 2, "rise": 1}
    with Balancer.before(three.addresses, health=checks) as lb:
        name = f"web/{three.addresses[0]}"
        lb.admin("wait", "backend-up", name)
        assert lb.admin("why", name)["serves"]
        three.stop("a")
        lb.admin("wait", "backend-down", name)
        said = lb.admin("why", name)
        assert not said["serves"]
        assert "refused" in said["because"][0]
        assert said["returns"] == ["1 passed checks in a row, one every 0.1 s"]
        assert said["check"]["fall"] == 2
        until(lambda: lb.admin("why", name)["events"][-1]["kind"] == "backend_down", "the event")
        lb.admin("drain", name)
        assert "an operator drains it" in lb.admin("why", name)["because"]


def test_sessions_of_one_backend_the_largest_first(three: Backends) -> None:
    with Balancer.before(three.addresses) as lb, held(lb, 6) as clients:
        for number, (client, _) in enumerate(clients, 1):
            client.sendall(b"x" * number)
        until(lambda: lb.total("bytes_in") == 21, "all bytes have gone through")
        name = f"web/{three.addresses[1]}"
        mine = lb.admin("sessions", "--backend", name)
        assert len(mine) == 2
        assert {f"web/{one['backend']}" for one in mine} == {name}
        sizes = [one["bytes_in"] for one in lb.admin("sessions", "--sort", "bytes")]
        assert sizes == [6, 5, 4, 3, 2, 1]
        assert len(lb.admin("sessions", "--source", "127.0.0.0/8", "--limit", "4")) == 4
        assert lb.admin("sessions", "--source", "10.0.0.0/8") == []
        assert lb.admin("sessions", "--older-than", "1h") == []


def test_what_was_chosen_among_for_whom_is_kept(three: Backends) -> None:
    with (
        Balancer.before(
            three.addresses, process={"watch_picks": 1}, balance="least_connections"
        ) as lb,
        held(lb, 4) as clients,
    ):
        mine = {client.getsockname() for client, _ in clients}
        kept = lb.admin("picks", "--pool", "web")
        assert len(kept) == 4
        assert {one["client"] for one in kept} == {f"{host}:{port}" for host, port in mine}
        newest = kept[0]
        assert newest["because"] == "least_connections"
        assert newest["members"] == len(newest["candidates"]) == 3
        assert newest["backend"] in {one["backend"] for one in newest["candidates"]}
        assert max(sum(c["inflight"] for c in one["candidates"]) for one in kept) == 4
        for address in three.addresses:
            lb.admin("drain", f"web/{address}")
        assert turned_away(lb)
        none = lb.admin("picks", "--limit", "1")[0]
        assert none["backend"] is None
        assert {one["usable"] for one in none["candidates"]} == {"unusable"}
