"""Sources that load the service are shown, and are blocked by an operator or by a rule."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from ..harness import Backends, Balancer, read_line, run, until


def comes_in(lb: Balancer, source: str) -> bool:
    """Returns whether a client from this address is served. If not, it must be reset."""
    try:
        with socket.create_connection(lb.address, 20, (source, 0)) as client:
            return read_line(client) == "a"
    except ConnectionResetError:
        return False


def test_talkers_are_seen_and_an_operators_block_holds_for_its_time() -> None:
    with (
        Backends(1) as backends,
        Balancer.before(backends.addresses, limits={"auto_block": {"refusal": "reject"}}) as lb,
    ):
        for _ in range(5):
            assert comes_in(lb, "127.0.0.2")
        assert comes_in(lb, "127.0.0.3")
        until(lambda: lb.ask("talkers")[0]["sessions"] == 5, "their sessions have ended")
        top = lb.admin("talkers")
        assert [row["source"] for row in top] == ["127.0.0.2", "127.0.0.3"]
        with socket.create_connection(lb.address, 20, ("127.0.0.4", 0)) as held:
            assert read_line(held) == "a"
            lb.admin("block", "127.0.0.4")
            assert not comes_in(lb, "127.0.0.4")
            held.sendall(b"x")
            assert held.recv(1) == b"x"
        assert lb.admin("block", "127.0.0.2/31", "--for", "6s")["source"] == "127.0.0.2/31"
        assert not comes_in(lb, "127.0.0.2")
        assert not comes_in(lb, "127.0.0.3")
        assert [row["source"] for row in lb.admin("blocks")] == ["127.0.0.4", "127.0.0.2/31"]
        assert lb.ask("stats")["ended"]["rejected:blocked"] == 3
        lb.admin("unblock", "127.0.0.4")
        assert comes_in(lb, "127.0.0.4")
        # Asks seldom: a source that is turned away often would be blocked again by the rule.
        until(lambda: comes_in(lb, "127.0.0.2"), "the block has run out", every_s=0.3)
        for nobody in ("nobody", "fe80::1%eth0"):
            wrong = run("admin", "--socket", lb.socket, "block", nobody)
            assert wrong.returncode == 2
            assert "is not an address or network" in wrong.stderr
        told = [(e["source"], e["what"]) for e in lb.ask("events") if e["kind"] == "block_changed"]
        assert told == [
            ("127.0.0.4", "blocked"), ("127.0.0.2/31", "blocked"), ("127.0.0.4", "unblocked"),
            ("127.0.0.2/31", "expired"),
        ]  # fmt: skip


@contextlib.contextmanager
def after_rejections(**rule: Any) -> Iterator[Balancer]:
    """A balancer that blocks by itself, and has turned 127.0.0.2 away until it did."""
    auto_block = {"rejections": 5, "window": "30s", "duration": "1m", **rule}
    with Backends(1) as backends:
        lb = Balancer.before(backends.addresses, limits={"auto_block": auto_block})
        assert lb.config
        lb.config["listeners"]["web"]["access"] = {"deny": ["127.0.0.2"]}
        with lb:
            for _ in range(6):
                assert not comes_in(lb, "127.0.0.2")
            until(lambda: lb.ask("blocks"), "the rule has seen it")
            yield lb


def test_who_is_turned_away_too_often_is_blocked_by_itself() -> None:
    with after_rejections(refusal="reject") as lb:
        assert [(row["source"], row["by"]) for row in lb.ask("blocks")] == [("127.0.0.2", "auto")]
        (event,) = [e for e in lb.ask("events") if e["kind"] == "block_changed"]
        assert (event["source"], event["by"], event["for_ms"]) == ("127.0.0.2", "auto", 60_000)
        assert not comes_in(lb, "127.0.0.2")
        until(lambda: lb.ask("stats")["ended"].get("rejected:blocked") == 1, "by the block")
        assert comes_in(lb, "127.0.0.3")


def test_a_block_in_dry_run_lets_nobody_in_whom_a_list_denies() -> None:
    with after_rejections(dry_run=True) as lb:
        assert not comes_in(lb, "127.0.0.2")
        (listener,) = lb.ask("listeners")
        assert listener["dry_run"] == {"rejected:blocked": 1}
        assert comes_in(lb, "127.0.0.3")
