"""TLS over a socket, for a client whose sends may fail while an answer waits to be read.

`ssl.SSLSocket` reads nothing after a send that failed, and is not for two threads. This one is.
"""

from __future__ import annotations

import socket
import ssl
import threading

TAKEN = 1 << 16  # bytes of one receive


class OverTls:
    """What the clients use of a socket: a connection whose handshake is done."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._lock, self._sending = threading.Lock(), threading.Lock()
        while True:
            try:
                self._ssl.do_handshake()
                sock.sendall(self._out.read())
                return
            except ssl.SSLWantReadError:
                sock.sendall(self._out.read())
                self._receive()

    def _receive(self) -> None:
        data = self.sock.recv(TAKEN)
        with self._lock:
            if data:
                self._in.write(data)
            else:
                self._in.write_eof()

    def sendall(self, data: bytes) -> None:
        with self._sending:
            with self._lock:
                if data:
                    self._ssl.write(data)
                said = self._out.read()
            self.sock.sendall(said)

    def recv(self, count: int) -> bytes:
        """Returns up to so many bytes; none after close_notify. An end without it is a reset."""
        while True:
            try:
                with self._lock:
                    return self._ssl.read(count)
            except ssl.SSLWantReadError:
                self._receive()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLEOFError:
                raise ConnectionResetError("an end without close_notify") from None

    def settimeout(self, seconds: float) -> None:
        self.sock.settimeout(seconds)

    def shutdown(self, how: int) -> None:
        self.sock.shutdown(how)

    def close(self) -> None:
        self.sock.close()
