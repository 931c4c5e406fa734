"""TLS for tests: an authority that writes certificates to files, and TLS clients."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import trustme

from .deadline import PATIENCE_S

KEYS = {"RSA": trustme.KeyType.RSA, "EC": trustme.KeyType.ECDSA}


class Authority:
    """A certificate authority. Its certificates are in a folder of its own until the block ends."""

    def __init__(self) -> None:
        self._ca = trustme.CA()
        self._folder = tempfile.TemporaryDirectory(prefix="l4lb-tls-")
        os.chmod(self._folder.name, 0o755)
        self.folder = Path(self._folder.name)
        self.path = str(self.folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.path)

    def __enter__(self) -> Authority:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._folder.cleanup()

    def issue(self, *names: str, file: str = "", key: str = "EC") -> dict[str, str]:
        """Issues a certificate for these names. Returns {"cert": PATH, "key": PATH}. Existing files
        are replaced atomically, the key first."""
        base = self.folder / (file or names[0].replace("*", "_"))
        issued = self._ca.issue_cert(*names, key_type=KEYS[key])
        chain = b"".join(one.bytes() for one in issued.cert_chain_pems)
        row = {"cert": f"{base}.pem", "key": f"{base}.key"}
        _replace(row["key"], issued.private_key_pem.bytes())
        _replace(row["cert"], chain)
        return row

    def client(self, **settings: Any) -> ssl.SSLContext:
        """Returns the TLS settings of a client that trusts this authority. settings: attributes of
        the ssl.SSLContext, and cert (a result of issue), alpn, ciphers."""
        context = ssl.create_default_context(cafile=self.path)
        row = settings.pop("cert", None)
        if row:
            context.load_cert_chain(row["cert"], row["key"])
        if alpn := settings.pop("alpn", None):
            context.set_alpn_protocols(alpn)
        if ciphers := settings.pop("ciphers", None):
            context.set_ciphers(ciphers)
        for name, value in settings.items():
            setattr(context, name, value)
        return context


def _replace(path: str, content: bytes) -> None:
    Path(path + ".new").write_bytes(content)
    os.replace(path + ".new", path)


def secure(
    sock: socket.socket,
    context: ssl.SSLContext,
    name: str = "localhost",
    session: ssl.SSLSession | None = None,
) -> ssl.SSLSocket:
    """Returns a client's connection after its handshake. An end without close_notify is an error on
    it."""
    sock.settimeout(PATIENCE_S)
    return context.wrap_socket(
        sock, server_hostname=name, session=session, suppress_ragged_eofs=False
    )


def plain(peer: ssl.SSLSocket) -> socket.socket:
    """Returns the socket of a TLS connection; TLS is no longer used on it."""
    sock = socket.socket(fileno=peer.detach())
    sock.settimeout(PATIENCE_S)
    return sock


class Talk:
    """A TLS client that can half-close and go on reading, which ssl.SSLSocket cannot."""

    def __init__(
        self, sock: socket.socket, context: ssl.SSLContext, name: str = "localhost"
    ) -> None:
        self.sock = sock
        sock.settimeout(PATIENCE_S)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl = context.wrap_bio(self._in, self._out, server_hostname=name)
        self._do(self.ssl.do_handshake)

    def _flush(self) -> None:
        data = self._out.read()
        if data:
            self.sock.sendall(data)

    def _do(self, step: Any, *args: Any) -> Any:
        while True:
            try:
                result = step(*args)
                self._flush()
                return result
            except ssl.SSLWantReadError:
                self._flush()
                data = self.sock.recv(65536)
                if data:
                    self._in.write(data)
                else:
                    self._in.write_eof()

    def send(self, data: bytes) -> None:
        self._do(self.ssl.write, data)

    def finish(self) -> None:
        """Sends close_notify: this end sends no more."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.ssl.unwrap()
        self._flush()

    def exchange(
        self, parts: Iterable[bytes], size: int, *, stuff: bool = False
    ) -> Iterator[bytes]:
        """Sends parts while it reads `size` bytes, and yields these as they come. stuff: reads
        nothing until the other side takes no more bytes."""
        source, waiting = iter(parts), b""
        got, reads = 0, not stuff
        self.sock.setblocking(False)
        while got < size:
            if not waiting and (part := next(source, b"")):
                self.ssl.write(part)
                waiting = self._out.read()
            ready = select.select(
                [self.sock] if reads else [],
                [self.sock] if waiting else [],
                [],
                PATIENCE_S if reads else 0.3,
            )
            if ready[1]:
                waiting = waiting[self.sock.send(waiting) :]
            elif not reads:
                reads = True
            if ready[0]:
                self._in.write(self.sock.recv(1 << 18))
                for data in self._decrypted():
                    got += len(data)
                    yield data
            assert not reads or any(ready) or stuff, "nothing moves"
        self.sock.settimeout(PATIENCE_S)

    def _decrypted(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.ssl.read(1 << 18)
            except ssl.SSLWantReadError:
                return

    def receive(self, count: int) -> bytes:
        """Returns this number of bytes, or fewer at an orderly end."""
        parts = b""
        while len(parts) < count:
            try:
                data = self._do(self.ssl.read, count - len(parts))
            except ssl.SSLZeroReturnError:
                break
            if not data:
                break
            parts += data
        return parts


def fails(sock: socket.socket, context: ssl.SSLContext, name: str = "localhost") -> str:
    """Checks that the handshake fails, or the first read after it (TLS 1.3). Returns the reason in
    OpenSSL's words."""
    with sock:
        try:
            with secure(sock, context, name) as peer:
                peer.sendall(b"x")
                peer.recv(1)
        except ssl.SSLError as error:
            return str(error.reason or error).upper().replace(" ", "_")
        except ConnectionError as error:
            return type(error).__name__
    raise AssertionError("the handshake did not fail")


def certificate_names(peer: ssl.SSLSocket) -> Sequence[str]:
    """Returns the DNS names of the certificate that a server has sent."""
    shown: Any = peer.getpeercert()
    return [value for kind, value in shown["subjectAltName"] if kind == "DNS"]
