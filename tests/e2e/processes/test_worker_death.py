"""Invariant 2: the death of one process loses at most its own sessions, and the counters say so."""

from __future__ import annotations

import contextlib
import copy
import signal
import socket

from ..harness import (
    PORTS,
    Backends,
    Balancer,
    Load,
    Stream,
    finish,
    greet,
    kill_and_wait,
    read_line,
    receive,
    send_signal,
    stopped,
    toml,
    until,
)

COUNTERS = ("total", "connect_errors", "bytes_in", "bytes_out")


def counters(lb: Balancer) -> dict[str, int]:
    """Returns all counters that must never fall."""
    rows = lb.ask("backends")
    found = {f"{row['name']}.{field}": row[field] for row in rows for field in COUNTERS}
    for row in lb.ask("listeners"):
        found[f"{row['bind']}.accepted"] = row["accepted"]
    return found


def assert_none_fell(before: dict[str, int], after: dict[str, int]) -> None:
    fallen = {name: (before[name], after[name]) for name in before if after[name] < before[name]}
    assert not fallen


def survivors(clients: list[socket.socket]) -> int:
    """Echoes bytes through each open session. Returns how many sessions still could."""
    count = 0
    for seed, client in enumerate(clients):
        stream = Stream(seed, 30_000)
        try:
            client.sendall(stream.part(0, stream.size))
            finish(client)
            assert receive(client, stream) == stream.size
            count += 1
        except OSError:
            pass
    return count


def test_a_worker_that_waits_for_its_restart_does_not_come_back_after_it_is_not_needed(
    three: Backends,
) -> None:
    with Balancer.before(three.rows(), workers=3) as lb:
        assert lb.config is not None
        port = PORTS.take()
        datagrams = {"bind": [f"127.0.0.1:{port}"], "protocol": "udp", "pool": "web"}
        lb.config["listeners"]["datagrams"] = datagrams
        path = lb.folder / "l4lb.toml"
        path.write_text(toml(lb.config))
        lb.ask("reload")
        # After its fourth quick death a worker waits for 200 ms; the hand-over that a stopped
        # worker delays takes longer.
        for _ in range(3):
            pid = lb.pids()[2]
            kill_and_wait(pid)
            lb.wait_for_new_worker(2, pid)
        lb.config["process"]["workers"] = 1
        path.write_text(toml(lb.config))
        with stopped(lb.pids()[1]):
            kill_and_wait(lb.pids()[2])
            lb.ask("reload")
            until(lambda: 2 not in indexes(lb), "worker 2 is gone", timeout_s=20)
        until(lambda: indexes(lb) == [0], "one worker is left")


def test_a_worker_that_dies_while_it_leaves_does_not_need_addresses_newer_than_its_leave(
    three: Backends,
) -> None:
    with Balancer.before(three.rows(), workers=2) as lb:
        assert lb.config is not None
        lb.config["process"]["workers"] = 1
        lb.config["listeners"]["web"]["bind"].append(f"127.0.0.1:{PORTS.take()}")
        (lb.folder / "l4lb.toml").write_text(toml(lb.config))
        leaving = lb.pids()[1]
        with stopped(leaving):
            lb.ask("reload")
            kill_and_wait(leaving)
        until(lambda: indexes(lb) == [0], "one worker is left")
        assert "a fault of l4lb" not in lb.log()


def indexes(lb: Balancer) -> list[int]:
    return [row["index"] for row in lb.ask("workers")]


def test_sessions_of_the_other_worker_finish_byte_exact(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(greet(lb)[0]) for _ in range(80)]
        until(lambda: sum(lb.active()) == 80, "all sessions are counted")
        of_first, of_second = lb.active()
        assert min(of_first, of_second) > 0
        before = counters(lb)
        old = lb.kill(worker=0)
        assert survivors(clients) == of_second
        lb.wait_for_new_worker(0, old)
        until(lambda: lb.total("active") == 0, "the dead worker's sessions are given back")
        assert_none_fell(before, counters(lb))


def test_counts_return_to_the_true_ones_while_sessions_stay(three: Backends) -> None:
    with (
        Balancer.before(three.rows(), balance="least_connections") as lb,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(60):
            stack.enter_context(greet(lb)[0])
        before = counters(lb)
        lost = lb.active()[0]
        old = lb.kill(worker=0)
        lb.wait_for_new_worker(0, old)
        until(lambda: lb.total("active") == 60 - lost, "the counts are those of worker 1")
        truth = {name: counts["active"] for name, counts in three.counts().items()}
        assert {name: row["active"] for name, row in lb.backends().items()} == truth
        for _ in range(30):
            stack.enter_context(greet(lb)[0])
        active = [row["active"] for row in lb.backends().values()]
        assert sum(active) == 90 - lost
        assert max(active) - min(active) <= max(1, max(truth.values()) - (90 - lost) // 3 + 1)
        assert_none_fell(before, counters(lb))


def test_clients_queued_at_a_worker_that_dies_are_served_by_its_replacement(
    three: Backends,
) -> None:
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        pid = lb.pids()[0]
        with stopped(pid):
            clients = [stack.enter_context(lb.connect()) for _ in range(100)]
            for client in clients:
                client.sendall(b"early")
            kill_and_wait(pid)
            for client in clients:
                assert client.recv(2, socket.MSG_WAITALL)[1:] == b"\n"
                assert client.recv(5, socket.MSG_WAITALL) == b"early"


def test_clients_queued_at_a_worker_that_dies_while_it_leaves_are_served(
    three: Backends,
) -> None:
    with Balancer.before(three.rows(), workers=3) as lb, contextlib.ExitStack() as stack:
        config = copy.deepcopy(lb.config or {})
        config["process"]["workers"] = 1
        (lb.folder / "l4lb.toml").write_text(toml(config))
        pids = lb.pids()
        for pid in pids[1:]:
            stack.enter_context(stopped(pid))
        clients = [stack.enter_context(lb.connect()) for _ in range(60)]
        lb.ask("reload")
        for pid in pids[1:]:
            kill_and_wait(pid)
        assert all(read_line(client) for client in clients)
        until(lambda: len(lb.ask("workers")) == 1, "one worker is left")
        assert lb.pids() == pids[:1]


def test_every_connection_made_during_the_gap_succeeds_under_load(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        before = counters(lb)
        with Load(lb, threads=4) as load:
            for worker in (0, 1, 0):
                held_by_it = lb.active()[worker]
                failed = len(load.failures)
                old = lb.kill(worker)
                gap = [greet(lb)[0] for _ in range(40)]
                assert survivors(gap) == 40
                lb.wait_for_new_worker(worker, old)
                load.wait_for_more(20)
                assert len(load.failures) - failed <= max(held_by_it, load.threads)
                after = counters(lb)
                assert_none_fell(before, after)
                before = after
        until(lambda: lb.total("active") == 0, "counts return to zero")
        until(lambda: lb.active() == [0, 0], "workers' counts return to zero")


def test_status_shows_the_new_pid_and_the_log_says_that_the_worker_died(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        old = lb.kill(worker=1)
        new = lb.wait_for_new_worker(1, old)
        assert new != old
        assert str(old) in lb.log()
        assert lb.child("worker 1").pid == new


def test_a_stopped_worker_stalls_neither_the_other_nor_the_admin_socket(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(greet(lb)[0]) for _ in range(20)]
        with stopped(lb.pids()[0]):
            assert lb.admin("status")["workers"]
            lb.admin("drain", "web/a")
            assert lb.backends()["a"]["state"] == "drain"
            waiting = [stack.enter_context(lb.connect()) for _ in range(20)]
        assert survivors(clients) == 20
        reached = {client.recv(2, socket.MSG_WAITALL)[:1] for client in waiting}
        assert reached <= {b"a", b"b", b"c"}


def test_the_death_of_the_control_process_costs_no_traffic_and_admin_resumes(
    three: Backends,
) -> None:
    with Balancer.before(three.rows()) as lb:
        with Load(lb, threads=3) as load:
            old = lb.child("control").pid
            kill_and_wait(old)
            load.wait_for_more(60)
            until(lb.answers, "admin answers again")
            assert lb.child("control").pid != old
            lb.admin("drain", "web/a")
            assert lb.backends()["a"]["state"] == "drain"
        assert load.failures == []


def test_the_death_of_the_checker_costs_no_traffic_and_checks_resume(three: Backends) -> None:
    health = {"type": "tcp", "interval": "200ms", "timeout": "500ms", "rise": 1, "fall": 2}
    with Balancer.before(three.rows(), health=health) as lb:
        until(lambda: all(row["health"] == "up" for row in lb.ask("backends")), "all are up")
        with Load(lb, threads=3) as load:
            old = lb.child("checker").pid
            kill_and_wait(old)
            load.wait_for_more(60)
            until(lambda: lb.child("checker").pid != old, "a new checker runs")
            three.stop("b")
            until(lambda: lb.backends()["b"]["health"] == "down", "the new checker sees b down")
            three.start("b")
            until(lambda: lb.backends()["b"]["health"] == "up", "the new checker sees b up")
        assert load.failures == []


def test_workers_outlive_a_killed_supervisor_until_their_sessions_end(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(greet(lb)[0]) for _ in range(20)]
        until(lambda: sum(lb.active()) == 20, "all sessions are counted")
        kill_and_wait(lb.process.pid)
        for client in clients:
            client.sendall(b"ping")
            assert client.recv(4, socket.MSG_WAITALL) == b"ping"
        assert survivors(clients) == 20
        until(lambda: not lb.processes(), "no process is left")


def test_a_killed_supervisor_without_sessions_leaves_no_process(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:
        kill_and_wait(lb.process.pid)
        until(lambda: not lb.processes(), "no process is left")


def test_a_worker_that_dies_again_and_again_ends_the_service_loudly(three: Backends) -> None:
    with Balancer.before(three.rows()) as lb:

        def kill_the_newest() -> bool:
            if lb.process.poll() is not None:
                return True
            for process in lb.processes():
                with contextlib.suppress(Exception):
                    if "worker 0" in " ".join(process.cmdline()):
                        send_signal(process.pid, signal.SIGKILL)
            return False

        until(kill_the_newest, "the crash loop is given up", timeout_s=60)
        assert lb.process.returncode == 1
        assert "gives up" in lb.log()
        until(lambda: not lb.processes(), "no process is left")
