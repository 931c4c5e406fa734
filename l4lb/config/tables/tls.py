"""[listeners.NAME.tls], [pools.NAME.tls] and [process.tls]: TLS on both sides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import duration, whole, wrong
from l4lb.config.values import common, tls


class Certificate(Model):
    """A certificate and its key, in files. Files are watched: a certificate that was replaced
    serves new clients within [process.tls] watch."""

    cert: tls.FilePath
    """PEM file with the certificate, followed by the intermediate certificates."""
    key: tls.FilePath | None = None
    """PEM file with the private key, without a password. Absent: the key is in the file `cert`."""


Certificates = Annotated[
    tuple[Certificate, ...],
    BeforeValidator(common.as_tuple, json_schema_input_type=list[Certificate]),
]


class ListenerTls(Model):
    """TLS termination: clients use TLS, and the pool's backends get the decrypted data."""

    certificates: Certificates
    """One or more certificates. A client gets the certificate whose DNS names contain the server
    name it asks for ("*.example.com" stands for one label). A name may have one certificate of each
    key type (RSA, EC). The first certificate is for clients that ask for no name, or for an unknown
    one."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS version that clients may use."""
    ciphers: tls.Ciphers | None = None
    """Cipher suites for TLS 1.2 in OpenSSL's syntax ("ECDHE+AESGCM:ECDHE+CHACHA20"). Absent:
    OpenSSL's default."""
    ciphersuites: tls.Ciphers | None = None
    """Cipher suites for TLS 1.3 ("TLS_AES_128_GCM_SHA256"). Absent: OpenSSL's default."""
    alpn: tls.Protocols = ()
    """ALPN protocols, the preferred one first. A client that offers none of them is turned away. A
    client that does not use ALPN is served. Empty: what clients offer is ignored; with
    protocol = "http" it is "h2", "http/1.1"."""
    strict_sni: bool = False
    """Turn away clients that ask for no server name, or for one that no certificate has."""
    ca: tls.FilePath | None = None
    """PEM file with the authorities that sign client certificates. Absent: clients are not asked
    for a certificate."""
    verify: Literal["required", "optional"] = "required"
    """With `ca`: whether clients without a certificate are turned away. A client whose certificate
    cannot be verified is always turned away."""
    tickets: bool = True
    """Clients may resume TLS sessions, with session tickets that every worker can decrypt."""
    max_handshakes: Annotated[int, *whole(bounds.MAX_HANDSHAKES)] = 0
    """TLS handshakes at one time, over all workers and addresses. Further clients wait. 0: no
    limit."""
    handshake_rate: common.HandshakeRate = 0
    """TLS handshakes a second on average, over all workers and addresses. Further clients wait for
    their turn, up to `handshake_timeout`. 0: no limit."""
    handshake_burst: common.HandshakeRate = 100
    """TLS handshakes that may come at once."""


class PoolTls(Model):
    """TLS to the backends."""

    verify: bool = True
    """Whether a backend must show a certificate that is valid for its name and signed by `ca`. A
    backend that cannot is treated as unreachable."""
    ca: tls.FilePath | None = None
    """PEM file with the authorities that sign backends' certificates. Absent: the authorities that
    this host trusts."""
    server_name: tls.HostName | None = None
    """Server name to ask for and to verify, or an IP address, which is only verified. Absent: the
    host name in the backend's address, else its IP address."""
    cert: tls.FilePath | None = None
    """PEM file with the client certificate for backends that ask for one."""
    key: tls.FilePath | None = None
    """PEM file with the private key of `cert`. Absent: the key is in the file `cert`."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest TLS version that backends may use."""
    ciphers: tls.Ciphers | None = None
    """Cipher suites for TLS 1.2. Absent: OpenSSL's default."""
    ciphersuites: tls.Ciphers | None = None
    """Cipher suites for TLS 1.3. Absent: OpenSSL's default."""
    alpn: tls.Protocols = ()
    """ALPN protocols to offer, the preferred one first."""
    resume: bool = True
    """Resume TLS sessions, which makes handshakes after the first with a backend short."""

    @model_validator(mode="after")
    def _key_of_something(self) -> PoolTls:
        if self.key and not self.cert:
            raise wrong("has a key and no cert")
        return self


class ProcessTls(Model):
    """TLS settings of the whole service."""

    ticket_lifetime_ms: Annotated[int, *duration(bounds.TICKET_LIFETIME_MS)] = Field(
        default=bounds.HOUR_MS, alias="ticket_lifetime"
    )
    """How long a client can resume a TLS session. The key of session tickets changes at this
    interval, and the previous key stays valid for one more interval."""
    watch_ms: Annotated[int, *duration(bounds.WATCH_MS)] = Field(
        default=bounds.SECOND_MS, alias="watch"
    )
    """How often the service looks at the files of certificates, keys and authorities for
    changes."""
