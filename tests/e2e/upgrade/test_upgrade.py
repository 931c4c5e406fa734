"""The program is replaced under traffic: process id, sockets and sessions stay."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ..harness import PORTS, Backends, Balancer, Load, echo, held, names, program, run, until
from ..harness.processes import open_files


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


def all_open(lb: Balancer) -> dict[str, Counter[str]]:
    """Returns what each process has open, by title and kind; names without their numbers."""
    found: dict[str, Counter[str]] = {}
    for process in lb.processes():
        with contextlib.suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            title = " ".join(process.cmdline()).strip()
            found[title] = Counter(re.sub(r"\d+", "N", one) for one in open_files(process.pid))
    return found


def no_more(now: dict[str, Counter[str]], before: dict[str, Counter[str]]) -> bool:
    """Returns whether the processes are those of before, with no more descriptors of any kind."""
    return now.keys() == before.keys() and all(
        count <= before[title][kind]
        for title, kinds in now.items()
        for kind, count in kinds.items()
    )


def inherited(pid: int) -> set[int]:
    """Returns the descriptors that a program executed by this process would inherit."""
    close_on_exec = os.O_CLOEXEC
    found = set()
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        flags = re.search(r"flags:\s*(\d+)", info.read_text())
        assert flags is not None
        if not int(flags[1], 8) & close_on_exec:
            found.add(int(info.name))
    return found


def test_no_process_has_more_open_after_three_upgrades_and_nothing_is_inherited(
    backends: Backends,
) -> None:
    process = {"http": f"127.0.0.1:{PORTS.take()}", "log": {"access": "stdout"}}
    health = {"type": "tcp", "interval": "1s"}
    with Balancer.before(backends.rows(), process=process, health=health) as lb:
        lb.admin("upgrade")  # why: the first program may still have descriptors of its start
        until(lambda: len(lb.processes()) == 6, "the program before has left")
        settled = all_open(lb)
        for _ in range(3):
            lb.admin("upgrade")
            until(lambda: no_more(all_open(lb), settled), "each has open what it had")
        assert inherited(lb.process.pid) <= {0, 1, 2}


def replaced(lb: Balancer, old: list[int]) -> bool:
    """Returns whether new workers serve. A question in the moment of the change gets no answer."""
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
    import l4lb.supervisor.workers.workers
    def start(self):
        raise RuntimeError("this program cannot start workers")
    l4lb.supervisor.workers.workers.Workers.start = start
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
