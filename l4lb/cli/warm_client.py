"""Asks for URLs as a client of our own listeners does, and counts what their cache says.

HTTP is read by Python's own http.client, because it talks over any socket: a listener may be a unix
socket, with TLS too. Certificates are not verified: the address is that of our own listener, as the
admin socket has named it. Each thread has one connection, which is kept while the host stays the
same.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from l4lb.cli.warm_urls import Door, Wanted
from l4lb.errors import L4lbError

ANSWER_TIMEOUT_S = 30.0
PIECE = 1 << 16
FAILURES_MAX = 20  # that are told with their reason
ERROR = 400  # the first status that says that there is no such page
# What l4lb writes, as the last member of a list (RFC 9211): csrc/http/cached.c. The name of the
# field is the operator's.
TOLD = re.compile(r"[^\s;,]+((?:; (?:hit|stored|collapsed|fwd=[a-z-]+|fwd-status=\d+|ttl=-?\d+))+)")
Key = tuple[Door, str, bool]


class Failure(NamedTuple):
    """A URL that was not answered, or with an error that is not kept."""

    line: int
    url: str
    reason: str


@dataclass
class Tally:
    """How many URLs were kept already, were fetched and are kept now, are not kept, and failed."""

    kept: int = 0
    fetched: int = 0
    not_kept: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)


class DemandError(Exception):
    """The listener demands a certificate of its clients."""


class Answer(http.client.HTTPResponse):
    """An answer; the informational ones before it (1xx) are skipped."""

    def begin(self) -> None:
        super().begin()
        while self.status // 100 == 1:
            self.headers = self.msg = None  # type: ignore[assignment]  # why: begin starts there
            super().begin()


class Connection(http.client.HTTPConnection):
    """A connection to a listener."""

    response_class = Answer

    def __init__(self, door: Door, name: str, context: ssl.SSLContext | None) -> None:
        super().__init__(name, timeout=ANSWER_TIMEOUT_S)
        self._door = door
        self._context = context

    def connect(self) -> None:
        """Connects, and says the name that the certificate is for."""
        address = self._door.address
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(ANSWER_TIMEOUT_S)
            try:
                sock.connect(address)
            except OSError:
                sock.close()
                raise
        else:
            sock = socket.create_connection(address, ANSWER_TIMEOUT_S)
        if self._context is not None:
            try:
                sock = self._context.wrap_socket(sock, server_hostname=self.host)
            except (OSError, ValueError):
                sock.close()
                raise
        self.sock = sock


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["http/1.1"])
    return context


class Client:
    """Asks for one URL after the other."""

    def __init__(self, fields: Sequence[tuple[str, str]], context: ssl.SSLContext) -> None:
        self._fields = fields
        self._context = context
        self._key: Key | None = None
        self._connection: Connection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, one: Wanted, door: Door) -> tuple[int, str]:
        """Returns the status of an answer and what the cache did: kept, fetched or not_kept. Raises
        OSError, http.client.HTTPException."""
        key = door, one.host, one.secure
        if self._connection is None or key != self._key:
            self.close()
            context = self._context if one.secure else None
            self._connection = Connection(door, one.host.strip("[]"), context)
            self._key = key
        used = self._connection.sock is not None
        try:
            return self._asked(self._connection, one)
        except ConnectionError:
            self.close()
            if not used:
                raise
        return self.ask(one, door)  # the listener has ended a connection that it had kept

    def _asked(self, connection: Connection, one: Wanted) -> tuple[int, str]:
        ends = time.monotonic() + ANSWER_TIMEOUT_S
        connection.putrequest("GET", one.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", one.authority)
        for name, value in self._fields:
            connection.putheader(name, value)
        connection.endheaders()
        sock = connection.sock
        answer = connection.getresponse()
        while answer.read1(PIECE):
            left_s = ends - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            sock.settimeout(left_s)
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
        answer.close()
        if connection.sock is sock:  # it is kept
            sock.settimeout(ANSWER_TIMEOUT_S)
        return answer.status, told(answer.getheaders())


def told(fields: Iterable[tuple[str, str]]) -> str:
    """Returns what the fields of an answer say of our cache: kept, fetched or not_kept."""
    for _, value in reversed(list(fields)):
        match = TOLD.fullmatch(value.rpartition(", ")[2])
        if match is not None:
            words = match[1].split("; ")
            return "kept" if "hit" in words else "fetched" if "stored" in words else "not_kept"
    return "not_kept"


def _reason(error: Exception) -> str:
    """Returns why an answer did not come. Raises DemandError."""
    if isinstance(error, ssl.SSLError):
        if error.reason == "TLSV13_ALERT_CERTIFICATE_REQUIRED":
            raise DemandError
        return f"TLS: {(error.reason or str(error)).lower().replace('_', ' ')}"
    if isinstance(error, TimeoutError):
        return f"no whole answer in {ANSWER_TIMEOUT_S:g} s"
    if isinstance(error, http.client.IncompleteRead):
        return "the answer ended early"
    if isinstance(error, (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError)):
        return "the connection was ended without an answer"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


class Warming:
    """The threads that ask, and what they have found."""

    def __init__(
        self, wanted: Iterable[tuple[Wanted, Door]], fields: Sequence[tuple[str, str]]
    ) -> None:
        self.tally = Tally()
        self._wanted: Iterator[tuple[Wanted, Door]] = iter(wanted)
        self._fields = fields
        self._context = _context()
        self._lock = threading.Lock()
        self._ended = False
        self._error: Exception | None = None

    def run(self, parallel: int) -> bool:
        """Asks for all URLs; returns False if the operator has interrupted it. Raises L4lbError."""
        threads = [threading.Thread(target=self._work, daemon=True) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                thread.join()
        except KeyboardInterrupt:
            self._ended = True  # the threads are daemons: nothing waits for their answers
            return False
        if self._error is not None:
            raise self._error
        return True

    def _work(self) -> None:
        client = Client(self._fields, self._context)
        try:
            while (found := self._next()) is not None:
                self._visit(client, *found)
        except Exception as error:
            self._error, self._ended = error, True
        finally:
            client.close()

    def _next(self) -> tuple[Wanted, Door] | None:
        with self._lock:
            return None if self._ended else next(self._wanted, None)

    def _visit(self, client: Client, one: Wanted, door: Door) -> None:
        try:
            status, word = client.ask(one, door)
            reason = f"status {status}" if status >= ERROR and word == "not_kept" else ""
        except (OSError, ValueError, http.client.HTTPException) as error:
            client.close()
            try:
                word, reason = "failed", _reason(error)
            except DemandError:
                said = "demands a certificate of its clients: it cannot be asked from here"
                raise L4lbError(f"listener {door.listener} {said}") from error
        with self._lock:
            self._count("failed" if reason else word)
            if reason and len(self.tally.failures) < FAILURES_MAX:
                self.tally.failures.append(Failure(one.line, str(one), reason))

    def _count(self, word: str) -> None:
        setattr(self.tally, word, getattr(self.tally, word) + 1)
