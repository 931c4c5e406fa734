"""Small servers, each in a thread, that answer a check as one test needs it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import trustme

from l4lb.checker import probes
from l4lb.checker.types import Outcome, Settings, Target
from l4lb.native.rows import Address

Talk = Callable[[socket.socket], None]


def one_check(target: Target, settings: Settings) -> Outcome:
    """Runs one check as the checker does, and closes everything that the check left open."""

    async def run() -> Outcome:
        async with AsyncExitStack() as ends:
            return await probes.check(target, settings, ends)

    return asyncio.run(run())


@contextlib.contextmanager
def serving(talk: Talk, context: ssl.SSLContext | None = None) -> Iterator[Address]:
    """Accepts connections one after the other, and calls talk with each."""
    listener = socket.create_server(("127.0.0.1", 0))
    over = threading.Event()

    def run() -> None:
        while not over.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(20)
            with contextlib.suppress(OSError):
                if context is not None:
                    sock = context.wrap_socket(sock, server_side=True)
                talk(sock)
            sock.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield Address(*listener.getsockname())
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(20)


@contextlib.contextmanager
def answering_datagrams(answer: Callable[[bytes], bytes | None]) -> Iterator[Address]:
    """Answers each datagram with the result of answer; None: sends no answer."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    where = sock.getsockname()

    def run() -> None:
        while True:
            data, sender = sock.recvfrom(4096)
            if data == b"the end" and sender == closer.getsockname():
                return
            reply = answer(data)
            if reply is not None:
                sock.sendto(reply, sender)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closer:
        closer.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield Address(*where)
        finally:
            closer.sendto(b"the end", where)
            thread.join(20)
            sock.close()


def says(data: bytes) -> Talk:
    """Reads a little, answers, and waits for the other side's end."""

    def talk(sock: socket.socket) -> None:
        sock.recv(4096)
        sock.sendall(data)
        while sock.recv(4096):
            pass

    return talk


class Authority:
    """A certificate authority and a server's TLS context for a name. days: until the certificate
    expires."""

    def __init__(self, folder: Path, *names: str, days: int = 30) -> None:
        from datetime import UTC, datetime, timedelta

        self._ca = trustme.CA()
        end = datetime.now(UTC) + timedelta(days=days, minutes=5)
        certificate = self._ca.issue_cert(
            *names, not_before=end - timedelta(days=400), not_after=end
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)
        self.ca = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.ca)
        self.key = str(folder / "server.pem")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.key)
