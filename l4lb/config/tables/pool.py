"""[pools.NAME] and its backends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds, edge_fields, fields, health_fields, socket_fields
from l4lb.config.tables.base import Model, Named
from l4lb.config.tables.discovery import Discovery
from l4lb.config.tables.health import Agent, Health, Passive
from l4lb.config.tables.quic import Quic
from l4lb.config.tables.sockets import Sockets
from l4lb.config.tables.sticky import Sticky
from l4lb.config.tables.tls import PoolTls
from l4lb.config.units import wrong


class Backend(Model):
    """One server of a pool."""

    address: fields.AddressText
    """Where it listens: HOST:PORT or unix:/PATH. A host name is looked up once, at start."""
    name: fields.Name = Field(
        default_factory=lambda data: str(data.get("address", "")),
        json_schema_extra={"x-l4lb-default": "its address"},
    )
    """Its name, unique in the pool."""
    weight: fields.Weight = 1
    """Its share of new sessions against the others'; 0: gets none."""
    max_connections: fields.Connections = 0
    """Connections to it at one time, over all workers; 0: no limit."""
    server_id: fields.ServerId | None = None
    """What names it in QUIC connection ids, in hexadecimal: see hash_key = "quic_cid"."""
    backup: bool = False
    """Used only when no other backend of the pool is usable."""

    @property
    def host(self) -> str:
        """IP address or host name; "" of a unix socket."""
        return self.address.host

    @property
    def port(self) -> int:
        """0 of a unix socket."""
        return self.address.port

    @property
    def path(self) -> str:
        """Of a unix socket; else ""."""
        return self.address.path


def _as_backend(value: object) -> object:
    """A backend that is only text is its address."""
    if isinstance(value, str):
        return {"address": value}
    if isinstance(value, (dict, Backend)):
        return value
    raise wrong("must be an address in quotes or a table with one")


class Queue(Model):
    """Clients that wait for a place when all backends are at their max_connections."""

    length: fields.QueueLength = 1_000
    """How many may wait, over all workers; more are turned away."""
    timeout_ms: fields.QueueTimeout = Field(default=5 * bounds.SECOND_MS, alias="timeout")
    """How long one waits at most."""


class Pool(Sockets, Named):
    """Backends that serve the same thing, and how one of them is chosen."""

    balance: Literal[
        "round_robin",
        "least_connections",
        "least_response_time",
        "ip_hash",
        "maglev",
        "random",
        "first",
    ] = "round_robin"
    """How a backend is chosen."""
    hash_key: Literal["source_ip", "source_ip_port", "sni", "quic_cid"] = "source_ip"
    """What ip_hash and maglev hash. quic_cid is for QUIC, with any algorithm: connection ids that
    name a backend (`quic`, `server_id`) choose it; for the others source_ip_port is hashed."""
    hash_prefix: fields.HashPrefix = Field(
        default=(32, 128), json_schema_extra={"default": [32, 128]}
    )
    """How many bits of an IPv4 and of an IPv6 source address count: with [24, 64] the clients of
    one network meet one backend."""
    hash_balance_percent: fields.HashBalance | None = Field(
        default=None, alias="hash_balance_factor"
    )
    """ip_hash and maglev pass a backend by whose connections would exceed this much of its fair
    share, such as "150%" (150 and 1.5 are the same); absent: no bound."""
    maglev_size: fields.MaglevSize = 65_537
    """Slots of the table of maglev, a prime: about a hundred times the backends or more."""
    slow_start_ms: fields.SlowStart = Field(default=0, alias="slow_start")
    """A backend that is added or returns gets its share little by little, over this long."""
    all_backups: bool = False
    """When no other backend is usable: share among all backups, not only the first usable one."""
    connect_timeout_ms: fields.ConnectTimeout = Field(
        default=2 * bounds.SECOND_MS, alias="connect_timeout"
    )
    """How long a backend may take to accept a connection."""
    idle_timeout_given_ms: fields.IdleTimeout | None = Field(
        default=None,
        alias="idle_timeout",
        json_schema_extra={"x-l4lb-default": '`"10m"`, of UDP sessions `"30s"`'},
    )
    """A session in which nothing is read and nothing delivered, in either direction, for this long
    ends. Bytes that a slow reader still takes from the kernel count."""
    half_closed_timeout_ms: fields.HalfClosedTimeout = Field(
        default=5 * bounds.MINUTE_MS, alias="half_closed_timeout"
    )
    """The same once one side has finished sending: what was sent before is still delivered."""
    retries: fields.Retries = 2
    """Other backends that are tried when one cannot be reached, before any byte was forwarded."""
    when_all_down: Literal["refuse", "try_all"] = "refuse"
    """When no backend is up: refuse clients, or try the backends that are down."""
    source: socket_fields.Sources = ()
    """Local IP addresses that connections to backends come from, one or an array: each has some
    64,000 ports to each backend; absent: the kernel chooses."""
    transparent: bool = False
    """Connections to backends come from the client's own address, if it is of the backend's family
    (IP_TRANSPARENT); the way back must lead through this host: see docs/transparent.md. Needs
    CAP_NET_ADMIN or CAP_NET_RAW."""
    max_connections: fields.Connections = 0
    """Connections to the whole pool at one time, over all workers; 0: no limit."""
    queue: Queue | None = None
    requests: fields.Datagrams = 0
    """UDP: a client's datagrams that make one session; the next one begins another. 0: no bound."""
    per_datagram: bool = False
    """UDP: each datagram chooses its backend; a client has a session at each that it meets."""
    quic: Quic | None = None
    responses: fields.Datagrams = 0
    """UDP: a session ends when each of its client's datagrams was answered by so many. 0: no
    bound."""
    send_proxy: Literal["off", "v1", "v2"] = "off"
    """The PROXY header that backends get before a client's first byte."""
    proxy_protocol_udp: Literal["off", "first", "each"] = "off"
    """UDP: the PROXY header (version 2) that backends get in front of the payload of a session's
    first datagram, or of each."""
    proxy_tlvs: edge_fields.ProxyTlvs = ("received",)
    """What a v2 header tells beside addresses: "authority" (the server name asked for), "alpn"
    (the protocol agreed on, or offered if it is only one), "ssl" (the TLS that ends here: version,
    cipher, the name in the client's certificate), "unique_id", "crc32c", and those "received"."""
    sticky_during_drain: bool = False
    """A draining backend still gets new sessions of the clients that belong to it."""
    backends: Annotated[
        tuple[
            Annotated[Backend, BeforeValidator(_as_backend, json_schema_input_type=str | Backend)],
            ...,
        ],
        BeforeValidator(fields.as_tuple),
    ] = Field(default=(), json_schema_extra={"x-l4lb-default": "required without `discovery`"})
    """One or more, each an address in quotes or a table."""
    on_down: Literal["keep", "close"] | None = Field(
        default=None, json_schema_extra={"x-l4lb-default": '`"keep"`, of UDP sessions `"close"`'}
    )
    """What becomes of the sessions of a backend that goes down. The next datagram of a UDP client
    begins a session at another."""
    alert: health_fields.Command | None = None
    """A program and its arguments, run at each change of a backend's health; absent: none."""
    discovery: Discovery | None = None
    health: Health | None = None
    agent: Agent | None = None
    passive: Passive | None = None
    sticky: Sticky | None = None
    tls: PoolTls | None = None

    @property
    def idle_timeout_ms(self) -> int:
        """Of TCP sessions."""
        return self.idle_timeout_given_ms or 10 * bounds.MINUTE_MS

    @property
    def udp_idle_timeout_ms(self) -> int:
        """Of UDP sessions, which nobody closes."""
        return self.idle_timeout_given_ms or 30 * bounds.SECOND_MS
