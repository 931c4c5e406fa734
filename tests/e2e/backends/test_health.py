"""Effects of health: agents, alerts, closed sessions, reduced weight, and a checker that is stopped
or killed, or was flapping."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from l4lb.supervisor.process.pulse import LOOK_EVERY_MS, SILENT_LOOKS

from ..harness import PORTS, Backends, Balancer, ended, greet, names, send_signal, stopped, until

HEALTH = {"type": "tcp", "interval": "50ms", "timeout": "5s", "rise": 2, "fall": 2}


class Agent:
    """An agent on 127.0.0.1 that answers `line` to everybody."""

    def __init__(self) -> None:
        self.line = "ready"
        self.asked = 0
        self.port = PORTS.take()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, contextlib.suppress(OSError):
                sock.sendall(self.line.encode() + b"\n")
                self.asked += 1

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)


@pytest.fixture
def agent() -> Iterator[Agent]:
    one = Agent()
    yield one
    one.close()


@pytest.fixture
def two() -> Iterator[Backends]:
    with Backends(2) as backends:
        yield backends


def row(lb: Balancer, name: str) -> dict[str, Any]:
    return lb.backends()[name]


def is_health(lb: Balancer, name: str, word: str) -> None:
    until(lambda: row(lb, name)["health"] == word, f"{name} is {word}")


def kinds(lb: Balancer) -> list[str]:
    return [event["kind"] for event in lb.ask("events")]


def checker_pid(lb: Balancer) -> int:
    pid: int = lb.ask("status")["checker"]["pid"]
    return pid


def test_an_agent_sets_weight_state_health_and_limit(agent: Agent, two: Backends) -> None:
    asking = {"port": agent.port, "interval": "50ms", "timeout": "5s"}
    with Balancer.before(two.rows()[:1], agent=asking) as lb:
        agent.line = "75% up maxconn:7"
        until(lambda: row(lb, "a")["weight_percent"] == 75, "its weight is less")
        until(lambda: row(lb, "a")["max_connections"] == 7, "its limit is set")
        assert (row(lb, "a")["health"], row(lb, "a")["weight"]) == ("up", 1)
        agent.line = "down #tired"
        is_health(lb, "a", "down")
        told = [one for one in lb.ask("events") if "health" in one and "backend" in one][-1]
        assert (told["kind"], told["check"], told["text"]) == ("backend_down", "agent", "tired")
        agent.line = "up drain 100%"
        until(lambda: row(lb, "a")["state"] == "drain", "it drains")
        is_health(lb, "a", "up")
        lb.admin("ready", "web/a")
        seen = agent.asked
        until(lambda: agent.asked > seen + 3, "it was asked again")
        assert row(lb, "a")["state"] == "ready"  # the operator's command came later
        agent.line = "maint"
        until(lambda: row(lb, "a")["state"] == "maint", "it is in maintenance")


def test_an_alert_is_run_at_each_change_with_its_evidence(two: Backends, tmp_path: Path) -> None:
    said = tmp_path / "said"
    script = tmp_path / "alert"
    script.write_text(f'#!/bin/sh\n(echo "$L4LB_EVENT $L4LB_BACKEND $1"; cat; echo) >> {said}\n')
    script.chmod(0o755)
    with Balancer.before(two.rows(), health=HEALTH, alert=[str(script), "ops"]) as lb:
        is_health(lb, "b", "up")
        two.stop("b")
        is_health(lb, "b", "down")
        until(lambda: said.exists() and "backend_down" in said.read_text(), "it was run")
    lines = said.read_text().splitlines()
    at = lines.index("backend_down b ops")
    event = json.loads(lines[at + 1])
    assert (event["backend"], event["was"], event["result"]) == ("web/b", "up", "refused")


def test_on_down_close_ends_the_sessions_of_a_down_backend_and_no_other(two: Backends) -> None:
    with Balancer.before(two.rows(), health=HEALTH, on_down="close") as lb:
        is_health(lb, "b", "up")
        with contextlib.ExitStack() as stack:
            clients = [greet(lb) for _ in range(6)]
            for client, _ in clients:
                stack.enter_context(client)
            two.stop("b")  # it accepts no more; its connections go on
            is_health(lb, "b", "down")
            for client, name in clients:
                if name == "b":
                    assert ended(client) == "reset"
                else:
                    client.sendall(b"alive")
                    assert client.recv(5) == b"alive"


def test_a_slow_backend_loses_weight_and_gets_it_back(two: Backends) -> None:
    with Backends(1, mode="late", hold_ms=80) as late:
        rows = [*two.rows(), {"name": "late", "address": late.address("a")}]
        passive = {"slow": {"factor": 3}, "failures": 1000}
        with Balancer.before(rows, passive=passive) as lb:

            def share() -> int:
                names(lb, 6)
                percent: int = row(lb, "late")["weight_percent"]
                return percent

            until(lambda: share() <= 40, "it has lost weight", timeout_s=60)
            until(lambda: "backend_slow" in kinds(lb), "it is told")
            assert row(lb, "late")["health"] == "unknown"
            assert (row(lb, "a")["weight_percent"], row(lb, "b")["weight_percent"]) == (100, 100)
            # No check of it runs any more: its slowness is forgotten.
            lb.admin("drain", "web/late")
            until(lambda: row(lb, "late")["response_time_ms"] < 1, "it is forgotten", timeout_s=60)
            lb.admin("ready", "web/late")
            until(lambda: row(lb, "late")["weight_percent"] == 100, "it is back", timeout_s=60)
            until(lambda: "backend_fast" in kinds(lb), "it is told")


def test_a_checker_that_dies_forgets_nothing_and_changes_nothing(two: Backends) -> None:
    health = {**HEALTH, "fall": 3}
    with Balancer.before(two.rows(), health=health) as lb:
        is_health(lb, "a", "up")
        two.stop("b")
        is_health(lb, "b", "down")
        before, told = row(lb, "b"), kinds(lb)
        pid = checker_pid(lb)
        send_signal(pid, signal.SIGKILL)
        until(lambda: checker_pid(lb) not in (0, pid), "another checker runs")
        failed = row(lb, "b")["checks_failed"]
        until(lambda: row(lb, "b")["checks_failed"] > failed + 1, "it checks")
        after = row(lb, "b")
        assert (after["health"], row(lb, "a")["health"]) == ("down", "up")
        assert after["checks_failed"] > before["checks_failed"]
        assert after["last_check"]["streak"] > before["last_check"]["streak"]
        assert kinds(lb) == told


def test_a_stopped_checker_is_shown_traffic_goes_on_and_it_catches_up_without_a_burst(
    two: Backends,
) -> None:
    """The stop lasts 4 s: longer than the limit of the heartbeat's age, and than the interval."""
    with Balancer.before(two.rows(), health=HEALTH) as lb:
        is_health(lb, "a", "up")
        is_health(lb, "b", "up")
        told = kinds(lb)
        with stopped(checker_pid(lb)):
            until(lambda: lb.ask("status")["checker"]["stale"], "its silence is shown")
            assert names(lb, 10) == {"a": 5, "b": 5}
            frozen = sum(one["checks_passed"] for one in lb.ask("backends"))
            started = time.monotonic()
        until(lambda: not lb.ask("status")["checker"]["stale"], "it is back")
        until(
            lambda: sum(one["checks_passed"] for one in lb.ask("backends")) > frozen + 6,
            "it checks again",
        )
        took_s = time.monotonic() - started
        passed = sum(one["checks_passed"] for one in lb.ask("backends")) - frozen
        # Two backends at 50 ms, one check in flight for each, and no check for the time of the
        # stop.
        assert passed <= 2 * (took_s / 0.045 + 3)
        assert {one["health"] for one in lb.ask("backends")} == {"up"}
        assert kinds(lb) == told


def test_a_checker_that_hangs_is_replaced_and_health_stays(two: Backends) -> None:
    """This takes 10 s: the supervisor looks ten times for a sign of life."""
    with Balancer.before(two.rows(), health={**HEALTH, "fall": 1_000}) as lb:
        is_health(lb, "a", "up")
        is_health(lb, "b", "up")
        pid, told = checker_pid(lb), kinds(lb)
        two.stop("b")
        send_signal(pid, signal.SIGSTOP)
        until(lambda: checker_pid(lb) not in (0, pid), "another checker runs", timeout_s=60)
        until(lambda: not lb.ask("status")["checker"]["stale"], "it lives")
        passed = row(lb, "a")["checks_passed"]
        until(lambda: row(lb, "a")["checks_passed"] > passed, "it checks")
        assert (row(lb, "a")["health"], row(lb, "b")["health"]) == ("up", "up")
        assert kinds(lb) == [*told, "checker_hung"]
        event = lb.ask("events")[-1]
        assert (event["pid"], "no sign of life" in event["text"]) == (pid, True)
        assert "no sign of life" in lb.log()


def test_a_service_that_was_stopped_as_a_whole_keeps_its_checker(two: Backends) -> None:
    """As with a frozen container or a paused virtual machine: the stop is longer than the limit."""
    with Balancer.before(two.rows(), health=HEALTH) as lb:
        is_health(lb, "a", "up")
        until(lambda: kinds(lb).count("backend_up") == 2, "both are up, and that is told")
        pid, told = checker_pid(lb), kinds(lb)
        with contextlib.ExitStack() as frozen:
            for process in (lb.process.pid, pid):
                frozen.enter_context(stopped(process))
            time.sleep(SILENT_LOOKS * LOOK_EVERY_MS / 1000 + 2)
        passed = row(lb, "a")["checks_passed"]
        until(lambda: row(lb, "a")["checks_passed"] > passed, "it checks again")
        assert (checker_pid(lb), kinds(lb)) == (pid, told)


def test_a_flapping_backend_changes_at_most_once_a_window(two: Backends) -> None:
    health = {**HEALTH, "interval": "100ms", "rise": 3, "fall": 3, "jitter": "0%"}
    with Balancer.before(two.rows(), health=health) as lb:
        is_health(lb, "b", "up")
        before, started = kinds(lb), time.monotonic()
        for _ in range(6):
            two.stop("b")
            time.sleep(0.3)
            two.start("b")
            time.sleep(0.3)
        windows = (time.monotonic() - started) / 0.3
        changes = len(kinds(lb)) - len(before)
        assert changes <= windows + 1
        assert names(lb, 20)["a"] >= 10
