"""The program is replaced under its traffic: same process id, same sockets, same sessions."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Backends, Balancer, Load, echo, held, names, program, run, until


@pytest.fixture(scope="module")
def backends() -> Iterator[Backends]:
    with Backends(2) as running:
        yield running


def test_an_upgrade_keeps_sessions_counts_and_run_time_changes(backends: Backends) -> None:
    with Balancer.before(backends.rows(), workers=2) as lb, held(lb, 30) as clients:
        names(lb, 6)
        lb.admin("weight", "web/a", "5")
        lb.admin("drain", "web/b")
        before, stats, pids = lb.status(), lb.ask("stats"), lb.pids()
        with Load(lb, threads=2) as load:
            answer = lb.admin("upgrade")
            load.wait_for_more(20)
            until(
                lambda: all(not Path(f"/proc/{pid}").exists() for pid in pids), "the old are gone"
            )
            load.wait_for_more(20)
        assert load.failures == []
        after = lb.status()
        assert answer == {"version": after["version"]}
        assert after["pid"] == before["pid"] == lb.process.pid
        assert after["generation"] == before["generation"]
        assert set(lb.pids()).isdisjoint(pids)
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 20_000)
        rows = lb.backends()
        assert (rows["a"]["weight"], rows["b"]["state"]) == (5, "drain")
        accepted = stats["accepted"] + load.done.total()
        until(lambda: lb.ask("stats")["accepted"] == accepted, "all counts have come over")
        assert lb.ask("stats")["connections_lost"] == 0


def replaced(lb: Balancer, old: list[int]) -> bool:
    """Do new workers serve? Who asks at the moment of the change is hung up on."""
    try:
        return set(lb.pids()).isdisjoint({*old, 0})
    except (EOFError, OSError):
        return False


def test_usr2_upgrades_and_term_still_ends_it(backends: Backends) -> None:
    with Balancer.before(backends.rows(), workers=1) as lb:
        for _ in range(3):
            pids = lb.pids()
            lb.signal(signal.SIGUSR2)
            until(lambda old=pids: replaced(lb, old), "new workers")
            assert sum(names(lb, 4).values()) == 4
        lb.signal(signal.SIGTERM)
        assert lb.wait() == 0


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("#!/bin/sh\nexit 0\n", "it said nothing"),
        ("#!/bin/sh\necho no such library >&2\nexit 3\n", "no such library"),
        ("#!/nowhere/python\n", "No such file"),
    ],
)
def test_a_program_that_does_not_start_changes_nothing(
    backends: Backends, tmp_path: Path, broken: str, said: str
) -> None:
    script = tmp_path / "l4lb"
    shutil.copy(program()[0], script)
    config = Balancer.before(backends.rows(), workers=1).config
    with Balancer(config, command=[str(script)]) as lb, held(lb, 3) as clients:
        before = (lb.pids(), lb.status()["pid"])
        new = tmp_path / "new"
        new.write_text(broken)
        new.chmod(0o755)
        new.rename(script)
        done = run("admin", "--socket", lb.socket, "upgrade")
        assert done.returncode == 1
        assert said in done.stderr
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 1_000)
        assert (lb.pids(), lb.status()["pid"]) == before
        shutil.copy(program()[0], script)
        lb.admin("upgrade")
        assert sum(names(lb, 4).values()) == 4


FAILS_ONCE = """
import os
if os.environ.pop("FAIL_ONCE", "") and os.environ.get("L4LB_TAKEOVER", "").startswith("run:"):
    import l4lb.supervisor.workers
    def start(self):
        raise RuntimeError("this program cannot start workers")
    l4lb.supervisor.workers.Workers.start = start
"""


def test_a_program_that_fails_in_the_others_place_puts_it_back(
    backends: Backends, tmp_path: Path
) -> None:
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
    shutil.copy(program()[0], tmp_path / "old" / "l4lb")
    (tmp_path / "sitecustomize.py").write_text(FAILS_ONCE)
    new = tmp_path / "new" / "l4lb"
    real = program()[0]
    new.write_text(f'#!/bin/sh\nFAIL_ONCE=1 PYTHONPATH={tmp_path} exec {real} "$@"\n')
    new.chmod(0o755)
    current = tmp_path / "current"
    current.symlink_to("old")
    config = Balancer.before(backends.rows(), workers=2).config
    with Balancer(config, command=[str(current / "l4lb")]) as lb, held(lb, 12) as clients:
        pid, total = lb.status()["pid"], lb.ask("stats")["accepted"]
        current.unlink()
        current.symlink_to("new")
        done = run("admin", "--socket", lb.socket, "upgrade", timeout_s=90)
        assert (done.returncode, "the old one goes on" in done.stderr) == (1, True)
        for seed, (client, _) in enumerate(clients):
            echo(client, seed, 1_000)
        assert sum(names(lb, 4).values()) == 4
        assert lb.status()["pid"] == pid
        until(lambda: lb.ask("stats")["accepted"] == total + 4, "all counts have come over")
        assert lb.ask("stats")["connections_lost"] == 0
