"""The balancer as its users have it: the installed program is started, asked, signalled and ended.

    with Balancer.before(backends.addresses, balance="least_connections") as lb:
        with lb.connect() as client: ...
        lb.admin("drain", "web/a")

The end of the block stops the balancer. The block fails if a process of it is left, if a process
printed a Python traceback, broke an assertion or ended by a signal that no test sent, or if a
worker has session rows that belong to no session. When the block fails, the balancer's log is
printed.
"""

from __future__ import annotations

import contextlib
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from . import wire
from .configuration import Config, one_pool, toml
from .deadline import PATIENCE_S, SLOWNESS, until
from .default_socket import SOCKET_OF_ROOT, default_socket
from .ports import PORTS
from .preload import PRELOADED, Started
from .processes import faults, kill_and_wait, processes_of, send_signal, was_sent
from .program import program, run

STOP_S = 15.0 * SLOWNESS
LEAK_S = 15.0  # time to release what has ended: handed-over UDP sessions take 6 s
ROWS_MAX = 100_000  # maximum number of rows that `sessions` shows


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
        """config: the content of its configuration file; its admin socket is added. args: its
        command line, instead of a file. bind: with args, the address that they bind; the admin
        socket is then the default one, which it has alone as long as it runs.

        files: its limit of open files. command: starts it, instead of the installed script. serves:
        the block begins when its workers run (False: when admin answers).
        """
        self.config = config
        self.args = list(args)
        self.bind = bind
        self.files = files
        self.close_fds = True  # the balancer inherits no descriptor of its parent
        self.before_exec: Callable[[], None] | None = None  # runs in its process first
        self.command = list(command or program())
        self.serves = serves
        self.folder = Path(tempfile.mkdtemp(prefix="l4lb-e2e-"))
        self.socket = str(self.folder / "l4lb" / "admin.sock")
        if config is None and os.getuid() == 0:
            self.socket = SOCKET_OF_ROOT
        self._turn = contextlib.ExitStack()
        self.log_path = self.folder / "log"
        self.out_path = self.folder / "out"
        self.process: Started | subprocess.Popen[bytes]

    @classmethod
    def secured(
        cls,
        backends: Sequence[str | Mapping[str, Any]],
        tls: Mapping[str, Any],
        *,
        listener: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Balancer:
        """Returns a balancer like `before`, with TLS on the listener. listener: the listener's
        other keys."""
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
        """Returns a balancer with one listener on a free port of 127.0.0.1 and one pool of these
        backends."""
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
            if self.config is None:
                self._turn.enter_context(default_socket())
            self._start()
            until(self.answers, "the balancer answers `status`", timeout_s=30)
            if self.serves:
                until(lambda: len(self.pids()) >= self.workers, "its workers run", timeout_s=30)
        except BaseException:
            self._kill_all()
            self._print_log()
            self._clean_up()
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
            plain = self.close_fds and self.before_exec is None
            if plain and PRELOADED.can_start(self.command, self.environment()):
                self.process = PRELOADED.start(
                    self.args,
                    out,
                    log,
                    self.folder,
                    environ=self.environment(),
                    files=self.files,
                )
                return
            self.process = subprocess.Popen(
                [*self.command, *self.args],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
                close_fds=self.close_fds,
                preexec_fn=self._prepare if self.files or self.before_exec else None,
            )

    def environment(self) -> dict[str, str]:
        """The environment it runs in; the default admin socket depends on it."""
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}

    def _prepare(self) -> None:
        if self.files:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.files, self.files))
        if self.before_exec:
            self.before_exec()

    def answers(self) -> bool:
        """Returns whether the admin socket answers. Raises if the balancer has ended."""
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
            self._clean_up()
        if kind is None:
            assert not wrong, "\n".join(wrong)

    def faults(self) -> list[str]:
        """Returns its faults so far, in words."""
        wrong = faults(self.log()) + faults(self.out())
        code = self.process.returncode
        if code is not None and code < 0 and not was_sent(self.process.pid, -code):
            wrong.append(f"the supervisor was killed by {signal.Signals(-code).name}")
        return wrong

    def _leaks(self) -> list[str]:
        """Returns workers whose number of session rows is not that of the sessions shown."""
        try:
            until(lambda: self._rows("sessions") == self._rows("held"), "", timeout_s=LEAK_S)
        except (OSError, EOFError):
            return []  # the balancer is being stopped, or does not answer
        except AssertionError:
            return [f"rows held {self._rows('held')}, sessions {self._rows('sessions')}, by worker"]
        return []

    def _rows(self, what: str) -> Counter[int]:
        """Returns session rows by worker: the numbers in `held`, or those of `sessions`."""
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

    def _clean_up(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._turn.close()

    def _print_log(self) -> None:
        print(f"--- l4lb {' '.join(self.args)}", file=sys.stderr)
        for path in (self.out_path, self.log_path, self.folder / "l4lb.toml"):
            if path.exists():
                print(f"--- {path.name}\n{path.read_text(errors='replace')}", file=sys.stderr)

    def log(self) -> str:
        """Returns its log so far (stderr)."""
        return self.log_path.read_text(errors="replace")

    def out(self) -> str:
        """Returns its output so far (stdout)."""
        return self.out_path.read_text(errors="replace")

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Waits for the supervisor's end. Returns its exit status."""
        return self.process.wait(timeout=timeout_s)

    @property
    def workers(self) -> int:
        """Returns the minimum number of workers that its configuration asks for."""
        process = self.config["process"] if self.config else {}
        return int(process.get("workers", 1))

    # ---- asking ------------------------------------------------------------------------------

    def ask(self, command: str, **args: Any) -> Any:
        """Sends a request over the admin socket with the tests' own client."""
        return wire.ask(self.socket, command, **args)

    def admin(self, *args: str) -> Any:
        """Runs `l4lb admin ARGS --json`, which must succeed. Returns its output, parsed."""
        done = run("admin", "--socket", self.socket, *args, "--json", command=self.command)
        assert done.returncode == 0, f"l4lb admin {args}: {done.returncode}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def status(self) -> dict[str, Any]:
        """Returns the result of `status`."""
        status: dict[str, Any] = self.ask("status")
        return status

    def backends(self) -> dict[str, dict[str, Any]]:
        """Returns the result of `backends`, by name."""
        return {row["name"]: row for row in self.ask("backends")}

    def total(self, field: str) -> int:
        """Returns the sum of one number of `backends`."""
        return sum(row[field] for row in self.ask("backends"))

    def active(self) -> list[int]:
        """Returns the number of live connections by worker index."""
        rows = sorted(self.status()["workers"], key=lambda row: int(row["index"]))
        return [row["active"] for row in rows]

    # ---- its processes -----------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Returns its live processes, the supervisor included."""
        return processes_of(self.process.pid)

    def pids(self) -> list[int]:
        """Returns the workers' pids by index."""
        rows = sorted(self.status()["workers"], key=lambda row: int(row["index"]))
        return [row["pid"] for row in rows]

    def child(self, title: str) -> psutil.Process:
        """Returns the live child with the title `l4lb: TITLE`."""

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
        """Kills a worker (kill -9). Returns its pid once it is dead."""
        pid = self.pids()[worker]
        kill_and_wait(pid)
        return pid

    def wait_for_new_worker(self, worker: int, old_pid: int) -> int:
        """Returns the pid of the worker that replaced `old_pid`."""

        def replaced() -> int:
            pid = int(self.pids()[worker] or 0)
            return pid if pid != old_pid and pid and psutil.pid_exists(pid) else 0

        return until(replaced, f"worker {worker} is replaced")

    # ---- its clients -------------------------------------------------------------------------

    def binds(self, listener: str = "web") -> list[str]:
        """Returns the addresses that a listener binds."""
        if self.config is None:
            return [self.bind]
        binds: list[str] = self.config["listeners"][listener]["bind"]
        return binds

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the first address of listener `web`."""
        host, _, port = self.binds()[0].rpartition(":")
        return host.strip("[]"), int(port)

    def connect(
        self, timeout_s: float = PATIENCE_S, *, source: str = "", window: int = 0
    ) -> socket.socket:
        """Returns a client's connection to listener `web`. source: its address; window: bytes that
        it takes before it reads; "", 0: as usual."""
        sock = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        sock.settimeout(timeout_s)
        if window:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        if source:
            sock.bind((source, 0))
        try:
            sock.connect(self.address)
        except BaseException:
            sock.close()
            raise
        return sock
