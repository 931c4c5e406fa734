"""[listeners.NAME]: the addresses that clients connect to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from l4lb.config import bounds
from l4lb.config.address import Bind
from l4lb.config.tables.admission import Access, Routes
from l4lb.config.tables.base import Named
from l4lb.config.tables.forward import pool_name
from l4lb.config.tables.http import ListenerHttp
from l4lb.config.tables.http_filter import Filter
from l4lb.config.tables.listener_limits import ListenerLimits
from l4lb.config.tables.sockets import Sockets
from l4lb.config.tables.tls import ListenerTls
from l4lb.config.units import duration, whole
from l4lb.config.values import clients, common, sockets


def transport(protocol: str) -> str:
    """Returns the protocol of the sockets of listeners of that protocol, "tcp" or "udp"."""
    return "udp" if protocol == "udp" else "tcp"


class Listener(Sockets, Named):
    """Addresses that clients connect to, and the pool that serves them."""

    bind_ranges: common.Binds = Field(alias="bind")
    """Addresses: IPv4:PORT, [IPv6]:PORT, NAME:PORT, a range of ports HOST:FIRST-LAST, or
    unix:/PATH. `*:PORT` and `:PORT` are any IPv4 address; `[::]:PORT` is IPv6 only."""
    mode: sockets.UnixMode | None = None
    """Mode of the files of the listener's unix sockets, such as "0660". Users who may write to the
    file may connect. Absent: the umask decides."""
    owner: common.Name | None = None
    """Owner of the files of unix sockets, a user's name or number. Only root can set another owner
    than the service's user. Absent: the service's user."""
    group: common.Name | None = None
    """Group of the files of unix sockets, a name or number. Absent: the service's group."""
    protocol: Literal["tcp", "udp", "http", "socks5"] = "tcp"
    """Protocol of the listener. "http": HTTP/1.0 and 1.1 over TCP, where each request chooses its
    backend (docs/http.md). "socks5": clients of a forward proxy (RFC 1928)."""
    data_path: Literal["proxy", "packet", "auto"] = "proxy"
    """Who moves the bytes. "proxy": workers, which accept connections and open others to backends.
    "packet": the kernel, which forwards packets (docs/packet.md); needs `[process.packet]`. "auto":
    the kernel where it can do all that the listener and its pools ask for, else workers. A reload
    changes it, and connections go on."""
    pool: str | None = Field(
        default=None, json_schema_extra={"x-l4lb-default": "required without `forward`"}
    )
    """Name of the pool that serves this listener."""
    forward: str | None = None
    """Name of the forward proxy (`[forward.NAME]`) that serves this listener, in place of a pool:
    its clients say where they want to go."""
    max_amplification: Annotated[int, *whole(bounds.AMPLIFICATION)] = 0
    """UDP: bytes sent to a client for each byte that it sent, until the client proves its address
    by a second datagram. Replies beyond this are dropped. 0: no limit."""
    max_sessions_per_source: common.Connections = 0
    """UDP: sessions of one IP address at one time, at each bound address. One worker then serves
    all sessions of an address. 0: no limit."""
    reject_privileged_ports: bool = False
    """UDP: drop datagrams from source ports below 1024, which services use and clients do not."""

    routes: Routes = ()
    """Routes to other pools for some clients: by what they ask for, where they come from, or at
    random. The first route that matches decides. All other clients go to `pool`."""
    handshake_timeout_ms: Annotated[int, *duration(bounds.HANDSHAKE_TIMEOUT_MS)] = Field(
        default=10 * bounds.SECOND_MS, alias="handshake_timeout"
    )
    """How long a client may take to send everything that is needed to choose a backend (PROXY
    header, ClientHello), the TLS handshake included."""

    tls: ListenerTls | None = None

    transparent: bool = False
    """Accept connections to addresses that this host does not have and that the firewall sends here
    (TPROXY): see docs/transparent.md. Needs CAP_NET_ADMIN or CAP_NET_RAW."""
    mptcp: bool = False
    """Clients may use Multipath TCP (RFC 8684). Other clients are served as before."""

    proxy_protocol: Literal["off", "accept", "require"] = "off"
    """Whether a PROXY header (version 1 or 2) with the client's address comes first. "accept": it
    may. "require": it must. A header from an address that is not in `trusted` is refused."""
    trusted: clients.ManyNetworks = ()
    """Networks of the proxies that may send PROXY headers."""
    access: Access | None = None
    limits: ListenerLimits | None = None
    http: ListenerHttp | None = None
    filter: Filter | None = None

    @property
    def transport(self) -> str:
        """The protocol of its sockets, "tcp" or "udp"."""
        return transport(self.protocol)

    @property
    def alpn(self) -> tuple[str, ...]:
        """The ALPN protocols that its clients with TLS may use; empty: what they offer is
        ignored."""
        asked = self.tls.alpn if self.tls else ()
        if asked or self.protocol != "http":
            return asked
        speaks_http2 = (self.http or ListenerHttp()).http2.streams > 0
        return ("h2", "http/1.1") if speaks_http2 else ("http/1.1",)

    @property
    def main_pool(self) -> str:
        """Name of the pool that serves whom no route takes: of a forward proxy, its own."""
        if self.forward is not None:
            return pool_name(self.forward)
        assert self.pool is not None, "the checks require one of pool, forward"
        return self.pool

    @property
    def pools(self) -> tuple[str, ...]:
        """Names of all pools that may serve this listener."""
        return (self.main_pool, *(route.pool for route in self.routes if route.pool is not None))

    @property
    def bind(self) -> tuple[Bind, ...]:
        """Every address bound, in the order written. Ranges of ports are expanded, unless they are
        bound as a whole (BindRange.is_whole)."""
        return tuple(one for span in self.bind_ranges for one in span)
