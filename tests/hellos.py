"""ClientHellos for tests: made by OpenSSL, written by Python's ssl into memory."""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections.abc import Sequence


def hello(name: str | None = None, protocols: Sequence[str] = ()) -> bytes:
    """Returns the ClientHello of a TLS client of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def padded(said: bytes, size: int) -> bytes:
    """Returns the hello with a padding extension (RFC 7685) in front of the others, so that its
    handshake message has `size` bytes. The records are as large as possible."""
    message = bytearray(said[5:])
    at = 4 + 2 + 32
    at += 1 + message[at]
    at += 2 + struct.unpack_from(">H", message, at)[0]
    at += 1 + message[at]
    more = size - len(message) - 4
    extensions = struct.unpack_from(">H", message, at)[0]
    message[at : at + 2] = struct.pack(">H", extensions + 4 + more)
    message[at + 2 : at + 2] = struct.pack(">HH", 21, more) + bytes(more)
    message[1:4] = (len(message) - 4).to_bytes(3, "big")
    return records(bytes(message))


def records(message: bytes, size: int = 1 << 14) -> bytes:
    """Returns a handshake message in records of at most `size` bytes."""
    pieces = [message[i : i + size] for i in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack(">H", len(one)) + one for one in pieces)
