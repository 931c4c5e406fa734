"""Signals, limits, descriptors and folders that a parent leaves behind are put in order at
start."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ..harness import Backends, Balancer, echo, greet, program, run, send_signal, until

SIGNALS = {
    signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE, signal.SIGTERM, signal.SIGINT, signal.SIGUSR1,
    signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH, signal.SIGCONT,
}  # fmt: skip
Before = Callable[[], object]


def ignoring(*signals: signal.Signals) -> Before:
    return lambda: [signal.signal(number, signal.SIG_IGN) for number in signals]


def closing(*fds: int) -> Before:
    return lambda: [os.close(fd) for fd in fds]


def limited(name: int, soft: int) -> Before:
    return lambda: resource.setrlimit(name, (soft, resource.getrlimit(name)[1]))


def in_a_folder_that_is_gone() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)


def with_closed_pipes() -> None:
    """Makes standard output and error pipes that nobody reads."""
    for fd in (1, 2):
        reader, writer = os.pipe()
        os.dup2(writer, fd)
        os.close(reader)
        os.close(writer)


def with_a_stray() -> None:
    reader, writer = os.pipe()
    os.dup2(writer, 42)
    os.close(reader)
    os.close(writer)


PARENTS: dict[str, Before] = {
    "ignores SIGCHLD": ignoring(signal.SIGCHLD),
    "ignores SIGHUP, as nohup": ignoring(signal.SIGHUP),
    "ignores SIGINT and SIGQUIT, as a shell's background": ignoring(signal.SIGINT, signal.SIGQUIT),
    "ignores all that can be": ignoring(*SIGNALS),
    "blocks all signals": lambda: signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals)),
    "has closed standard input": closing(0),
    "has closed standard output": closing(1),
    "has closed standard error": closing(2),
    "has closed all three": closing(0, 1, 2),
    "has given pipes that nobody reads": with_closed_pipes,
    "has few open files": limited(resource.RLIMIT_NOFILE, 64),
    "has small files": limited(resource.RLIMIT_FSIZE, 4096),
    "has little memory locked": limited(resource.RLIMIT_MEMLOCK, 0),
    "has core dumps on": lambda: resource.setrlimit(
        resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2
    ),
    "masks all file modes": lambda: os.umask(0o777),
    "masks no file modes": lambda: os.umask(0),
    "stands in a folder that is gone": in_a_folder_that_is_gone,
    "has left a descriptor": with_a_stray,
}


class Child(Balancer):
    """A balancer of an odd parent."""

    def __init__(self, lb: Balancer, before: Before) -> None:
        super().__init__(lb.config)
        self.before_exec = before
        self.close_fds = False  # else they would be closed after before_exec


@pytest.fixture
def backends() -> Iterator[Backends]:
    with Backends(1) as one:
        yield one


def _signals(pid: int, field: str) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(field)).split()[1], 16)


@pytest.mark.parametrize("parent", PARENTS)
def test_a_service_runs_whatever_its_parent_is_like(backends: Backends, parent: str) -> None:
    lb = Child(Balancer.before(backends.rows(), workers=1), PARENTS[parent])
    with lb:
        client, _ = greet(lb)
        with client:
            echo(client, 1, 100_000)
        _look_at(lb, parent)
        old = lb.kill(0)
        lb.wait_for_new_worker(0, old)
        lb.admin("reload")
        generation = lb.status()["generation"]
        lb.signal(signal.SIGHUP)
        until(lambda: lb.status()["generation"] > generation, "HUP reloads")
        lb.admin("upgrade")
        until(lambda: lb.answers(), "the upgraded program answers")
        _look_at(lb, parent)
        lb.signal(signal.SIGTERM)
        assert lb.wait() == 0


def _look_at(lb: Balancer, parent: str) -> None:
    """Checks that every process of the balancer is in order."""
    for process in lb.processes():
        with contextlib.suppress(psutil.NoSuchProcess, FileNotFoundError):
            fds = {int(fd): os.readlink(f"/proc/{process.pid}/fd/{fd}")
                   for fd in os.listdir(f"/proc/{process.pid}/fd")}  # fmt: skip
            if not fds:
                continue  # the process has just ended
            assert fds.keys() >= {0, 1, 2}
            assert not any(fds[fd].startswith("socket:") for fd in (0, 1, 2)), fds
            assert "pipe" not in fds.get(42, "") or parent != "has left a descriptor"
            # The C library blocks these signals for a moment while it starts a thread.
            until(lambda pid=process.pid: not _signals(pid, "SigBlk"), "no signal is blocked")
            assert not _signals(process.pid, "SigIgn") & 1 << signal.SIGCHLD - 1, process
            assert process.rlimit(resource.RLIMIT_CORE)[0] == 0
            soft, hard = process.rlimit(resource.RLIMIT_NOFILE)
            assert soft == hard
            text = Path(f"/proc/{process.pid}/status").read_text()
            if "Umask:" not in text:
                continue  # it ends just now
            umask = int(text.partition("Umask:")[2].split()[0], 8)
            assert umask & 0o722 == 0o022, "files are the owner's to write, and nobody else's"


@pytest.mark.parametrize("parent", [one for one in PARENTS if "pipes" not in one])
def test_other_commands_work_whatever_their_parent_is_like(tmp_path: Path, parent: str) -> None:
    path = tmp_path / "l4lb.toml"
    path.write_text('[listeners.x]\nbind = ["127.0.0.1:1"]\npool = "x"\n[pools.x]\nbackends = []\n')
    done = subprocess.run(
        [*program(), "check", "-c", str(path)],
        preexec_fn=PARENTS[parent],
        close_fds=False,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    if "standard error" not in parent and "all three" not in parent:
        assert "backends" in done.stderr
    asked = subprocess.run(
        [*program(), "admin", "--socket", str(tmp_path / "none"), "status"],
        preexec_fn=PARENTS[parent],
        close_fds=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    assert asked.returncode == 3


def test_a_descriptor_that_holds_a_lock_stays_open(backends: Backends, tmp_path: Path) -> None:
    """As `flock -F FILE l4lb run` passes it."""
    import fcntl

    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lb = Child(Balancer.before(backends.rows(), workers=1), lambda: os.dup2(lock.fileno(), 42))
        with lb:
            lock.close()
            with (tmp_path / "lock").open("w") as other, pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_the_load_server_serves_without_a_standard_input() -> None:
    with subprocess.Popen(
        [*program(), "bench", "serve"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert int(server.stdout.readline()) > 0
        assert server.poll() is None
        server.terminate()


@pytest.mark.skipif(
    subprocess.run(["unshare", "--pid", "--fork", "true"], capture_output=True).returncode != 0,
    reason="this user may not make a PID namespace (needs root)",
)
def test_as_process_1_it_takes_children_of_others_away(backends: Backends) -> None:
    """As in a container: an orphan becomes its child, and no zombie remains."""
    lb = Balancer.before(backends.rows(), workers=1)
    lb.command = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", *program()]
    orphan = "import os, time; os.fork() or (time.sleep(0.2), os._exit(0)); os._exit(0)"
    with lb:
        inside = next(p for p in lb.processes() if "l4lb: supervisor" in " ".join(p.cmdline()))
        done = subprocess.run(
            ["nsenter", "--target", str(inside.pid), "--pid", "--mount", sys.executable, "-c",
             orphan],
            check=True,
        )  # fmt: skip
        assert done.returncode == 0
        until(
            lambda: [c for c in inside.children() if c.status() == psutil.STATUS_ZOMBIE] == [],
            "no zombie is left",
        )
        old = lb.pids()[0]
        worker = next(p for p in inside.children() if "worker" in " ".join(p.cmdline()))
        send_signal(worker.pid, signal.SIGKILL)
        until(lambda: lb.pids()[0] not in (0, old), "its own children are still its own")
        assert "nobody knows how" not in lb.log()
        inside.terminate()


def test_a_signal_that_a_parent_ignores_is_not_handed_on_to_what_l4lb_runs(
    backends: Backends, tmp_path: Path
) -> None:
    said = tmp_path / "said"
    check = ["/bin/sh", "-c", f"grep -E 'SigIgn|SigBlk' /proc/self/status > {said}"]
    lb = Child(
        Balancer.before(
            backends.rows(),
            workers=1,
            health={"type": "exec", "command": check, "interval": "200ms"},
        ),
        ignoring(signal.SIGCHLD, signal.SIGTERM),
    )
    with lb:
        until(lambda: said.exists() and len(said.read_text().splitlines()) == 2, "it has run")
        ignored, blocked = (
            int(line.split()[1], 16) for line in said.read_text().splitlines()[::-1]
        )
        held = ignored | blocked
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            assert not held & 1 << number - 1, number


def test_a_reader_that_has_gone_costs_no_command_its_status() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*program(), "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert run("schema").returncode == 0
