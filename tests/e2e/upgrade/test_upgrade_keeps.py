"""State that an upgrade keeps: sticky clients, backends that are down with the reason, blocked
sources, counts and histograms, and TLS sessions for resumption."""

from __future__ import annotations

import contextlib
import signal
import ssl
from collections.abc import Iterator, Mapping

from ..harness import PORTS, Backends, Balancer, send_signal, until
from ..harness.secure import Authority, secure
from ..observability.test_metrics import metrics
from ..reload.test_reload_keeps import HEALTH, SOURCES, met

CUMULATIVE = ("_total", "_count", "_sum", "_bucket")


def counters(lb: Balancer) -> dict[str, float]:
    """Returns samples that may only grow, without those of the processes that serve the page."""
    return {
        name: value
        for name, value in metrics(lb).items()
        if name.partition("{")[0].endswith(CUMULATIVE) and not name.startswith("python_")
    }


def fallen(
    before: Mapping[str, float], after: Mapping[str, float]
) -> dict[str, tuple[float, float]]:
    """Returns the samples that fell, with both values."""
    return {
        name: (value, after.get(name, 0.0))
        for name, value in before.items()
        if after.get(name, 0.0) < value
    }


def changes(lb: Balancer) -> list[str]:
    """Returns every reported change of health."""
    return [f"{one['kind']} {one['backend']}" for one in lb.ask("events") if "backend" in one]


@contextlib.contextmanager
def upgraded(lb: Balancer) -> Iterator[None]:
    """Runs the block after an upgrade."""
    lb.admin("upgrade")
    until(lb.answers, "the new program answers")
    yield


def test_whose_client_is_whose_who_is_down_and_what_was_counted(three: Backends) -> None:
    process = {"http": f"127.0.0.1:{PORTS.take()}"}
    with Balancer.before(
        three.rows(), workers=2, sticky={"ttl": "30m"}, health=HEALTH, process=process
    ) as lb:
        until(lambda: {row["health"] for row in lb.ask("backends")} == {"up"}, "all are up")
        first = {source: met(lb, source) for source in SOURCES}
        lost = [source for source, name in first.items() if name == "b"]
        three.stop("b")
        until(lambda: lb.backends()["b"]["health"] == "down", "b is down")
        lb.admin("block", "10.9.8.0/24", "--for", "10m")
        lb.admin("block", "2001:db8::1")
        sticky = {row["client"]: row["backend"] for row in lb.ask("sticky", pool="web")}
        rows, counted = lb.backends(), counters(lb)
        told = changes(lb)
        assert "backend_down web/b" in told
        blocks = [(row["source"], row["by"]) for row in lb.ask("blocks")]
        with upgraded(lb):
            assert fallen(counted, counters(lb)) == {}
            after = lb.backends()
            assert {name: row["health"] for name, row in after.items()} == {
                "a": "up", "b": "down", "c": "up",
            }  # fmt: skip
            assert after["b"]["last_check"]["result"] == rows["b"]["last_check"]["result"]
            assert [(row["source"], row["by"]) for row in lb.ask("blocks")] == blocks
            assert {row["client"]: row["backend"] for row in lb.ask("sticky", pool="web")} == sticky
            kept = {source: name for source, name in first.items() if source not in lost}
            assert {source: met(lb, source) for source in kept} == kept
            assert changes(lb) == told
        assert fallen(counted, counters(lb)) == {}


def test_hashed_clients_stay_where_they_are_also_without_a_seed(three: Backends) -> None:
    with Balancer.before(three.rows(), workers=2, balance="maglev") as lb:
        first = {source: met(lb, source) for source in SOURCES}
        with upgraded(lb):
            assert {source: met(lb, source) for source in SOURCES} == first


def test_tls_sessions_are_resumed_and_handshakes_stay_counted() -> None:
    with (
        Authority() as ca,
        Backends(1) as backends,
        Balancer.secured(backends.addresses, {"certificates": [ca.issue("localhost")]}) as lb,
    ):
        context = ca.client(maximum_version=ssl.TLSVersion.TLSv1_2)

        def visit(session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
            with secure(lb.connect(), context, session=session) as peer:
                assert peer.recv(1) == b"a"
                assert peer.session is not None
                return bool(peer.session_reused), peer.session

        _, session = visit(None)
        with upgraded(lb):
            resumed, _ = visit(session)
            assert resumed

            def counted() -> bool:
                row = lb.ask("listeners")[0]["tls"]
                return (row["full"], row["resumed"]) == (1, 1)

            # The old program's last worker may have served the session: its counts come when it
            # ends.
            until(counted, "both handshakes are counted")


def test_a_control_process_that_is_started_again_knows_what_was_told(three: Backends) -> None:
    with Balancer.before(three.rows(), workers=1, health=HEALTH) as lb:
        until(lambda: {row["health"] for row in lb.ask("backends")} == {"up"}, "all are up")
        told = changes(lb)
        control = lb.child("control")
        send_signal(control.pid, signal.SIGKILL)
        until(lambda: lb.child("control").pid != control.pid, "another one")
        until(lb.answers, "it answers")
        assert changes(lb) == told
