"""`l4lb run --demo`: three small HTTP backends in a process of their own, and what to try."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from functools import partial

import click

NAMES = ("demo-1", "demo-2", "demo-3")
REQUEST_MAX = 8 << 10
REQUEST_TIMEOUT_S = 30.0


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, name: str) -> None:
    """One HTTP/1.1 request, one answer that says who gave it."""
    try:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
        body = f"hello from backend {name}\n".encode()
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # the client's affair
    finally:
        writer.close()


async def _serve(sockets: list[socket.socket], parent: int) -> None:
    for name, sock in zip(NAMES, sockets, strict=True):
        await asyncio.start_server(partial(_answer, name=name), sock=sock, limit=REQUEST_MAX)
    while os.getppid() == parent:
        await asyncio.sleep(0.2)


def _start_backends() -> tuple[int, list[int]]:
    """Forks the backends' process. Returns its pid and the ports they listen on."""
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


def run(*, workers: int | None, admin: str | None) -> int:
    """Serves until told to end. Returns the exit status."""
    from l4lb.cli.run import override
    from l4lb.config.defaults import default_admin_path
    from l4lb.config.flags import demo
    from l4lb.supervisor.main import serve

    pid, ports = _start_backends()
    socket_path = admin or default_admin_path()
    option = "" if socket_path == default_admin_path() else f" --socket {socket_path}"

    def announce() -> None:
        click.echo(
            "l4lb serves on 127.0.0.1:8080 before three backends. Try, in another terminal:\n"
            "  curl http://127.0.0.1:8080/\n"
            f"  l4lb admin{option} status\n"
            f"  l4lb admin{option} backends\n"
            f"  l4lb admin{option} drain demo/demo-1\n"
            "End it with Ctrl-C."
        )

    try:
        config = override(demo(ports), workers, socket_path)
        return serve(config, announce=announce)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
