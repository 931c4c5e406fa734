"""TLS conversations that no honest client has: each ends as it should, and leaves nothing
behind."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hellos import hello, records

from ..harness import PATIENCE_S, Backends, Balancer, until
from ..harness.secure import Authority, secure

CCS, ALERT, HANDSHAKE, DATA, HEARTBEAT = 20, 21, 22, 23, 24
# Alerts by their names in RFC 8446 and RFC 7507.
UNEXPECTED, BAD_MAC, OVERFLOW, FAILURE, ILLEGAL = 10, 20, 22, 40, 47
DECODE, DECRYPT, VERSION, FALLBACK, NO_RENEGOTIATION = 50, 51, 70, 86, 100
SERVER_HELLO = 2


@pytest.fixture(scope="module")
def ca() -> Iterator[Authority]:
    with Authority() as authority:
        yield authority


def sockets(pid: int) -> int:
    """Returns the number of sockets of a process; a worker also keeps pipes in its pool."""
    return sum(
        os.readlink(entry).startswith("socket:") for entry in Path(f"/proc/{pid}/fd").iterdir()
    )


@pytest.fixture(scope="module")
def lb(ca: Authority) -> Iterator[Balancer]:
    """A balancer with TLS and an echoing backend. After all conversations nothing may be left of
    them."""
    tls = {"certificates": [ca.issue("localhost"), ca.issue("localhost", file="rsa", key="RSA")]}
    with (
        Backends(1, "quiet") as backends,
        Balancer.secured(
            backends.addresses, tls, listener={"handshake_timeout": "6s"}, workers=1
        ) as lb,
    ):
        secure(lb.connect(), ca.client()).close()
        until(lambda: lb.status()["connections"] == 0, "the first client has left")
        (pid,) = lb.pids()
        before = sockets(pid)
        yield lb
        until(lambda: lb.status()["connections"] == 0, "no session is left")
        assert lb.ask("listeners")[0]["tls"]["in_progress"] == 0
        until(lambda: sockets(pid) == before, "no socket is left")
        assert lb.pids() == [pid]
        with secure(lb.connect(), ca.client()) as peer:
            peer.sendall(b"x")
            assert peer.recv(1) == b"x"


def record(kind: int, body: bytes, version: int = 0x0303, length: int | None = None) -> bytes:
    return struct.pack(">BHH", kind, version, len(body) if length is None else length) + body


def client_hello(
    ciphers: list[int],
    *,
    version: int = 0x0303,
    session: bytes = b"",
    compression: bytes = b"\0",
    extensions: bytes = b"",
) -> bytes:
    """Returns a hello of TLS 1.2 or earlier, in its record."""
    suites = b"".join(struct.pack(">H", one) for one in ciphers)
    body = struct.pack(">H", version) + bytes(32) + bytes([len(session)]) + session
    body += struct.pack(">H", len(suites)) + suites + bytes([len(compression)]) + compression
    body += struct.pack(">H", len(extensions)) + extensions
    return record(HANDSHAKE, b"\x01" + len(body).to_bytes(3, "big") + body, 0x0301)


def extension(kind: int, body: bytes) -> bytes:
    return struct.pack(">HH", kind, len(body)) + body


GROUPS = extension(10, struct.pack(">HHH", 4, 23, 29))
SIGNATURES = extension(13, struct.pack(">HHHH", 6, 0x0403, 0x0804, 0x0401))
ECDHE = [0xC02B, 0xC02F]


def converse(lb: Balancer, said: bytes, finish: bool = False) -> list[tuple[int, bytes]]:
    """Returns the balancer's answer, record by record, until it ends the connection."""
    got = b""
    with lb.connect() as peer:
        with contextlib.suppress(ConnectionError):
            peer.sendall(said)
            if finish:
                peer.shutdown(socket.SHUT_WR)
        peer.settimeout(PATIENCE_S)
        with contextlib.suppress(ConnectionResetError):
            while data := peer.recv(65536):
                got += data
    found = []
    while got:
        kind, _, length = struct.unpack(">BHH", got[:5])
        found.append((kind, got[5 : 5 + length]))
        got = got[5 + length :]
    return found


HELLO = hello("localhost")
LATER = hello("localhost")
WARNING = record(ALERT, b"\x01\x5a")  # user_canceled
CUT = HELLO[:5] + HELLO[5:100]
# Each conversation: the bytes sent, whether the client then half-closes, and the alerts that may
# answer. None: no readable alert (after the balancer's hello they are encrypted).
TOLD: dict[str, tuple[bytes, bool, set[int | None]]] = {
    "half a record, then the end": (CUT, True, {None}),
    "half a record, then silence": (CUT, False, {None}),
    "a record of no bytes": (record(HANDSHAKE, b""), True, {None, UNEXPECTED}),
    "a flood of empty records": (record(HANDSHAKE, b"") * 500, False, {UNEXPECTED}),
    "a record longer than any": (record(HANDSHAKE, HELLO[5:], 0x0301, 0x4900), False, {OVERFLOW}),
    "a type that there is not": (record(99, b"x" * 50), False, {None, UNEXPECTED, VERSION}),
    "a version of the future": (record(HANDSHAKE, HELLO[5:], 0x0505), False, {None, VERSION}),
    "a hello of SSL 2": (bytes.fromhex("802e0100020015000000100100800700c0") + bytes(31), False,
                         {None, FAILURE, VERSION}),
    "a hello of TLS 1.1": (client_hello([0xC013, 0x2F], version=0x0302), False, {VERSION}),
    "a hello of SSL 3": (client_hello([0x2F], version=0x0300), False, {FAILURE, VERSION}),
    "an alert in a hello": (record(HANDSHAKE, HELLO[5:100]) + WARNING, False,
                            {None, UNEXPECTED}),
    "a fatal alert first": (record(ALERT, b"\x02\x28"), False, {None, UNEXPECTED}),
    "a flood of warnings": (WARNING * 500, False, {None, UNEXPECTED}),
    "an alert of three bytes": (record(ALERT, b"\x01\x5a\0"), False, {UNEXPECTED, DECODE}),
    "two hellos": (HELLO + LATER, False, {None, UNEXPECTED, BAD_MAC}),
    "a finish first": (record(HANDSHAKE, b"\x14\0\0\x0c" + bytes(12)), False, {UNEXPECTED}),
    "data first": (record(DATA, b"GET /"), False, {UNEXPECTED}),
    "a heartbeat first": (record(HEARTBEAT, b"\x01\x40\0"), False, {None, UNEXPECTED}),
    "a change of ciphers first": (record(CCS, b"\x01"), False, {UNEXPECTED}),
    "a change of ciphers to nothing": (HELLO + record(CCS, b"\x02"), False, {None, UNEXPECTED}),
    "a long change of ciphers": (HELLO + record(CCS, b"\x01\x01"), False, {None, UNEXPECTED}),
    "a flood of changes of ciphers": (HELLO + record(CCS, b"\x01") * 500, False,
                                      {UNEXPECTED, None}),
    "no ciphers with encryption": (client_hello([0x01, 0x02, 0x3B, 0xC006, 0xC010],
                                                extensions=GROUPS + SIGNATURES), False, {FAILURE}),
    "no ciphers with certificates": (client_hello([0x18, 0x34, 0x3A, 0xA6, 0xC018],
                                                  extensions=GROUPS + SIGNATURES), False,
                                     {FAILURE}),
    "ciphers for export": (client_hello([0x03, 0x06, 0x08, 0x0E, 0x62, 0x64],
                                        extensions=GROUPS + SIGNATURES), False, {FAILURE}),
    "RC4, DES and 3DES": (client_hello([0x04, 0x05, 0x09, 0x0A, 0x16, 0xC011, 0xC012],
                                       extensions=GROUPS + SIGNATURES), False, {FAILURE}),
    "a fallback without need": (client_hello([*ECDHE, 0x5600], extensions=GROUPS + SIGNATURES),
                                False, {FALLBACK}),
    "an extension twice": (client_hello(ECDHE, extensions=GROUPS * 2 + SIGNATURES), False,
                           {DECODE, ILLEGAL}),
    "a session id of 33 bytes": (client_hello(ECDHE, session=bytes(33)), False,
                                 {DECODE, ILLEGAL}),
    "no way without compression": (client_hello(ECDHE, compression=b"\x01"), False,
                                   {DECODE, ILLEGAL}),
    "extensions cut short": (client_hello(ECDHE, extensions=b"\0\x0a\0\x40"), False, {DECODE}),
    "a hello of 16 MiB": (record(HANDSHAKE, b"\x01\xff\xff\xff" + bytes(1000)), False,
                          {ILLEGAL, DECODE, OVERFLOW}),
}  # fmt: skip


@pytest.mark.parametrize("what", TOLD)
def test_what_is_no_handshake_ends_by_its_alert(lb: Balancer, what: str) -> None:
    said, finish, expected = TOLD[what]
    alerts: set[int | None] = {
        body[1] for kind, body in converse(lb, said, finish) if kind == ALERT and len(body) == 2
    }
    assert (alerts - {0} or {None}) <= expected


def test_records_of_one_byte_are_a_handshake_too(lb: Balancer) -> None:
    with lb.connect() as peer:
        peer.sendall(records(HELLO[5:], 1))
        assert peer.recv(1) == bytes([HANDSHAKE])


def test_who_speaks_an_older_version_is_warned_of_it(lb: Balancer) -> None:
    with lb.connect() as peer:
        peer.sendall(client_hello(ECDHE, extensions=GROUPS + SIGNATURES))
        head = peer.recv(5 + 4 + 2 + 32, socket.MSG_WAITALL)
        assert head[0] == HANDSHAKE
        assert head[5] == SERVER_HELLO
        assert head[-8:] == b"DOWNGRD\x01"  # RFC 8446, 4.1.3


# ---- after, and within, real handshakes ------------------------------------------------------


def rude() -> Any:
    """Returns tlslite's client, extended by messages that it should not send."""
    tlslite = pytest.importorskip("tlslite.api", reason="tlslite-ng is not installed")
    messages = pytest.importorskip("tlslite.messages")

    class Rude(tlslite.TLSConnection):  # type: ignore[misc, name-defined]
        def shake(self, version: tuple[int, int], **settings: Any) -> None:
            """settings: attributes of tlslite's HandshakeSettings."""
            wanted = tlslite.HandshakeSettings()
            wanted.minVersion, wanted.maxVersion = min(version, (3, 3)), version
            for name, value in settings.items():
                setattr(wanted, name, value)
            self.handshakeClientCert(serverName="localhost", settings=wanted)

        def say(self, kind: int, body: bytes) -> None:
            """Sends one record, encrypted with the keys in force."""
            message = messages.Message(kind, bytearray(body))
            for _ in self._recordLayer.sendRecord(message):
                pass

        def alert(self) -> int | None:
            """Returns the alert by which the other side ends; None: there was none."""
            try:
                while self.read(max=1 << 14):
                    pass
            except tlslite.TLSRemoteAlert as alert:
                return int(alert.description)
            except (OSError, tlslite.TLSAbruptCloseError):
                return None
            return None

    return Rude


@contextlib.contextmanager
def shaken(lb: Balancer, version: tuple[int, int], **settings: Any) -> Iterator[Any]:
    sock = lb.connect()
    sock.settimeout(PATIENCE_S)
    with sock:
        peer = rude()(sock)
        peer.closeSocket = False
        peer.shake(version, **settings)
        peer.write(b"x")
        assert peer.read(max=1, min=1) == b"x"
        yield peer


TLS12, TLS13 = (3, 3), (3, 4)
AFTER: dict[str, tuple[tuple[int, int], Callable[[Any], None], set[int | None]]] = {
    "renegotiation": (TLS12, lambda peer: peer.say(HANDSHAKE, HELLO[5:]), {NO_RENEGOTIATION, 40}),
    "another hello": (TLS13, lambda peer: peer.say(HANDSHAKE, HELLO[5:]), {UNEXPECTED}),
    "a change of ciphers, 1.2": (TLS12, lambda peer: peer.say(CCS, b"\x01"), {UNEXPECTED}),
    "a change of ciphers, 1.3": (TLS13, lambda peer: peer.say(CCS, b"\x01"), {UNEXPECTED}),
    "a record too large, 1.2": (TLS12, lambda peer: peer.say(DATA, bytes(16385)), {OVERFLOW}),
    "a record too large, 1.3": (TLS13, lambda peer: peer.say(DATA, bytes(16385)), {OVERFLOW}),
    "a heartbeat, 1.2": (TLS12, lambda peer: peer.say(HEARTBEAT, b"\x01\x40\0"), {UNEXPECTED}),
    "a heartbeat, 1.3": (TLS13, lambda peer: peer.say(HEARTBEAT, b"\x01\x40\0"), {UNEXPECTED}),
    "a key update to nowhere": (
        TLS13, lambda peer: peer.say(HANDSHAKE, b"\x18\0\0\x01\x05"), {ILLEGAL}),
    "a finish again": (TLS13, lambda peer: peer.say(HANDSHAKE, b"\x14\0\0\x20" + bytes(32)),
                       {UNEXPECTED}),
    "a type that there is not": (TLS13, lambda peer: peer.say(99, b"x"), {UNEXPECTED}),
    "a fatal alert": (TLS13, lambda peer: peer.say(ALERT, b"\x02\x28"), {None}),
    "a flood of empty data, 1.2": (TLS12, lambda peer: [peer.say(DATA, b"") for _ in range(200)],
                                   {UNEXPECTED}),
    "a flood of warnings, 1.2": (
        TLS12, lambda peer: [peer.say(ALERT, b"\x01\x5a") for _ in range(200)], {UNEXPECTED, None}),
}  # fmt: skip


@pytest.mark.parametrize("what", AFTER)
def test_what_nobody_may_say_in_a_session_ends_it(lb: Balancer, what: str) -> None:
    version, do, expected = AFTER[what]
    with shaken(lb, version) as peer:
        with contextlib.suppress(ConnectionError):
            do(peer)
        assert peer.alert() in expected


def test_a_client_may_be_asked_for_another_key_share(lb: Balancer) -> None:
    with shaken(lb, TLS13, keyShares=[]) as peer:
        assert peer.version == TLS13


def test_keys_change_as_often_as_a_client_likes(lb: Balancer) -> None:
    with shaken(lb, TLS13) as peer:
        for number in range(40):
            for _ in peer.send_keyupdate_request(number % 2):
                pass
            peer.write(b"y")
            assert peer.read(max=1, min=1) == b"y"


def test_a_handshake_that_is_not_this_ones_is_refused(lb: Balancer, ca: Authority) -> None:
    """A man in the middle exchanges the second flights of two handshakes."""
    context = ca.client()
    flights, socks = [], []
    for _ in range(2):
        to, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = context.wrap_bio(to, out, server_hostname="localhost")
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
        sock = lb.connect()
        sock.sendall(out.read())
        while True:
            to.write(sock.recv(65536))
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        flights.append(out.read())
        socks.append(sock)
    for sock, flight in zip(socks, reversed(flights), strict=True):
        with sock:
            sock.sendall(flight)
            sock.settimeout(PATIENCE_S)
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(65536):
                    pass
    failed = lb.ask("listeners")[0]["tls"]["last_failure"]
    assert "bad record mac" in failed or "decrypt" in failed
