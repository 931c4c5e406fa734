"""Engines of ICAP (RFC 3507) in the test itself, which say what the test wants."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from .backends import Door
from .balancer import Balancer
from .deadline import PATIENCE_S, until
from .http import before
from .origin import Origin

MARK = b"EVIL"  # what `blocking` looks for
BLOCKED = b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nX-By: engine\r\n\r\n"


@dataclass(frozen=True)
class Asked:
    """What an engine was asked. whole: its body was all in the preview."""

    method: str
    fields: dict[str, str]
    request: bytes
    answer: bytes
    body: bytes
    previewed: bytes | None
    whole: bool
    talk: Talk


class GoneError(Exception):
    """The client of the engine has left."""


class Talk:
    """One connection of an engine: what has come, and what is said."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._have = b""

    def say(self, said: bytes) -> None:
        self.sock.sendall(said)

    def until(self, mark: bytes) -> bytes:
        while mark not in self._have:
            self._more()
        at = self._have.index(mark) + len(mark)
        found, self._have = self._have[:at], self._have[at:]
        return found

    def take(self, count: int) -> bytes:
        while len(self._have) < count:
            self._more()
        found, self._have = self._have[:count], self._have[count:]
        return found

    def chunks(self) -> tuple[bytes, bool]:
        """Reads a body in chunks. Returns it, and whether its last chunk says `ieof`."""
        body = b""
        while True:
            line = self.until(b"\r\n")
            size, _, extension = line.strip().partition(b";")
            if not int(size, 16):
                assert self.until(b"\r\n") == b"\r\n"
                return body, extension.strip() == b"ieof"
            body += self.take(int(size, 16))
            assert self.take(2) == b"\r\n"

    def is_gone(self) -> bool:
        """Waits until the client leaves."""
        with contextlib.suppress(OSError):
            return self.sock.recv(1) == b""
        return True

    def _more(self) -> None:
        data = self.sock.recv(1 << 16)
        if not data:
            raise GoneError
        self._have += data


Answering = Callable[[Asked], "bytes | Iterable[bytes]"]


def message(
    status: str = "200 OK",
    *,
    request: bytes = b"",
    answer: bytes = b"",
    body: bytes | None = None,
    fields: Iterable[str] = (),
    chunk: int = 1 << 20,
) -> bytes:
    """Returns an answer of an engine with these heads of HTTP."""
    parts, at = [], 0
    for name, head in (("req-hdr", request), ("res-hdr", answer)):
        if head:
            parts.append(f"{name}={at}")
            at += len(head)
    kind = "null" if body is None else "res" if answer else "req"
    if parts:
        parts.append(f"{kind}-body={at}")
    said = [f"ICAP/1.0 {status}", 'ISTag: "t"', *fields]
    said += [f"Encapsulated: {', '.join(parts)}"] if parts else []
    head = "\r\n".join([*said, "", ""]).encode()
    cuts = [] if body is None else [body[i : i + chunk] for i in range(0, len(body), chunk)]
    framed = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in cuts)
    return head + request + answer + (b"" if body is None else framed + b"0\r\n\r\n")


CLEAN = message("204 No Content")


def clean(_: Asked) -> bytes:
    """Lets everything pass."""
    return CLEAN


def blocking(asked: Asked) -> bytes:
    """Blocks what has MARK in its body."""
    if MARK not in asked.body:
        return CLEAN
    return message(answer=BLOCKED, body=b"blocked by the engine")


def says(said: bytes) -> Answering:
    """Says the same to all."""
    return lambda _: said


def hangs(asked: Asked) -> bytes:
    """Says nothing for as long as the other side waits."""
    asked.talk.is_gone()
    return CLEAN


def echo(asked: Asked) -> bytes:
    """Sends back what it was shown, as if it knew no 204."""
    shown = {"answer": asked.answer} if asked.answer else {"request": asked.request}
    return message(body=asked.body or None, **shown)


@dataclass
class Engine:
    """An engine whose every connection has a thread of its own. options: further fields of its
    answer to OPTIONS. preview: bytes that it wants to see first; None: all."""

    answering: Answering = clean
    preview: int | None = None
    options: tuple[str, ...] = ()
    options_status: str = "200 OK"
    methods: str = "REQMOD, RESPMOD"
    asked: list[Asked] = field(default_factory=list)
    optioned: int = 0  # how often its options were asked
    waits: bool = False  # it never reads more than the preview

    def __post_init__(self) -> None:
        self._door = Door(backlog=256)
        self._live: set[socket.socket] = set()

    def __enter__(self) -> Engine:
        self._door.accept_each(self._take)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._door.__exit__(kind, error, trace)

    def stop(self) -> None:
        """Refuses further connections, and ends those that are open."""
        self._door.refuse()
        for sock in list(self._live):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        until(lambda: not self._live, "the engine's connections have ended")

    def row(self, **more: Any) -> dict[str, Any]:
        """Returns its row of a configuration."""
        return {"url": f"icap://{self._door.address}/scan", **more}

    def _take(self, sock: socket.socket) -> None:
        self._live.add(sock)
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(PATIENCE_S * 4)
            with contextlib.suppress(OSError, GoneError):
                self._talk(Talk(sock))
        finally:
            sock.close()
            self._live.discard(sock)

    def _talk(self, talk: Talk) -> None:
        head = talk.until(b"\r\n\r\n").decode()
        line, *rest = head.strip().split("\r\n")
        fields = {key.lower(): value.strip() for key, _, value in (r.partition(":") for r in rest)}
        method, url, version = line.split(" ")
        assert (url, version) == (f"icap://{self._door.address}/scan", "ICAP/1.0")
        if method == "OPTIONS":
            self.optioned += 1
            more = [f"Preview: {self.preview}"] if self.preview is not None else []
            said = [f"Methods: {self.methods}", "Allow: 204", *more, *self.options]
            talk.say(message(self.options_status, fields=said))
            return
        asked = self._read(talk, method, fields)
        self.asked.append(asked)
        reply = self.answering(asked)
        for part in [reply] if isinstance(reply, bytes) else reply:
            talk.say(part)

    def _read(self, talk: Talk, method: str, fields: dict[str, str]) -> Asked:
        places = [part.strip().partition("=") for part in fields["encapsulated"].split(",")]
        ends = [int(at) for _, _, at in places]
        heads = {"req-hdr": b"", "res-hdr": b""}
        for (name, _, at), end in zip(places, ends[1:], strict=False):
            heads[name] = talk.take(end - int(at))
        body, whole, previewed = b"", False, None
        if places[-1][0] != "null-body":
            body, whole = talk.chunks()
        if "preview" in fields:
            previewed = body
            assert len(body) <= int(fields["preview"])
            if not whole and not self.waits:
                talk.say(b"ICAP/1.0 100 Continue\r\n\r\n")
                body += talk.chunks()[0]
        return Asked(
            method, fields, heads["req-hdr"], heads["res-hdr"], body, previewed, whole, talk
        )


EVIL = b"some " + MARK + b" bytes"


@contextmanager
def inspected(
    engine: Engine,
    origin: Origin,
    *,
    what: tuple[str, ...] = ("requests", "answers"),
    on_failure: str = "deny",
    rule: dict[str, Any] | None = None,
    http: dict[str, Any] | None = None,
    icap: dict[str, Any] | None = None,
    **more: Any,
) -> Iterator[Balancer]:
    """A balancer whose listener has everything inspected by the engine."""
    rules = [
        {"name": "av", "icap": "clam", "what": list(what), "on_failure": on_failure, **(rule or {})}
    ]
    lb = before([origin.row], http={"inspect": rules, **(http or {})}, **more)
    lb.config["icap"] = {"clam": engine.row(**(icap or {}))}
    with lb:
        yield lb


def verdicts(lb: Balancer) -> dict[str, int]:
    """Returns how often each verdict was given, without those that never were."""
    (row,) = lb.admin("inspections", "web")
    words = ("clean", "changed", "too_large", "failed", "blocked")
    return {word: row[word] for word in words if row[word]}
