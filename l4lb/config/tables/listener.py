"""[listeners.NAME]: where clients come in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from l4lb.config import bounds, edge_fields, fields, socket_fields
from l4lb.config.address import Bind
from l4lb.config.tables.base import Named
from l4lb.config.tables.edge import Access, Routes
from l4lb.config.tables.edge_limits import ListenerLimits
from l4lb.config.tables.sockets import Sockets
from l4lb.config.tables.tls import ListenerTls


class Listener(Sockets, Named):
    """Addresses that clients connect to, and the pool that serves them."""

    bind_ranges: fields.Binds = Field(alias="bind")
    """Addresses: IPv4:PORT, [IPv6]:PORT, NAME:PORT, a range of ports HOST:FIRST-LAST, or
    unix:/PATH. `*:PORT` and `:PORT` are any IPv4 address; `[::]:PORT` is IPv6 only."""
    mode: socket_fields.UnixMode | None = None
    """Of the files of its unix sockets, such as "0660": who may write may connect. Absent: as the
    umask leaves it."""
    owner: fields.Name | None = None
    """The user whose they are, by name or number. Only root can give files away; absent: the
    service's."""
    group: fields.Name | None = None
    """Their group, by name or number; absent: the service's."""
    protocol: Literal["tcp", "udp"] = "tcp"
    """What is balanced."""
    pool: str
    """Name of the pool that serves this listener."""
    max_amplification: fields.Amplification = 0
    """UDP: bytes sent to a client per byte it sent, until it has proven itself by a second
    datagram; replies over that are dropped. 0: no bound."""
    max_sessions_per_source: fields.Connections = 0
    """UDP: sessions of one IP address at one time, at each address bound; one worker then serves
    them all. 0: no bound."""
    reject_privileged_ports: bool = False
    """UDP: datagrams from source ports below 1024 are dropped; services live there, clients do
    not."""

    routes: Routes = ()
    """Pools for some of the clients, by what they ask for, where they come from, or by chance; the
    first that matches serves. The others go to `pool`."""
    handshake_timeout_ms: edge_fields.HandshakeTimeout = Field(
        default=10 * bounds.SECOND_MS, alias="handshake_timeout"
    )
    """How long a client may take to say what must be known before a backend is chosen, the TLS
    handshake included."""

    tls: ListenerTls | None = None

    transparent: bool = False
    """Takes clients of addresses that are not this host's, which the firewall sends here (TPROXY):
    see docs/transparent.md. Needs CAP_NET_ADMIN or CAP_NET_RAW."""
    mptcp: bool = False
    """Clients may use several ways at once (Multipath TCP, RFC 8684); others are served as ever."""

    proxy_protocol: Literal["off", "accept", "require"] = "off"
    """Does a PROXY header (version 1 or 2) come first and tell who the client is? With "accept" it
    may, with "require" it must. From whom is not trusted it is refused."""
    trusted: edge_fields.ManyNetworks = ()
    """Networks of the proxies that may send PROXY headers."""
    access: Access | None = None
    limits: ListenerLimits | None = None

    @property
    def pools(self) -> tuple[str, ...]:
        """Names of all pools that may serve this listener."""
        return (self.pool, *(route.pool for route in self.routes))

    @property
    def bind(self) -> tuple[Bind, ...]:
        """Every address bound, ranges of ports expanded, in the order written."""
        return tuple(one for span in self.bind_ranges for one in span)
