"""Real servers that people run, installed from Debian, started for a test and ended with it. And
clients that people use."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pytest

from .deadline import PATIENCE_S, until
from .ports import PORTS

POSTGRES_FOLDERS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def need(name: str, *folders: Path) -> str:
    """Returns the path of a program. Skips the test, with the reason, if it is not installed."""
    search = os.pathsep.join([*map(str, folders), os.environ.get("PATH", ""), "/usr/sbin"])
    found = shutil.which(name, path=search)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def accepts(port: int) -> bool:
    """Returns whether something listens on this port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    stop: int = signal.SIGTERM,
    user: str | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Yields a server process, from the time when its port answers until it has ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=log.parent,
            user=user,
        )
    try:
        until(
            lambda: accepts(port) or process.poll() is not None,
            f"{command[0]} answers: {log.read_text(errors='replace')}",
        )
        assert process.poll() is None, log.read_text(errors="replace")
        yield process
    finally:
        process.send_signal(stop)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


@contextlib.contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """Runs nginx, which serves `folder`/www over HTTP on the given port."""
    path = need("nginx")
    (folder / "www").mkdir(exist_ok=True)
    with PORTS.taken() as port:
        (folder / "nginx.conf").write_text(
            f"""
            {"user root;" if os.getuid() == 0 else ""}
            worker_processes 1; pid {folder}/nginx.pid; daemon off; error_log stderr;
            events {{ worker_connections 4096; }}
            http {{
                access_log off; sendfile on; keepalive_requests 100000000;
                client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
                scgi_temp_path {folder}/scgi;
                server {{ listen 127.0.0.1:{port} backlog=4096; root {folder}/www; }}
            }}
            """
        )
        command = [path, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        with running(command, port, folder / "nginx.log", stop=signal.SIGQUIT):
            yield port


@contextlib.contextmanager
def uvicorn(folder: Path, app: str) -> Iterator[int]:
    """Runs uvicorn, which serves `app`: the text of a module that has an application of this name.
    It takes WebSockets, too."""
    need("uvicorn", Path(sys.executable).parent)
    (folder / "app.py").write_text(app)
    with PORTS.taken() as port:
        command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--ws", "wsproto",
                   "--http", "h11", "--app-dir", str(folder), "app:app"]  # fmt: skip
        with running(command, port, folder / "uvicorn.log"):
            yield port


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[int]:
    """Runs redis-server, which keeps nothing on disk."""
    path = need("redis-server")
    with PORTS.taken() as port:
        command = [path, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        with running([*command, "--dir", str(folder)], port, folder / "redis.log"):
            yield port


def open_way(folder: Path) -> None:
    """Lets every user pass through the folders above; a test's own folders are closed to others."""
    for parent in (folder, *folder.parents):
        mode = parent.stat().st_mode
        if not mode & 0o001:
            parent.chmod(mode | 0o011)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[int]:
    """Runs PostgreSQL with a new, empty cluster; as root it runs as the user postgres."""
    initdb = need("initdb", *POSTGRES_FOLDERS)
    server = need("postgres", *POSTGRES_FOLDERS)
    user = "postgres" if os.getuid() == 0 else None
    home = folder / "pg"
    home.mkdir()
    if user:
        shutil.chown(home, user)
        open_way(folder)
    subprocess.run(
        [initdb, "-D", str(home / "data"), "-U", "test", "-A", "trust", "-N"],
        check=True,
        capture_output=True,
        timeout=60,
        cwd=home,
        user=user,
    )
    with PORTS.taken() as port:
        settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={home}"]
        options = [part for setting in settings for part in ("-c", setting)]
        command = [server, "-D", str(home / "data"), *options, "-c", "fsync=off"]
        log = folder / "postgres.log"
        with running(command, port, log, stop=signal.SIGINT, user=user):
            yield port


def curl(*args: str, stdin: IO[bytes] | None = None) -> bytes:
    """Returns what curl writes. It must succeed."""
    done = subprocess.run(
        [need("curl"), "-sS", *args],
        stdin=stdin,
        capture_output=True,
        timeout=PATIENCE_S * 3,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def wrk_sees_no_error(*args: str) -> None:
    """Lets wrk ask. Each answer must come, with a status of success."""
    done = subprocess.run(
        [need("wrk"), *args], capture_output=True, text=True, timeout=PATIENCE_S * 3, check=True
    )
    assert "Requests/sec" in done.stdout
    assert "errors" not in done.stdout, done.stdout
    assert "Non-2xx" not in done.stdout, done.stdout
