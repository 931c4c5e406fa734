"""on_policy_failure: what clients may do while nobody decides; and the proxy's own cache."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from unit.discovery.nameserver import Says, nameserver

from ..harness import Balancer, until
from ..harness.http import Peer, answer
from ..harness.origin import Origin
from .proxy import ALL, Tunnel, ask, proxy


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with Origin(lambda _: answer(b"hello", fields=[("Cache-Control", "max-age=60")])) as one:
        yield one


def status(lb: Balancer, target: str) -> int:
    with Tunnel(lb, target) as tunnel:
        return tunnel.status


def test_the_last_decision_stands_while_nobody_decides(origin: Origin) -> None:
    port = origin.address.rsplit(":", 1)[1]
    with nameserver() as server:
        for name in ("good.example", "bad.example", "new.example"):
            server.zone[f"{name} A"] = [f"{name} 0 A 127.0.0.1"]
        with proxy(
            on_policy_failure="allow",
            policy_timeout="300ms",
            rules=[{"name": "bad", "domain": "bad.example", "action": "deny"}, ALL],
            resolve={
                "servers": [f"127.0.0.1:{server.port}"],
                "family": "ipv4",
                "min_ttl": "100ms",
                "max_ttl": "100ms",
            },
            connect_ports=[int(port)],
        ) as lb:
            assert status(lb, f"good.example:{port}") == 200
            assert status(lb, f"bad.example:{port}") == 403
            policy = lb.child("policy")
            policy.suspend()
            try:
                until(lambda: status(lb, "127.0.0.1:9") == 503, "the others' port is not open")
                assert status(lb, f"good.example:{port}") == 200
                assert status(lb, f"bad.example:{port}") == 403
                assert status(lb, f"new.example:{port}") == 503
                assert status(lb, f"127.0.0.1:{port}") == 200
                assert status(lb, f"[::ffff:127.0.0.1]:{port}") == 200
                assert status(lb, f"10.0.0.1:{port}") == 403
                assert status(lb, f"169.254.169.254:{port}") == 403
            finally:
                policy.resume()
            until(lambda: status(lb, f"new.example:{port}") == 200, "it is decided again")


def test_what_is_asked_during_an_upgrade_is_decided_by_the_old_process(origin: Origin) -> None:
    port = origin.address.rsplit(":", 1)[1]
    with (
        nameserver() as server,
        proxy(
            policy_timeout="30s",
            resolve={"servers": [server.server], "family": "ipv4", "timeout": "20s"},
        ) as lb,
    ):
        server.zone["slow.example A"] = Says(silent=True)
        before = lb.pids()
        with Peer(lb.connect()) as peer:
            url = f"http://slow.example:{port}/"
            peer.say(f"GET {url} HTTP/1.1\r\nHost: slow.example:{port}\r\n\r\n".encode())
            until(lambda: "slow.example A" in server.asked, "the name is asked for")
            lb.admin("upgrade")
            until(lambda: not set(lb.pids()) & set(before), "the new program serves", timeout_s=30)
            server.zone["slow.example A"] = ["slow.example 60 A 127.0.0.1"]
            assert peer.answer().status == 200


def test_the_proxy_has_a_cache_of_its_own(origin: Origin) -> None:
    lb = proxy(cache={"pages": {"memory": "16MiB"}})
    assert lb.config is not None
    lb.config["forward"]["office"]["cache"] = "pages"
    with lb:
        before = len(origin.requests)
        assert [ask(lb, f"http://{origin.address}/").body for _ in range(3)] == [b"hello"] * 3
        assert len(origin.requests) == before + 1
        told = lb.admin("explain", "web", "--request", f"GET http://{origin.address}/")
        assert (told["cache"], told["outcome"]) == ("pages", "cached"), told
