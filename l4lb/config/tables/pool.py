"""[pools.NAME] and its backends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model, Named
from l4lb.config.tables.discovery import Discovery
from l4lb.config.tables.health import Agent, Health, Passive
from l4lb.config.tables.http import PoolHttp
from l4lb.config.tables.quic import Quic
from l4lb.config.tables.sockets import Sockets
from l4lb.config.tables.sticky import Sticky
from l4lb.config.tables.tls import PoolTls
from l4lb.config.units import duration, whole, wrong
from l4lb.config.values import clients, common, sockets
from l4lb.config.values.health import Command
from l4lb.config.values.http import HashKey


class Backend(Model):
    """One server of a pool."""

    address: common.AddressText
    """Address of the backend: HOST:PORT or unix:/PATH. A host name is looked up once, at start."""
    name: common.Name = Field(
        default_factory=lambda data: str(data.get("address", "")),
        json_schema_extra={"x-l4lb-default": "its address"},
    )
    """Name of the backend, unique in the pool."""
    weight: common.Weight = 1
    """Share of new sessions relative to the other backends. 0: no new sessions."""
    max_connections: common.Connections = 0
    """Connections to the backend at one time, over all workers. 0: no limit."""
    server_id: common.ServerId | None = None
    """Server id of the backend in QUIC connection ids, in hexadecimal: see hash_key =
    "quic_cid"."""
    backup: bool = False
    """Used only when no other backend of the pool is usable."""

    @property
    def host(self) -> str:
        """IP address or host name; "" for a unix socket."""
        return self.address.host

    @property
    def port(self) -> int:
        """Port; 0 for a unix socket."""
        return self.address.port

    @property
    def path(self) -> str:
        """Path of a unix socket; else ""."""
        return self.address.path


def _as_backend(value: object) -> object:
    """Turns a text into a table with that address."""
    if isinstance(value, str):
        return {"address": value}
    if isinstance(value, (dict, Backend)):
        return value
    raise wrong("must be an address in quotes or a table with one")


class Queue(Model):
    """Connection queue: clients wait here when all backends are at their max_connections."""

    length: Annotated[int, *whole(bounds.QUEUE_LENGTH)] = 1_000
    """Number of clients that may wait, over all workers. Further clients are turned away."""
    timeout_ms: Annotated[int, *duration(bounds.QUEUE_TIMEOUT_MS)] = Field(
        default=5 * bounds.SECOND_MS, alias="timeout"
    )
    """How long a client waits at most."""


class Pool(Sockets, Named):
    """Backends that serve the same content, and the algorithm that chooses one of them."""

    balance: Literal[
        "round_robin",
        "least_connections",
        "least_response_time",
        "ip_hash",
        "maglev",
        "random",
        "first",
    ] = "round_robin"
    """Load balancing algorithm."""
    hash_key: HashKey = "source_ip"
    """What ip_hash and maglev hash. HTTP: "header:NAME", "cookie:NAME", "query:NAME", "host" and
    "path" are values of each request; the address of a request without the value is hashed.
    quic_cid is for QUIC, with any algorithm: a connection id that names a backend (`quic`,
    `server_id`) selects it; for other packets source_ip_port is hashed. source_mac is for listeners
    with data_path = "packet": the MAC address that a frame comes from."""
    hash_prefix: common.HashPrefix = Field(
        default=(32, 128), json_schema_extra={"default": [32, 128]}
    )
    """Number of bits of an IPv4 and of an IPv6 source address that are hashed. With [24, 64] the
    clients of one network get one backend."""
    hash_balance_percent: common.HashBalance | None = Field(
        default=None, alias="hash_balance_factor"
    )
    """ip_hash and maglev skip a backend whose connections would exceed this part of its fair share,
    such as "150%" (150 and 1.5 mean the same). Absent: no limit."""
    maglev_size: common.MaglevSize = 65_537
    """Number of slots of the maglev table, a prime: about a hundred times the number of backends,
    or more."""
    slow_start_ms: Annotated[int, *duration(bounds.SLOW_START_MS)] = Field(
        default=0, alias="slow_start"
    )
    """Time over which the share of a backend that was added or that returned grows to its full
    value."""
    all_backups: bool = False
    """When no other backend is usable: share sessions among all backups, instead of using only the
    first usable one."""
    connect_timeout_ms: Annotated[int, *duration(bounds.CONNECT_TIMEOUT_MS)] = Field(
        default=2 * bounds.SECOND_MS, alias="connect_timeout"
    )
    """How long a backend may take to accept a connection."""
    idle_timeout_given_ms: Annotated[int, *duration(bounds.IDLE_TIMEOUT_MS)] | None = Field(
        default=None,
        alias="idle_timeout",
        json_schema_extra={"x-l4lb-default": '`"10m"`, of UDP sessions `"30s"`'},
    )
    """A session ends if no byte is read and no byte is delivered, in either direction, for this
    long. Bytes that a slow reader takes from the kernel count as delivered."""
    half_closed_timeout_ms: Annotated[int, *duration(bounds.HALF_CLOSED_TIMEOUT_MS)] = Field(
        default=5 * bounds.MINUTE_MS, alias="half_closed_timeout"
    )
    """Replaces `idle_timeout` after one side has finished sending. The data sent before is still
    delivered."""
    retries: Annotated[int, *whole(bounds.RETRIES)] = 2
    """Number of other backends that are tried when a backend cannot be reached, before any byte was
    forwarded."""
    when_all_down: Literal["refuse", "try_all"] = "refuse"
    """When no backend is up: refuse clients, or try backends that are down."""
    source: sockets.Sources = ()
    """Local IP addresses that connections to backends come from, one or an array. Each has some
    64,000 ports to each backend. Absent: the kernel chooses."""
    transparent: bool = False
    """Connections to backends come from the client's own address, if it has the backend's address
    family (IP_TRANSPARENT). The backends' answers must be routed through this host: see
    docs/transparent.md. Needs CAP_NET_ADMIN or CAP_NET_RAW."""
    dsr: Literal["mac", "ipip"] | None = None
    """For listeners with data_path = "packet": direct server return. Backends get packets with the
    listener's address and port as destination, and answer clients directly. "mac": in a frame to
    the backend, which is in the same network. "ipip": in a packet to the backend (RFC 2003, 2473).
    Absent: answers come back through this host."""
    hand_over: bool | None = Field(
        default=None,
        json_schema_extra={"x-l4lb-default": "`true` with `[process.packet]`, else `false`"},
    )
    """UDP: the kernel forwards a session's datagrams once its client has sent again after an
    answer. Workers forward the datagrams before, and those of sessions that need a worker for
    each."""
    max_connections: common.Connections = 0
    """Connections to the whole pool at one time, over all workers. 0: no limit."""
    queue: Queue | None = None
    requests: common.Datagrams = 0
    """UDP: number of a client's datagrams in one session. The next datagram begins another session.
    0: no limit."""
    per_datagram: bool = False
    """UDP: choose a backend for each datagram. A client then has a session with each of these
    backends."""
    quic: Quic | None = None
    responses: common.Datagrams = 0
    """UDP: a session ends when each of its client's datagrams has been answered by this many
    datagrams. 0: no limit."""
    send_proxy: Literal["off", "v1", "v2"] = "off"
    """Version of the PROXY header that is sent to backends before a client's first byte."""
    proxy_protocol_udp: Literal["off", "first", "each"] = "off"
    """UDP: whether a PROXY header (version 2) is sent to backends before the payload, in a
    session's first datagram or in each."""
    proxy_tlvs: clients.ProxyTlvs = ("received",)
    """TLVs of a PROXY header of version 2: "authority" (the server name that the client asked for),
    "alpn" (the negotiated protocol, or the offered one if there is only one), "ssl" (TLS that is
    terminated here: version, cipher, the name in the client's certificate), "unique_id", "crc32c",
    and "received" (the TLVs of the received header)."""
    sticky_during_drain: bool = False
    """A draining backend still gets new sessions of its sticky clients."""
    backends: Annotated[
        tuple[
            Annotated[Backend, BeforeValidator(_as_backend, json_schema_input_type=str | Backend)],
            ...,
        ],
        BeforeValidator(common.as_tuple),
    ] = Field(default=(), json_schema_extra={"x-l4lb-default": "required without `discovery`"})
    """One or more backends, each an address in quotes or a table."""
    on_down: Literal["keep", "close"] | None = Field(
        default=None, json_schema_extra={"x-l4lb-default": '`"keep"`, of UDP sessions `"close"`'}
    )
    """What happens to the sessions of a backend that goes down: they go on, or they are closed. A
    closed UDP session continues at another backend with its client's next datagram."""
    alert: Command | None = None
    """Program and arguments that are run at each change of a backend's health. Absent: none."""
    discovery: Discovery | None = None
    health: Health | None = None
    agent: Agent | None = None
    passive: Passive | None = None
    sticky: Sticky | None = None
    tls: PoolTls | None = None
    http: PoolHttp | None = None

    @property
    def idle_timeout_ms(self) -> int:
        """Idle timeout of TCP sessions."""
        return self.idle_timeout_given_ms or 10 * bounds.MINUTE_MS

    @property
    def udp_idle_timeout_ms(self) -> int:
        """Idle timeout of UDP sessions, which no side closes."""
        return self.idle_timeout_given_ms or 30 * bounds.SECOND_MS
