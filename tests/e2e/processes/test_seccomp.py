"""Filters of system calls: workers and the checker have them. A process that makes a forbidden call
is reported with the call's name and replaced, while the service goes on."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from ..harness import Backends, Balancer, echo, greet, run, toml, until
from ..harness.configuration import one_pool
from ..harness.faults import Poor
from ..harness.http import answer, before, client
from ..harness.origin import Origin

seccomp: Any = pytest.importorskip(
    "pyseccomp", reason="no pyseccomp or libseccomp here", exc_type=Exception
)
pytestmark = pytest.mark.skipif(
    bool(os.environ.get("L4LB_REPORTS")), reason="the build with sanitizers has no filters"
)
OFF, FILTERED = 0, 2  # Seccomp: in /proc/PID/status
HEALTH = {"type": "tcp", "interval": "50ms", "timeout": "1s", "fall": 1_000}


def number_of(call: str) -> int:
    number = int(seccomp.resolve_syscall(seccomp.Arch.NATIVE, call))
    assert number >= 0
    return number


def status(pid: int, key: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(rf"^{key}:\s*(\d+)$", text, re.MULTILINE)[0])


def modes(lb: Balancer) -> dict[str, int]:
    """Returns the Seccomp mode of each process of the service."""
    return {
        " ".join(one.cmdline()).removeprefix("l4lb: ").strip(): status(one.pid, "Seccomp")
        for one in lb.processes()
    }


def checker_pid(lb: Balancer) -> int:
    return int(lb.ask("status")["checker"]["pid"])


def passes(lb: Balancer) -> int:
    return sum(row["checks_passed"] for row in lb.ask("backends"))


def is_served(lb: Balancer) -> None:
    client, _ = greet(lb)
    with client:
        echo(client, 1, 100_000)


def refused(lb: Balancer) -> list[Mapping[str, Any]]:
    return [one for one in lb.ask("events") if one["kind"] == "call_refused"]


@pytest.fixture
def two() -> Iterator[Backends]:
    with Backends(2) as backends:
        yield backends


@pytest.fixture
def lb(two: Backends) -> Iterator[Poor]:
    config = one_pool_checked(two)
    with Poor(config) as balancer:
        assert isinstance(balancer, Poor)
        yield balancer


def one_pool_checked(backends: Backends, **process: Any) -> dict[str, Any]:
    made = Balancer.before(backends.rows(), process=process, health=HEALTH)
    assert made.config is not None
    return made.config


def test_workers_and_the_checker_have_filters_and_nobody_else(lb: Poor) -> None:
    is_served(lb)
    until(lambda: passes(lb), "it checks")
    found = modes(lb)
    filtered = {name for name, mode in found.items() if mode == FILTERED}
    assert filtered == {"worker 0", "worker 1", "checker"}
    assert {found["supervisor"], found["control"]} == {OFF}
    assert "seccomp=on" in lb.log()
    for pid in (*lb.pids(), checker_pid(lb)):
        assert status(pid, "NoNewPrivs") == 1


@pytest.mark.parametrize("call", ["ptrace", "execve", "mount", "unlinkat", "socketpair"])
def test_a_worker_that_makes_a_call_that_is_not_its_own_is_told_and_replaced(
    lb: Poor, call: str
) -> None:
    pids = lb.pids()
    client, _ = greet(lb)
    with client:
        (mine,) = [index for index, count in enumerate(lb.active()) if count]
        other = pids[1 - mine]
        with lb.strays(other, number_of(call)):
            until(lambda: _knock(lb) and lb.pids()[1 - mine] not in (0, other), "it is replaced")
        echo(client, 1, 100_000)  # a session of the other worker
    until(lambda: refused(lb), "it is told")
    (event,) = refused(lb)
    assert (event["process"], event["pid"], event["call"]) == (f"worker {1 - mine}", other, call)
    assert 'seccomp = "off"' in event["text"]
    assert f"call={call}" in lb.log()
    died = rf"a worker died.*how='killed by SIGSYS' pid={other}\b"
    until(lambda: re.search(died, lb.log()), "its death is told")
    is_served(lb)


def test_the_keeper_of_a_cache_on_disk_has_a_filter_and_does_its_work(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    cache = {"memory": "8MiB", "disk": {"path": str(folder), "size": "16MiB"}}
    with (
        Origin(lambda _: answer(b"x", fields=[("Cache-Control", "max-age=100")])) as origin,
        before([origin.row], cache=cache) as lb,
    ):
        until(lambda: lb.ask("cache")[0]["disk_bytes"] is not None, "the files are counted")
        (keeper,) = [one.pid for one in lb.processes() if "keeper" in " ".join(one.cmdline())]
        assert (status(keeper, "Seccomp"), status(keeper, "NoNewPrivs")) == (FILTERED, 1)
        for one in folder.glob("??"):
            shutil.rmtree(one)
        with client(lb) as peer:
            # The keeper may have made some of them again by itself: until an answer's is missing,
            # no worker tells of it.
            for page in range(64):
                assert peer.ask(f"/{page}").status == 200
        until(lambda: len(list(folder.glob("??"))) == 256, "it makes them again")
        assert not refused(lb)
        assert keeper in [one.pid for one in lb.processes()]


def _knock(lb: Balancer) -> bool:
    """Opens clients until each worker has very likely had one; each client is served."""
    for _ in range(8):
        is_served(lb)
    return True


def test_a_checker_that_makes_a_call_that_is_not_its_own_is_told_and_replaced(lb: Poor) -> None:
    old = checker_pid(lb)
    with lb.strays(old, number_of("ptrace")):
        until(lambda: checker_pid(lb) not in (0, old), "another checker runs")
    before = passes(lb)
    until(lambda: passes(lb) > before, "it checks")
    (event,) = refused(lb)
    assert (event["process"], event["pid"], event["call"]) == ("checker", old, "ptrace")


def test_a_call_that_no_kernel_had_when_the_lists_were_made_costs_nobody_his_life(lb: Poor) -> None:
    """A C library that tries a newer call first falls back to an older one."""
    pids = lb.pids()
    for pid in pids:
        with lb.strays(pid, 500):
            _knock(lb)
    assert lb.pids() == pids
    assert not refused(lb)


def test_the_checker_of_programs_may_run_them_and_they_may_not_mount(
    two: Backends, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    program = f"mount -t tmpfs none {tmp_path} 2>{said}.new; mv {said}.new {said}"
    config = one_pool_checked(two)
    config["pools"]["web"]["health"] = {
        "type": "exec", "command": ["/bin/sh", "-c", program], "interval": "100ms"
    }  # fmt: skip
    tmp_path.chmod(0o777)
    with Balancer(config) as lb:
        until(lambda: passes(lb) and said.exists(), "the program has run")
        assert re.search(
            "permission denied|must be superuser|not permitted", said.read_text(), re.IGNORECASE
        )
        assert modes(lb)["checker"] == FILTERED


def test_a_reload_that_brings_programs_or_takes_them_replaces_the_checker(two: Backends) -> None:
    with Balancer(one_pool_checked(two)) as lb:
        file = Path(lb.args[-1])
        plain = file.read_text()
        first = checker_pid(lb)
        file.write_text(plain.replace('[pools."web"]', '[pools."web"]\nalert = ["/bin/true"]'))
        second = reloaded(lb, first)
        file.write_text(plain)
        third = reloaded(lb, second)
        lb.admin("reload")
        assert checker_pid(lb) == third
        assert "a process died" not in lb.log()


def reloaded(lb: Balancer, before: int) -> int:
    """Returns the pid of the checker that has replaced another at a reload, and checks."""
    lb.admin("reload")
    until(lambda: checker_pid(lb) not in (0, before), "another checker runs")
    known = passes(lb)
    until(lambda: passes(lb) > known, "it checks")
    return checker_pid(lb)


def test_off_there_are_none(two: Backends) -> None:
    with Balancer(one_pool_checked(two, seccomp="off")) as lb:
        is_served(lb)
        until(lambda: passes(lb), "it checks")
        assert set(modes(lb).values()) == {OFF}
        assert "off: [process] seccomp" in lb.log()


class Bare(Balancer):
    """A balancer on a host without libseccomp."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **without(self.folder)}


def without(folder: Path) -> dict[str, str]:
    """Returns the environment of a host where the library is not found."""
    place = folder / "without"
    place.mkdir(exist_ok=True)
    (place / "pyseccomp.py").write_text('raise RuntimeError("Unable to find libseccomp")\n')
    return {"PYTHONPATH": str(place)}


def test_without_the_library_auto_serves_and_says_why_there_are_none(two: Backends) -> None:
    with Bare(one_pool_checked(two)) as lb:
        is_served(lb)
        assert set(modes(lb).values()) == {OFF}
        assert "apt install libseccomp2" in lb.log()


def test_without_the_library_on_is_an_error_at_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "l4lb.toml"
    admin = str(tmp_path / "admin.sock")
    config = one_pool("127.0.0.1:1", ["127.0.0.1:2"], process={"seccomp": "on", "admin": admin})
    file.write_text(toml(config))
    assert run("check", "-c", str(file)).returncode == 0
    for name, value in without(tmp_path).items():
        monkeypatch.setenv(name, value)
    for command in ("check", "run"):
        done = run(command, "-c", str(file))
        assert done.returncode == 2
        assert f"{file}:2: process.seccomp: cannot be on: there is no libseccomp" in done.stderr
        assert "apt install libseccomp2" in done.stderr
