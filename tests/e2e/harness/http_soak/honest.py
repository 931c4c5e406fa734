"""Honest clients: each answer is compared with the one that its request asked for.

A client's requests end as `done`, as `wrong` (another answer came), as `stuck`
(nothing came in time), as `failed` (they ended early, or l4lb answered itself), or as `again`: the
connection ended in order before the answer began, and the request may be sent again.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from ..bytestream import receive
from ..http import Answer, CutOffError, Peer, chunked, request
from ..soak import honest
from ..soak.honest import WAIT_S, Client
from .over_tls import OverTls
from .talk import KEPT, SAFE, SEED_BITS, SIZES, UPGRADE, Plan
from .world import World

UNTIL_CLOSE, FRAMED = "until close", "framed"
METHODS = (*SAFE, "GET", "GET", "PUT", "POST", "POST")
UNBEGUN = ("ended before", "SEND_RESPONSE", "reset")  # words about an end without any answer
SLOW_WINDOW = 4096  # bytes that the kernel takes for a client that reads slowly


@dataclass(frozen=True)
class Asked:
    """A request that was begun. expects: its client waits for 100 (Continue)."""

    plan: Plan
    method: str
    begun: float
    expects: bool = False


@dataclass(frozen=True)
class Got:
    """An answer: its status, the request that it names, and its body. until_close: the end of the
    connection is the end of the body."""

    status: int
    name: str | None
    body: bytes
    until_close: bool = False

    @classmethod
    def of(cls, answer: Answer, body: bytes) -> Got:
        framed = answer.get("content-length") or answer.get("transfer-encoding")
        return cls(answer.status, answer.get("x-id"), body, not framed)


@dataclass(frozen=True)
class Failure:
    """A request that failed; its client knew when it `ended`. port, opened: of its connection. how:
    in words. looks_whole: the framing of a cut answer that does not tell that it was cut."""

    kind: str
    port: int
    opened: float
    asked: Asked
    how: str
    ended: float
    looks_whole: str = ""

    @property
    def may_be_sent_again(self) -> bool:
        """Returns whether a dead origin is no reason for its failure: its client got no answer, not
        even one of the kind 1xx."""
        asked = self.asked
        return (
            self.how.startswith("status")
            and asked.method in SAFE
            and asked.plan.up < KEPT
            and asked.plan.way != "informed"
            and not asked.expects
        )


@dataclass
class Tally(honest.Tally):
    """Everything that honest clients have seen."""

    again: list[Failure] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)

    def judge(self, client: Honest, asked: Asked, got: Got) -> None:
        """Adds an answer."""
        if got.name is None and got.status >= 400:  # l4lb's own
            self.fail(client, asked, f"status {got.status}: {got.body[:80]!r}")
            return
        different = asked.plan.difference(asked.method, got.status, got.name, got.body)
        may_be_cut = got.until_close or asked.plan.way == "until_close"
        if different and may_be_cut and asked.plan.is_begin(got.body):
            framing = UNTIL_CLOSE if got.until_close else FRAMED
            self.fail(client, asked, f"cut: {different}", looks_whole=framing)
            return
        if different:
            self.wrong.append(f"{client.kind}: {asked}: {different}")
        else:
            self.add(client.kind, asked.plan.up + len(got.body))

    def fail(
        self,
        client: Honest,
        asked: Asked,
        how: str,
        *,
        again: bool = False,
        looks_whole: str = "",
    ) -> None:
        """Adds a request that got no answer of its origin. again: it may be sent again, as nothing
        of it was processed."""
        now = time.monotonic()
        failure = Failure(client.kind, client.port, client.opened, asked, how, now, looks_whole)
        (self.again if again else self.failed).append(failure)


class Honest(Client):
    """An honest client of HTTP."""

    world: World
    tally: Tally
    listener = "plain"
    port, opened = 0, 0.0  # of its newest connection

    def __init__(self, seed: str, world: World, tally: Tally) -> None:
        super().__init__(seed, world, tally)
        self.tls = world.authority.client(alpn=["http/1.1"])

    def dial(self, window: int = 0) -> socket.socket:
        """Returns a new connection. window: bytes that the kernel takes; 0: as usual."""
        sock = socket.socket()
        try:
            sock.settimeout(WAIT_S)
            if window:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            sock.connect(("127.0.0.1", self.world.port(self.listener)))
            self.port = sock.getsockname()[1]
            if self.listener == "secure":
                return cast(socket.socket, OverTls(sock, self.tls, "localhost"))
            return sock
        except BaseException:
            sock.close()
            raise

    def connected(self, window: int = 0) -> socket.socket | None:
        """Returns a new connection, or None if it failed, which is noted."""
        asked = Asked(Plan("", "connect", 0, 0, 0), "", time.monotonic())
        self.port, self.opened = 0, asked.begun
        try:
            return self.dial(window)
        except TimeoutError:
            self.tally.stuck.append(f"{self.kind}: no connection within {WAIT_S:g} s")
        except OSError as error:
            self.tally.fail(self, asked, repr(error))
        return None


class KeptAlive(Honest):
    """A client of HTTP/1.1 that uses each connection for some requests, alone or in pairs."""

    kind, at_once = "kept", 2

    def once(self) -> None:
        slow = self.rng.random() < 0.1
        sock = self.connected(SLOW_WINDOW if slow else 0)
        if sock is None:
            return
        with Peer(sock) as peer:
            for used in range(self.rng.choice((1, 5, 30))):
                if self.stop.is_set() or not self._round(peer, used, slow):
                    return
                if self.rng.random() < 0.1:
                    time.sleep(self.rng.random() * 0.2)  # a client that rests

    def _round(self, peer: Peer, used: int, slow: bool) -> bool:
        """Sends one request or two, and takes the answers. Returns whether to go on."""
        rng = self.rng
        style = rng.choice(("one", "one", "one", "pair", "expect"))
        methods = [rng.choice(METHODS)]
        if style == "pair":
            methods = [rng.choice(("GET", "HEAD", "PUT")) for _ in range(2)]
        now = time.monotonic()
        asked = [Asked(Plan.drawn(rng, method), method, now) for method in methods]
        if style == "expect":
            asked = [Asked(Plan.drawn(rng, "PUT"), "PUT", now, expects=True)]
            return self._answers(peer, asked, used, slow, lambda: self._expecting(peer, asked[0]))
        said = b"".join(self._bytes(one) for one in asked)
        if len(said) < 10_000:
            return self._answers(peer, asked, used, slow, lambda: peer.say(said))
        sender = threading.Thread(target=_send, args=(peer, said), daemon=True)
        try:
            return self._answers(peer, asked, used, slow, sender.start)
        finally:
            with contextlib.suppress(OSError):
                if peer.eof or self.stop.is_set():
                    peer.sock.shutdown(socket.SHUT_RDWR)
            sender.join(timeout=WAIT_S)

    def _bytes(self, one: Asked) -> bytes:
        """Returns the bytes of a request, its body framed in either way."""
        fields = [("X-Id", str(one.plan.seed))]
        body = one.plan.body()
        if one.method in ("PUT", "POST") and self.rng.random() < 0.4:
            sizes = self.rng.choice((1_000, 16_384, 200_000))
            parts = [body[at : at + sizes] for at in range(0, len(body), sizes)]
            fields.append(("Transfer-Encoding", "chunked"))
            body = chunked(*parts)
        return request(one.plan.target, one.method, body=body, fields=fields)

    def _expecting(self, peer: Peer, one: Asked) -> None:
        """Sends the body only when asked to go on."""
        size = ("Content-Length", str(one.plan.up))
        fields = [("X-Id", str(one.plan.seed)), size, ("Expect", "100-continue")]
        peer.say(request(one.plan.target, one.method, fields=fields))
        while one.plan.up:
            head = peer.bytes_until(b"\r\n\r\n")
            if head.startswith(b"HTTP/1.1 100"):
                break
            if head.startswith(b"HTTP/1.1 1"):
                continue
            peer.put_back(head)
            return
        if one.plan.way == "eager":
            threading.Thread(target=_send, args=(peer, one.plan.body()), daemon=True).start()
        else:
            peer.say(one.plan.body())

    def _answers(
        self, peer: Peer, asked: list[Asked], used: int, slow: bool, say: Callable[[], object]
    ) -> bool:
        """Sends with `say`; then judges the answers. Returns whether the connection goes on."""
        with contextlib.suppress(ConnectionError):  # why: an answer may have come before it
            try:
                say()
            except AssertionError:  # the end came instead of 100
                self._ended(asked, used, CutOffError("ended before a message", b""))
                return False
            except TimeoutError:
                self.tally.stuck.append(f"{self.kind}: {asked}: not asked within {WAIT_S:g} s")
                return False
        while asked:
            one = asked[0]
            parts: list[bytes] = []
            try:
                got = peer.answer(one.method, sink=self._lazy(parts) if slow else parts.append)
            except CutOffError as error:
                self._ended(asked, used, CutOffError(str(error), b"".join(parts)))
                return False
            except TimeoutError:
                self.tally.stuck.append(f"{self.kind}: {one}: nothing within {WAIT_S:g} s")
                return False
            self._judge(got, b"".join(parts), one)
            del asked[0]
            used += 1
            if got.closes:
                for left in asked:  # they were sent, and will not be answered
                    self.tally.fail(self, left, "closed", again=True)
                return False
        return True

    def _lazy(self, parts: list[bytes]) -> Callable[[bytes], None]:
        def take(part: bytes) -> None:
            parts.append(part)
            time.sleep(0.0005)

        return take

    def _judge(self, got: Answer, body: bytes, one: Asked) -> None:
        self.tally.judge(self, one, Got.of(got, body))

    def _ended(self, asked: list[Asked], used: int, error: CutOffError) -> None:
        """Notes the end of the connection in the place of the next answer."""
        before = not error.got and any(word in str(error) for word in UNBEGUN)
        for n, one in enumerate(asked):
            again = bool(n) or (used > 0 and before)
            self.tally.fail(self, one, f"after {used} answers: {error}", again=again)


def _send(peer: Peer, said: bytes) -> None:
    with contextlib.suppress(OSError):
        peer.say(said)


class KeptAliveSecurely(KeptAlive):
    kind, listener = "kept over TLS", "secure"


class Old(Honest):
    """A client of HTTP/1.0: one request on each connection, whose answer ends with it."""

    kind = "1.0"

    def once(self) -> None:
        method = self.rng.choice(("GET", "GET", "HEAD", "PUT", "POST"))
        plan = Plan.drawn(self.rng, method)
        fields = [("X-Id", str(plan.seed))]
        said = request(plan.target, method, body=plan.body(), fields=fields, version="1.0")
        sock = self.connected()
        if sock is None:
            return
        asked = Asked(plan, method, time.monotonic())
        try:
            with Peer(sock) as peer:
                sender = threading.Thread(target=_send, args=(peer, said), daemon=True)
                sender.start()
                got = peer.answer(method)
                self.tally.judge(self, asked, Got.of(got, got.body))
                sender.join(timeout=WAIT_S)
        except TimeoutError:
            self.tally.stuck.append(f"{self.kind}: {plan}: nothing within {WAIT_S:g} s")
        except (CutOffError, OSError) as error:
            self.tally.fail(self, asked, repr(error))


class Tunnels(Honest):
    """A client that upgrades its connection, like WebSocket; then both sides send streams."""

    kind = "tunnel"

    def once(self) -> None:
        rng = self.rng
        sizes = [rng.choice(SIZES) for _ in range(2)]
        area, rest_ms = rng.choice(("steady", "open")), rng.choice((0, 1, 20))
        plan = Plan(area, UPGRADE, rng.getrandbits(SEED_BITS), *sizes, rest_ms=rest_ms)
        fields = [("X-Id", str(plan.seed)), ("Connection", "Upgrade"), ("Upgrade", "soak")]
        sock = self.connected()
        if sock is None:
            return
        asked = Asked(plan, UPGRADE, time.monotonic())
        try:
            with Peer(sock) as peer:
                peer.say(request(plan.target, fields=fields))
                self._tunnel(peer, asked)
        except TimeoutError:
            self.tally.stuck.append(f"{self.kind}: {plan}: nothing within {WAIT_S:g} s")
        except (AssertionError, OSError) as error:
            self.tally.fail(self, asked, repr(error))

    def _tunnel(self, peer: Peer, asked: Asked) -> None:
        plan = asked.plan
        head = peer.bytes_until(b"\r\n\r\n").decode()
        if not head.startswith("HTTP/1.1 101"):
            self.tally.fail(self, asked, head)
            return
        if f"\r\nX-Id: {plan.seed}\r\n" not in head:
            self.tally.wrong.append(f"{self.kind}: {plan}: {head}")
        sender = threading.Thread(target=_send, args=(peer, plan.body()), daemon=True)
        sender.start()
        stream = plan.downstream()
        rest = peer.rest()
        try:
            stream.check(0, rest)
            got = len(rest) + receive(peer.sock, stream, start=len(rest))
        except AssertionError as error:
            self.tally.wrong.append(f"{self.kind}: {plan}: {error}")
            return
        sender.join(timeout=WAIT_S)
        if got != plan.down:
            self.tally.fail(self, asked, f"ended after {got} bytes")
            return
        self.tally.add(self.kind, plan.up + plan.down)


class TunnelsSecurely(Tunnels):
    kind, listener = "tunnel over TLS", "secure"
