"""The product as its users have it: the installed program, started, asked, signalled, ended.

    with Balancer.before(backends.addresses, balance="least_connections") as lb:
        with lb.connect() as client: ...
        lb.admin("drain", "web/a")

Leaving the block stops it, and fails if any of its processes is left, if one of them printed a
Python traceback, broke an assertion or ended by a signal that no test sent, and if a worker held
session rows that are nobody's. What it logged is printed when the block fails.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from . import wire
from .configuration import Config, one_pool, toml
from .deadline import PATIENCE_S, SLOWNESS, until
from .ports import PORTS
from .processes import faults, kill_and_wait, processes_of, send_signal, was_sent
from .program import program, run

STOP_S = 15.0 * SLOWNESS
LEAK_S = 15.0  # for what has ended to be let go of: UDP sessions handed over after 6 s
ROWS_MAX = 100_000  # that `sessions` shows at most


class Balancer:
    """A running l4lb."""

    def __init__(
        self,
        config: Config | None = None,
        *,
        args: Sequence[str] = (),
        bind: str = "",
        files: int | None = None,
        command: Sequence[str] = (),
        serves: bool = True,
    ) -> None:
        """config: what its file says (its admin socket is added); or args: its command line, with
        the address that it binds by it; its admin socket is then the default one, which only one
        test at a time can have (fixture `default_socket`).

        files: its limit of open files. command: how to start it, if not by its installed script.
        serves: the block begins when its workers run; else when admin answers.
        """
        self.config = config
        self.args = list(args)
        self.bind = bind
        self.files = files
        self.close_fds = True  # of what its parent has open it inherits nothing
        self.command = list(command or program())
        self.serves = serves
        self.folder = Path(tempfile.mkdtemp(prefix="l4lb-e2e-"))
        self.socket = str(self.folder / "l4lb" / "admin.sock")
        if config is None and os.getuid() == 0:
            self.socket = "/run/l4lb/admin.sock"
        self.log_path = self.folder / "log"
        self.out_path = self.folder / "out"
        self.process: subprocess.Popen[bytes]

    @classmethod
    def secured(
        cls,
        backends: Sequence[str | Mapping[str, Any]],
        tls: Mapping[str, Any],
        *,
        listener: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Balancer:
        """The same with TLS on the listener; listener: its other keys."""
        lb = cls.before(backends, **more)
        assert lb.config is not None
        lb.config["listeners"]["web"] |= {"tls": dict(tls), **(listener or {})}
        return lb

    @classmethod
    def before(
        cls,
        backends: Sequence[str | Mapping[str, Any]],
        *,
        workers: int = 2,
        files: int | None = None,
        process: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        **pool: Any,
    ) -> Balancer:
        """One listener on a free port of 127.0.0.1, one pool of these backends."""
        config = one_pool(
            f"127.0.0.1:{PORTS.take()}",
            backends,
            process={"workers": workers, **(process or {})},
            limits=limits,
            **pool,
        )
        return cls(config, files=files)

    # ---- life --------------------------------------------------------------------------------

    def __enter__(self) -> Balancer:
        try:
            self._start()
            until(self.answers, "the balancer answers `status`", timeout_s=30)
            if self.serves:
                until(lambda: len(self.pids()) >= self.workers, "its workers run", timeout_s=30)
        except BaseException:
            self._kill_all()
            self._print_log()
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        return self

    def _start(self) -> None:
        os.chmod(self.folder, 0o755)
        if self.config is not None:
            self.config.setdefault("process", {}).setdefault("admin", self.socket)
            path = self.folder / "l4lb.toml"
            path.write_text(toml(self.config))
            self.args = ["run", "-c", str(path), *self.args]
        with self.log_path.open("wb") as log, self.out_path.open("wb") as out:
            self.process = subprocess.Popen(
                [*self.command, *self.args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
                close_fds=self.close_fds,
                preexec_fn=self._limit if self.files else None,
            )

    def environment(self) -> dict[str, str]:
        """The environment it runs in; the default admin socket depends on it."""
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}

    def _limit(self) -> None:
        assert self.files
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))

    def answers(self) -> bool:
        """Does it answer on its admin socket? Raises if it has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"l4lb ended with {self.process.returncode}: {self.log()}")
        try:
            return bool(self.ask("status")["workers"]) or not self.serves
        except (OSError, EOFError):
            return False

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        wrong: list[str] = []
        try:
            if kind is None and self.process.poll() is None:
                wrong += self._leaks()
            if self.process.poll() is None:
                self.signal(signal.SIGINT)
            wrong += [f"it is left: {process}" for process in self._wait_for_the_end()]
            wrong += self.faults()
        finally:
            self._kill_all()
            if kind or wrong:
                self._print_log()
            shutil.rmtree(self.folder, ignore_errors=True)
        if kind is None:
            assert not wrong, "\n".join(wrong)

    def faults(self) -> list[str]:
        """What it has done wrong so far, in words."""
        wrong = faults(self.log()) + faults(self.out())
        code = self.process.returncode
        if code is not None and code < 0 and not was_sent(self.process.pid, -code):
            wrong.append(f"the supervisor was killed by {signal.Signals(-code).name}")
        return wrong

    def _leaks(self) -> list[str]:
        """Workers that hold other session rows than those of the sessions that are shown."""
        try:
            until(lambda: self._rows("sessions") == self._rows("held"), "", timeout_s=LEAK_S)
        except (OSError, EOFError):
            return []  # it is being stopped, or no process of it answers
        except AssertionError:
            return [f"rows held {self._rows('held')}, sessions {self._rows('sessions')}, by worker"]
        return []

    def _rows(self, what: str) -> Counter[int]:
        """Session rows by worker: as many as are `held`, or of its `sessions`."""
        if what == "held":
            workers = Counter({row["index"]: row["held"] for row in self.ask("workers")})
            return +workers
        return Counter(row["worker"] for row in self.ask("sessions", limit=ROWS_MAX))

    def _wait_for_the_end(self) -> list[str]:
        end = time.monotonic() + STOP_S
        while self.processes() and time.monotonic() < end:
            try:
                self.process.wait(timeout=0.05)
            except subprocess.TimeoutExpired:
                continue
            time.sleep(0.02)
        return [str(process) for process in self.processes()]

    def _kill_all(self) -> None:
        if not hasattr(self, "process"):
            return
        for process in self.processes():
            process.kill()
        self.process.wait(timeout=STOP_S)

    def _print_log(self) -> None:
        print(f"--- l4lb {' '.join(self.args)}", file=sys.stderr)
        for path in (self.out_path, self.log_path, self.folder / "l4lb.toml"):
            if path.exists():
                print(f"--- {path.name}\n{path.read_text(errors='replace')}", file=sys.stderr)

    def log(self) -> str:
        """What it has logged so far, on stderr."""
        return self.log_path.read_text(errors="replace")

    def out(self) -> str:
        """What it has printed so far, on stdout."""
        return self.out_path.read_text(errors="replace")

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Waits for the supervisor's end; its exit status."""
        return self.process.wait(timeout=timeout_s)

    @property
    def workers(self) -> int:
        """How many workers its configuration asks for, at least."""
        process = self.config["process"] if self.config else {}
        return int(process.get("workers", 1))

    # ---- asking ------------------------------------------------------------------------------

    def ask(self, command: str, **args: Any) -> Any:
        """A request over the admin socket, by the tests' own client."""
        return wire.ask(self.socket, command, **args)

    def admin(self, *args: str) -> Any:
        """`l4lb admin ARGS --json`: what it printed, parsed. It must succeed."""
        done = run("admin", "--socket", self.socket, *args, "--json", command=self.command)
        assert done.returncode == 0, f"l4lb admin {args}: {done.returncode}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def status(self) -> dict[str, Any]:
        """`status`."""
        status: dict[str, Any] = self.ask("status")
        return status

    def backends(self) -> dict[str, dict[str, Any]]:
        """`backends`, by name."""
        return {row["name"]: row for row in self.ask("backends")}

    def total(self, field: str) -> int:
        """A number of `backends`, added up."""
        return sum(row[field] for row in self.ask("backends"))

    def active(self) -> list[int]:
        """Connections in progress, by worker index."""
        rows = sorted(self.status()["workers"], key=lambda row: int(row["index"]))
        return [row["active"] for row in rows]

    # ---- its processes -----------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Its live processes, the supervisor included."""
        return processes_of(self.process.pid)

    def pids(self) -> list[int]:
        """The workers' pids, by index."""
        rows = sorted(self.status()["workers"], key=lambda row: int(row["index"]))
        return [row["pid"] for row in rows]

    def child(self, title: str) -> psutil.Process:
        """The live child that calls itself `l4lb: TITLE`."""

        def look() -> psutil.Process | None:
            for process in self.processes():
                try:
                    if " ".join(process.cmdline()).startswith(f"l4lb: {title}"):
                        return process
                except psutil.NoSuchProcess:
                    continue
            return None

        return until(look, f"a process titled 'l4lb: {title}'")

    def signal(self, number: int) -> None:
        """Sends the supervisor a signal."""
        send_signal(self.process.pid, number)

    def kill(self, worker: int) -> int:
        """kill -9 of a worker; returns its pid once it is dead."""
        pid = self.pids()[worker]
        kill_and_wait(pid)
        return pid

    def wait_for_new_worker(self, worker: int, old_pid: int) -> int:
        """The pid of the worker that replaced `old_pid`."""

        def replaced() -> int:
            pid = int(self.pids()[worker] or 0)
            return pid if pid != old_pid and pid and psutil.pid_exists(pid) else 0

        return until(replaced, f"worker {worker} is replaced")

    # ---- its clients -------------------------------------------------------------------------

    def binds(self, listener: str = "web") -> list[str]:
        """The addresses that a listener binds."""
        if self.config is None:
            return [self.bind]
        binds: list[str] = self.config["listeners"][listener]["bind"]
        return binds

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first address of listener `web`."""
        host, _, port = self.binds()[0].rpartition(":")
        return host.strip("[]"), int(port)

    def connect(self, timeout_s: float = PATIENCE_S) -> socket.socket:
        """A client's connection to listener `web`."""
        return socket.create_connection(self.address, timeout=timeout_s)
