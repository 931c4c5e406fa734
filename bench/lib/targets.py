"""The balancers that are compared: configuration and start of each, one class for each program.

All forward one port on 127.0.0.1 to one backend, with one worker or thread, and log nothing. Each
is configured for throughput as its documentation recommends.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

START_TIMEOUT_S = 20.0


def free_port() -> int:
    """Returns a port that nothing uses now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass(frozen=True)
class Target:
    """One balancer. version() asks the program itself."""

    name: str
    program: str

    def available(self) -> bool:
        return shutil.which(self.program) is not None

    def version(self) -> str:
        return ""

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        """Writes the configuration into folder. Returns the command that serves in the
        foreground."""
        raise NotImplementedError


def first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().splitlines()[0]


class L4lb(Target):
    """l4lb."""

    def version(self) -> str:
        return first_line(self.program, "--version")

    def serves(self, backend: int) -> str:
        """Returns the rest of the listener's table, and the tables that it names."""
        return f"""
            pool = "bench"
            [pools.bench]
            backends = ["127.0.0.1:{backend}"]
            """

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        config = folder / "l4lb.toml"
        config.write_text(
            f"""
            [process]
            workers = 1
            admin = "{folder}/admin.sock"
            [listeners.bench]
            bind = ["127.0.0.1:{port}"]
            {self.serves(backend)}
            """
        )
        return [self.program, "run", "-c", str(config)]


class Haproxy(Target):
    """HAProxy in tcp mode with option splice-auto."""

    def version(self) -> str:
        return first_line(self.program, "-v")

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        config = folder / "haproxy.cfg"
        config.write_text(
            f"""
global
    nbthread 1
    maxconn 8500
    maxpipes 1000
    tune.pipesize 262144
    tune.maxpollevents 256
defaults
    mode tcp
    option splice-auto
    timeout connect 2s
    timeout client 10m
    timeout server 10m
frontend bench
    bind 127.0.0.1:{port} backlog 4096
    default_backend bench
backend bench
    server one 127.0.0.1:{backend}
"""
        )
        return [self.program, "-q", "-db", "-f", str(config)]


class Nginx(Target):
    """nginx's stream module."""

    def version(self) -> str:
        return first_line(self.program, "-v")

    def command(self, folder: Path, port: int, backend: int) -> list[str]:
        module = Path("/usr/lib/nginx/modules/ngx_stream_module.so")
        load = f"load_module {module};" if module.exists() else ""
        config = folder / "nginx.conf"
        config.write_text(
            f"""
{load}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 18000; multi_accept on; }}
stream {{
    upstream bench {{ server 127.0.0.1:{backend}; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        proxy_pass bench;
        proxy_buffer_size 64k;
        tcp_nodelay on;
    }}
}}
"""
        )
        return [self.program, "-p", str(folder), "-c", str(config)]


def known(l4lb: str) -> list[Target]:
    """Returns all targets, l4lb first. l4lb: path of its program."""
    return [L4lb("l4lb", l4lb), Haproxy("haproxy", "haproxy"), Nginx("nginx", "nginx")]


def default_l4lb() -> str:
    """Returns the path of the l4lb installed beside this Python."""
    return str(Path(sys.executable).parent / "l4lb")


class Running:
    """A balancer that was started: its port, its folder, and its use of processor and memory."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path = Path()) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    def family(self) -> list[psutil.Process]:
        """Returns the balancer's processes."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """Returns user and system time of all its processes so far."""
        times = [one.cpu_times() for one in self.family()]
        return sum(one.user + one.system for one in times)

    def private_bytes(self) -> dict[int, int]:
        """Returns each process's private memory, by pid."""
        return {one.pid: _private_bytes(one.pid) for one in self.family()}


def _private_bytes(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {row.split(":")[0]: int(row.split()[1]) for row in rows}
    return (sizes["Private_Clean"] + sizes["Private_Dirty"]) * 1024


def _wait_until_served(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args} did not serve in {START_TIMEOUT_S:g} s")


@contextmanager
def running(target: Target, backend: int) -> Iterator[Running]:
    """Runs the target in front of the backend's port, for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="l4lb-bench-") as name:
        port = free_port()
        command = target.command(Path(name), port, backend)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _wait_until_served(process, port)
            yield Running(process, port, Path(name))
        finally:
            end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends the target's process group."""
    with suppress(ProcessLookupError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=5)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
