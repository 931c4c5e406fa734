"""[listeners.NAME.tls], [pools.NAME.tls] and [process.tls]: TLS on both sides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from l4lb.config import bounds, fields, tls_fields
from l4lb.config.tables.base import Model
from l4lb.config.units import wrong


class Certificate(Model):
    """A certificate and its key, in files. Files are watched: a certificate that was replaced
    serves new clients within [process.tls] watch."""

    cert: tls_fields.FilePath
    """PEM file: the certificate, then those that lead to its issuer's."""
    key: tls_fields.FilePath | None = None
    """PEM file with its private key, without a password; absent: it is in the file `cert`."""

    @property
    def key_file(self) -> str:
        """Where the key is."""
        return self.key or self.cert


Certificates = Annotated[
    tuple[Certificate, ...],
    BeforeValidator(fields.as_tuple, json_schema_input_type=list[Certificate]),
]


class ListenerTls(Model):
    """TLS ends here: clients speak TLS, the pool's backends get what is inside."""

    certificates: Certificates
    """One or more. A client gets the one for the server name it asks for, by the DNS names in it
    ("*.example.com" stands for one label); of the same name there may be one of each key type (RSA,
    EC). The first is for clients that ask for no name, or one that nobody has."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that clients may speak."""
    ciphers: tls_fields.Ciphers | None = None
    """Cipher suites for TLS 1.2 as OpenSSL writes them ("ECDHE+AESGCM:ECDHE+CHACHA20"); absent:
    OpenSSL's."""
    ciphersuites: tls_fields.Ciphers | None = None
    """Cipher suites for TLS 1.3 ("TLS_AES_128_GCM_SHA256"); absent: OpenSSL's."""
    alpn: tls_fields.Protocols = ()
    """Protocols, best first. A client that offers none of them is turned away; one that offers
    nothing is served. Empty: whatever is offered is ignored."""
    strict_sni: bool = False
    """Turn clients away that ask for no name, or for one that no certificate has."""
    ca: tls_fields.FilePath | None = None
    """PEM file: who signs the certificates of clients. Absent: none is asked for."""
    verify: Literal["required", "optional"] = "required"
    """With ca: whether a client without a certificate is turned away. One with a certificate that
    cannot be verified always is."""
    tickets: bool = True
    """Clients may resume sessions, with tickets that every worker can read."""
    max_handshakes: fields.MaxHandshakes = 0
    """Handshakes at one time, over all workers and addresses; more clients wait. 0: no limit."""
    handshake_rate: fields.HandshakeRate = 0
    """Handshakes a second on average, over all workers and addresses; more clients wait for their
    turn, up to handshake_timeout. 0: no limit."""
    handshake_burst: fields.HandshakeRate = 100
    """How many of them may come at once."""


class PoolTls(Model):
    """Backends are spoken to in TLS."""

    verify: bool = True
    """Whether a backend must show a certificate for its name that `ca` signed. One that cannot
    counts as unreachable."""
    ca: tls_fields.FilePath | None = None
    """PEM file: who signs them; absent: the authorities that this host trusts."""
    server_name: tls_fields.HostName | None = None
    """The name to ask for and to verify, or an IP address, which is only verified; absent: the host
    name in the backend's address, else its IP address."""
    cert: tls_fields.FilePath | None = None
    """PEM file: the certificate to show to backends that ask for one."""
    key: tls_fields.FilePath | None = None
    """PEM file: its private key; absent: it is in the file `cert`."""
    min_version: Literal["1.2", "1.3"] = "1.2"
    """The oldest version of TLS that backends may speak."""
    ciphers: tls_fields.Ciphers | None = None
    """Cipher suites for TLS 1.2; absent: OpenSSL's."""
    ciphersuites: tls_fields.Ciphers | None = None
    """Cipher suites for TLS 1.3; absent: OpenSSL's."""
    alpn: tls_fields.Protocols = ()
    """Protocols to offer, best first."""
    resume: bool = True
    """Resume sessions: handshakes after the first with a backend are short."""

    @model_validator(mode="after")
    def _key_of_something(self) -> PoolTls:
        if self.key and not self.cert:
            raise wrong("has a key and no cert")
        return self


class ProcessTls(Model):
    """What all TLS has in common."""

    ticket_lifetime_ms: tls_fields.TicketLifetime = Field(
        default=bounds.HOUR_MS, alias="ticket_lifetime"
    )
    """How long a client can resume a session. The key of the tickets changes as often; the one
    before stays valid for as long again."""
    watch_ms: tls_fields.WatchInterval = Field(default=bounds.SECOND_MS, alias="watch")
    """How often the files of certificates, keys and authorities are looked at."""
