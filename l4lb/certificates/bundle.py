"""Makes a bundle of a configuration: all TLS settings with their certificates and keys, in the form
that workers load (csrc/io/tls_store.h). Every error in them is found here first.

The choice of a certificate by server name is prepared here. Of the certificates that have a name,
one of each key type serves it: the first one in the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from l4lb.certificates.files import Files
from l4lb.config.model import Config, Listener, Pool
from l4lb.config.origin import Finding
from l4lb.config.position import Path
from l4lb.config.tables.tls import ListenerTls, PoolTls
from l4lb.errors import ConfigError
from l4lb.native import tls
from l4lb.native.tls_rows import Certificate

NO_TICKET_S = 300  # ticket lifetime of settings without tickets; OpenSSL does not use it


class Loaded(NamedTuple):
    """One certificate in force. owner: `listeners.web` or `pools.api`. file: its path. facts: its
    contents."""

    owner: str
    file: str
    facts: Certificate


@dataclass
class Bundle:
    """The data that workers load, and the certificates in it for people."""

    data: bytes = b""
    certificates: list[Loaded] = field(default_factory=list)


class Profiles:
    """The numbers of the TLS settings of listeners and pools. A number stays for the life of this
    object."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, str], int] = {}

    def of(self, kind: str, name: str) -> int:
        """Returns a number from 1. kind: "listeners" or "pools"."""
        return self._numbers.setdefault((kind, name), len(self._numbers) + 1)

    def number(self, config: Config) -> None:
        """Gives each TLS setting of the configuration its number."""
        for name, listener in config.listeners.items():
            if listener.tls is not None:
                self.of("listeners", name)
        for name, pool in config.pools.items():
            if pool.tls is not None:
                self.of("pools", name)


def build(config: Config, files: Files, profiles: Profiles) -> Bundle:
    """Reads and tests every file. Raises ConfigError with all errors."""
    bundle, found = gather(config, files, profiles)
    if found:
        raise ConfigError([config.origin.problem(finding) for finding in found])
    return bundle


def gather(config: Config, files: Files, profiles: Profiles) -> tuple[Bundle, list[Finding]]:
    """Reads and tests every file. Returns the bundle and all errors."""
    found: list[Finding] = []
    bundle = Bundle()
    parts: list[bytes] = []
    for name, listener in config.listeners.items():
        if listener.tls is not None:
            part = _Listener(config, name, listener, files, profiles)
            parts += part.records(found)
            bundle.certificates += part.loaded
    for name, pool in config.pools.items():
        if pool.tls is not None:
            client = _Pool(name, pool, files, profiles)
            parts += client.records(found)
            bundle.certificates += client.loaded
    bundle.data = b"".join(parts)
    if not found and len(bundle.data) > tls.BUNDLE_BYTES_MAX:
        maximum = tls.BUNDLE_BYTES_MAX >> 20
        found.append(Finding(("listeners",), f"certificates of more than {maximum} MiB"))
    return bundle, found


@dataclass
class _Pair:
    """A certificate file and its key, read and tested."""

    chain: bytes
    key: bytes
    facts: Certificate

    def records(self) -> Iterator[bytes]:
        yield tls.record("chain", self.chain)
        yield tls.record("key", self.key)


def _pair(
    files: Files, cert: str, key: str | None, path: Path, found: list[Finding]
) -> _Pair | None:
    """Returns the pair; None if there are errors, which are added to found."""
    where = (*path, "cert")
    try:
        chain = files.read(cert)
        if b"CERTIFICATE-----" not in chain:
            raise ValueError("it has no certificate")
        facts = tls.read_certificate(chain)
        where = (*path, "key" if key else "cert")
        pair = _Pair(chain, _key_in(files.read(key or cert)), facts)
        head = tls.profile(1, flags=(), min_version="1.2", lifetime_s=NO_TICKET_S)
        tls.try_bundle(b"".join((head, tls.record("context"), *pair.records())))
    except ValueError as error:
        message = str(error)
        if not message.startswith("/"):
            message = f"{key if where[-1] == 'key' else cert}: {message}"
        found.append(Finding(where, message))
        return None
    return pair


def _key_in(content: bytes) -> bytes:
    """Returns the key file's content. Refuses common faults in plain words, which OpenSSL would
    report in cryptic ones. Raises ValueError."""
    if b"PRIVATE KEY-----" not in content:
        raise ValueError("it has no private key; `key` names the file that has it")
    if b"-----BEGIN ENCRYPTED" in content or b"Proc-Type: 4,ENCRYPTED" in content:
        raise ValueError(
            "the private key is encrypted, and nobody is there to type its password; write it"
            " without one: openssl pkey -in FILE -out FILE.new"
        )
    return content


class _Settings:
    """The common part of listeners and pools: optional records, and authorities."""

    def __init__(
        self, path: Path, settings: ListenerTls | PoolTls, files: Files, number: int
    ) -> None:
        self.path = path
        self.settings = settings
        self.files = files
        self.number = number
        self.alpn = settings.alpn
        self.loaded: list[Loaded] = []

    def head(self, flags: Sequence[str], lifetime_ms: int) -> bytes:
        return tls.profile(
            self.number,
            flags=flags,
            min_version=self.settings.min_version,
            lifetime_s=max(1, lifetime_ms // 1000),
        )

    def common(self, found: list[Finding]) -> Iterator[bytes]:
        """Yields the common records. Each is tested by itself, so that an error has its place."""
        settings = self.settings
        for key, text in (("ciphers", settings.ciphers), ("ciphersuites", settings.ciphersuites)):
            if text is not None:
                yield from self._tried(key, tls.record(key, text.encode()), found)
        if self.alpn:
            names = (name.encode() for name in self.alpn)
            wire = b"".join(bytes([len(name)]) + name for name in names)
            yield from self._tried("alpn", tls.record("alpn", wire), found)
        if settings.ca is not None:
            try:
                yield from self._tried("ca", tls.record("ca", self.files.read(settings.ca)), found)
            except ValueError as error:
                found.append(Finding((*self.path, "ca"), str(error)))

    def _tried(self, key: str, record: bytes, found: list[Finding]) -> Iterator[bytes]:
        flags = ("client",) if isinstance(self.settings, PoolTls) else ()
        try:
            tls.try_bundle(self.head(flags, 0) + record + tls.record("context"))
        except ValueError as error:
            found.append(Finding((*self.path, key), f"OpenSSL does not take it: {error}"))
        else:
            yield record


class _Listener(_Settings):
    def __init__(
        self, config: Config, name: str, listener: Listener, files: Files, profiles: Profiles
    ) -> None:
        assert listener.tls is not None
        path = ("listeners", name, "tls")
        super().__init__(path, listener.tls, files, profiles.of("listeners", name))
        self.alpn = listener.alpn
        self.owner = f"listeners.{name}"
        self.tls = listener.tls
        self.lifetime_ms = config.process.tls.ticket_lifetime_ms

    def records(self, found: list[Finding]) -> Iterator[bytes]:
        flags = {
            "verify": self.tls.ca is not None,
            "require": self.tls.ca is not None and self.tls.verify == "required",
            "tickets": self.tls.tickets,
            "strict": self.tls.strict_sni,
        }
        yield self.head([name for name, on in flags.items() if on], self.lifetime_ms)
        yield from self.common(found)
        pairs = []
        for index, one in enumerate(self.tls.certificates):
            where = (*self.path, "certificates", index)
            pair = _pair(self.files, one.cert, one.key, where, found)
            if pair is not None:
                pairs.append(pair)
                self.loaded.append(Loaded(self.owner, one.cert, pair.facts))
        for members, names in contexts([pair.facts for pair in pairs]):
            yield tls.record("context")
            for index in members:
                yield from pairs[index].records()
            for name in names:
                yield tls.record("name", name.encode())


class _Pool(_Settings):
    def __init__(self, name: str, pool: Pool, files: Files, profiles: Profiles) -> None:
        assert pool.tls is not None
        super().__init__(("pools", name, "tls"), pool.tls, files, profiles.of("pools", name))
        self.owner = f"pools.{name}"
        self.pool = pool
        self.tls = pool.tls

    def records(self, found: list[Finding]) -> Iterator[bytes]:
        flags = {
            "client": True,
            "verify": self.tls.verify,
            "system_ca": self.tls.verify and self.tls.ca is None,
            "tickets": self.tls.resume,
        }
        yield self.head([name for name, on in flags.items() if on], 0)
        yield from self.common(found)
        yield tls.record("context")
        if self.tls.cert is not None:
            pair = _pair(self.files, self.tls.cert, self.tls.key, self.path, found)
            if pair is not None:
                self.loaded.append(Loaded(self.owner, self.tls.cert, pair.facts))
                yield from pair.records()
        for backend in self.pool.backends:
            name = self.tls.server_name or backend.address.asked
            if name:
                yield tls.record("peer", backend.name.encode() + b"\0" + name.encode())


def contexts(
    certificates: Sequence[Certificate],
) -> Iterator[tuple[tuple[int, ...], tuple[str, ...]]]:
    """Yields sets of certificates (their indexes), each with the server names that it serves. The
    first set is for clients without a known server name."""
    by_name: dict[str, dict[str, int]] = {}
    for index, certificate in enumerate(certificates):
        for name in certificate.names:
            by_name.setdefault(name, {}).setdefault(certificate.key_type, index)
    if not certificates:
        return
    names_of: dict[tuple[int, ...], list[str]] = {}
    first = _default(certificates, by_name)
    names_of[first] = []
    for name, members in by_name.items():
        names_of.setdefault(tuple(sorted(members.values())), []).append(name)
    for members_, names in names_of.items():
        yield members_, tuple(names)


def _default(
    certificates: Sequence[Certificate], by_name: Mapping[str, Mapping[str, int]]
) -> tuple[int, ...]:
    """Returns the first certificate, with those of other key types for its first name."""
    names = certificates[0].names
    members = set(by_name[names[0]].values()) if names else set()
    return tuple(sorted(members | {0})) if 0 in members or not members else (0,)


def days_left(not_after: int, now_s: int) -> int:
    """Returns the whole days until a certificate expires; negative after that."""
    return (not_after - now_s) // 86_400
