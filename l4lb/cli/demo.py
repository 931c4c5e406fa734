"""`l4lb run --demo`: three small HTTP backends in a process of their own, and commands to try."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import socket
from functools import partial

import click

from l4lb.cli.program import typed
from l4lb.config.defaults import default_admin_path
from l4lb.config.flags import DEMO_HOST, DEMO_PATH, DEMO_PORT
from l4lb.errors import L4lbError

DASHBOARD_PORT = 9180
NAMES = ("demo-1", "demo-2", "demo-3")
REQUEST_MAX = 8 << 10
REQUEST_TIMEOUT_S = 30.0


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, name: str) -> None:
    """Answers one HTTP/1.1 request with the backend's name."""
    try:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
        body = f"hello from backend {name}\n".encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the client's fault
    finally:
        writer.close()


async def _serve(sockets: list[socket.socket], parent: int) -> None:
    for name, sock in zip(NAMES, sockets, strict=True):
        await asyncio.start_server(partial(_answer, name=name), sock=sock, limit=REQUEST_MAX)
    while os.getppid() == parent:
        await asyncio.sleep(0.2)


def _start_backends() -> tuple[int, list[int]]:
    """Forks the backends' process. Returns its pid and the ports that it listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in NAMES]
    ports = [sock.getsockname()[1] for sock in sockets]
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            asyncio.run(_serve(sockets, parent))
        finally:
            os._exit(0)
    for sock in sockets:
        sock.close()
    return pid, ports


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # TIME_WAIT does not matter
        try:
            sock.bind((DEMO_HOST, port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.create_server((DEMO_HOST, 0)) as sock:
        return int(sock.getsockname()[1])


def _told(port: int, http_port: int, admin: str) -> str:
    """Returns commands to try, which work as they are printed."""
    option = "" if admin == default_admin_path() else f" --socket {shlex.quote(admin)}"
    asks = f"{typed()} admin{option}"
    return (
        f"l4lb serves on {DEMO_HOST}:{port} before three backends.\n"
        f"Dashboard: http://{DEMO_HOST}:{http_port}/\n"
        "Try, in another terminal:\n"
        f"  curl http://{DEMO_HOST}:{port}/\n"
        f"  curl http://{DEMO_HOST}:{port}{DEMO_PATH}\n"
        f"  {asks} status\n"
        f"  {asks} backends\n"
        f"  {asks} routes demo --hits\n"
        f"  {asks} drain demo/demo-1\n"
        "End it with Ctrl-C."
    )


def run(*, port: int | None, workers: int | None, admin: str | None) -> int:
    """Serves until a signal ends it. Returns the exit status. Raises L4lbError if the port is
    taken."""
    from l4lb.config.flags import demo, override
    from l4lb.supervisor.first_start import serve

    port = port or DEMO_PORT
    if not _is_free(port):
        raise L4lbError(
            f"{DEMO_HOST}:{port}: another program listens there, or it is not this user's to bind;"
            f" take another port: --demo --port {_any_port()}"
        )
    http_port = DASHBOARD_PORT if _is_free(DASHBOARD_PORT) else _any_port()
    pid, ports = _start_backends()
    try:
        config = override(demo(ports, port, http_port), workers, admin or default_admin_path())
        told = _told(port, http_port, config.process.admin)
        return serve(config, announce=lambda: click.echo(told))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
