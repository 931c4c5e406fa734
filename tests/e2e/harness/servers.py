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


ICAP_MODULES = Path("/usr/lib/x86_64-linux-gnu/c_icap")
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
"""The test string that every scanner finds, and that does no harm."""


@contextlib.contextmanager
def clamd(folder: Path) -> Iterator[int]:
    """Runs ClamAV's daemon, whose database has only EICAR."""
    path = need("clamd")
    (folder / "db").mkdir()
    (folder / "db" / "eicar.ndb").write_text(f"Eicar-Test:0:*:{EICAR.hex()}\n")
    with PORTS.taken() as port:
        (folder / "clamd.conf").write_text(
            f"DatabaseDirectory {folder}/db\nTCPSocket {port}\nTCPAddr 127.0.0.1\n"
            f"Foreground yes\nTemporaryDirectory {folder}\n"
        )
        command = [path, "-c", str(folder / "clamd.conf")]
        with running(command, port, folder / "clamd.log"):
            yield port


@contextlib.contextmanager
def c_icap(folder: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Runs c-icap with its services `echo` and `avscan` (virus_scan with ClamAV's daemon)."""
    path = need("c-icap")
    for module in ("srv_echo.so", "virus_scan.so", "clamd_mod.so"):
        if not (ICAP_MODULES / module).exists():
            pytest.skip(f"c-icap's {module} is not installed")
    with clamd(folder) as scanner, PORTS.taken() as port:
        (folder / "c-icap.conf").write_text(
            f"""
PidFile {folder}/c-icap.pid
CommandsSocket {folder}/c-icap.ctl
StartServers 1
MaxServers 1
ThreadsPerChild 20
Port 127.0.0.1:{port}
TmpDir {folder}
ModulesDir {ICAP_MODULES}
ServicesDir {ICAP_MODULES}
TemplateDir /usr/share/c_icap/templates/
TemplateDefaultLanguage en
LoadMagicFile /etc/c-icap/c-icap.magic
ServerLog {folder}/server.log
AccessLog {folder}/access.log
Service echo srv_echo.so
Service scanner virus_scan.so
ServiceAlias avscan virus_scan?allow204=on&sizelimit=off&mode=simple
virus_scan.ScanFileTypes TEXT DATA EXECUTABLE ARCHIVE GIF JPEG MSOFFICE
virus_scan.SendPercentData 0
virus_scan.MaxObjectSize 5M
virus_scan.DefaultEngine clamd
Module common clamd_mod.so
clamd_mod.ClamdHost 127.0.0.1
clamd_mod.ClamdPort {scanner}
"""
        )
        command = [path, "-N", "-f", str(folder / "c-icap.conf")]
        with running(command, port, folder / "c-icap.log") as process:
            yield port, process
