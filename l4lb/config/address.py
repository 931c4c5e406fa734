"""Parses addresses in text form, for listeners, backends and the process's own sockets.

    10.0.0.1:80   [2001:db8::1]:80   name.example:80   unix:/run/app.sock
    for listeners also: *:80 and :80 (any IPv4 address), [::]:80 (any IPv6 address, and only
    IPv6), 0.0.0.0:7000-7010 (a range of ports)

IPv6 zone ids (fe80::1%eth0) are refused: the shared table has no room for an interface. Names are
kept; l4lb/config/reading/resolve.py looks them up. This module does not use the network.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from l4lb.config.bounds import HOST_NAME_MAX, PORT, UNIX_PATH_BYTES_MAX
from l4lb.config.units import shown, wrong

ANY_IPV4 = "0.0.0.0"
ANY_IPV6 = "::"
UNIX = "unix:"
LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
MAPPED_BITS = 96
PORTS = re.compile(r"(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Address:
    """A host (an IP address in canonical form, or a name) and port; or a unix path, whose host is
    "" and port 0."""

    host: str
    port: int
    path: str = ""
    asked: str = field(default="", compare=False)
    """The host name that was looked up, if there was one."""
    last_port: int = 0
    """Of a range of ports that is bound as a whole, from `port` on; 0: it is one port."""

    def __str__(self) -> str:
        return f"{self.first}-{self.last_port}" if self.last_port else self.first

    @property
    def first(self) -> str:
        """The address as text; of a range that of its first port, to which its sockets are
        bound."""
        return f"{UNIX}{self.path}" if self.path else f"{_bracketed(self.host)}:{self.port}"

    @property
    def ports(self) -> range:
        """All its ports; of a path none."""
        return range(0) if self.path else range(self.port, (self.last_port or self.port) + 1)

    def at(self, host: str) -> Address:
        """This port at another host; the result keeps the host name that was looked up."""
        return replace(self, host=host, asked=self.asked if is_ip(self.host) else self.host)

    def as_written(self) -> Address:
        """The address with its host name, if the host was found by a name."""
        return replace(self, host=self.asked or self.host, asked="")


HostPort = Address  # an address that cannot be a unix path
Bind = Address  # an address that a listener binds


@dataclass(frozen=True, slots=True)
class BindRange:
    """One element of a listener's `bind`: one host and one or more ports, or a path."""

    host: str
    first_port: int
    last_port: int
    path: str = ""
    asked: str = field(default="", compare=False)
    """The host name that was looked up, if there was one."""
    is_whole: bool = field(default=False, compare=False)
    """Whether its ports are bound as one address. Whoever opens sockets says so."""

    def __len__(self) -> int:
        return self.last_port - self.first_port + 1

    def __iter__(self) -> Iterator[Bind]:
        if self.is_whole:
            yield self.whole
            return
        for port in range(self.first_port, self.last_port + 1):
            yield Bind(self.host, port, self.path, self.asked)

    @property
    def addresses(self) -> int:
        """The number of addresses that it is bound as."""
        return 1 if self.is_whole else len(self)

    @property
    def whole(self) -> Bind:
        """All its ports as one address."""
        last = 0 if self.first_port == self.last_port else self.last_port
        return Bind(self.host, self.first_port, self.path, self.asked, last)

    def __str__(self) -> str:
        return str(self.whole)

    def at(self, host: str) -> BindRange:
        """These ports at another host; the result keeps the host name that was looked up."""
        return replace(self, host=host, asked=self.asked if is_ip(self.host) else self.host)

    def as_written(self) -> BindRange:
        """The range with its host name, if the host was found by a name."""
        return replace(self, host=self.asked or self.host, asked="")


def is_ip(host: str) -> bool:
    """True for an IP address, False for a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def parse_ip(value: object) -> str:
    """Returns an IP address without port, in canonical form. Raises ValueError."""
    if not isinstance(value, str):
        raise wrong('must be an IP address such as "10.0.0.1"')
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        raise wrong(f'{shown(value)} is not an IP address such as "10.0.0.1"') from None
    if "%" in value:
        raise _no_zone(value)
    return str(address)


def parse_backend(value: object) -> Address:
    """Parses HOST:PORT or unix:/path. Raises ValueError."""
    span = _parse(value, example="10.0.0.1:80", wildcard=False)
    return _single(span, value)


def parse_host_port(value: object) -> HostPort:
    """Parses HOST:PORT to listen on, also `:PORT` and `*:PORT`. Raises ValueError."""
    span = _parse(value, example="127.0.0.1:9180", wildcard=True)
    if span.path:
        raise wrong("must be HOST:PORT, not a unix path")
    return _single(span, value)


def parse_bind(value: object) -> BindRange:
    """Parses an element of a listener's `bind`. Raises ValueError."""
    return _parse(value, example="0.0.0.0:8080", wildcard=True)


def parse_unix_path(value: object) -> str:
    """Returns the absolute path of a unix socket. Raises ValueError."""
    if not isinstance(value, str):
        raise wrong('must be a path such as "/run/l4lb/admin.sock"')
    if not value.startswith("/"):
        raise wrong(f"{shown(value)} is not an absolute path")
    if not value.isprintable():
        raise wrong(f"{shown(value)} has characters that cannot be printed")
    if len(value.encode()) > UNIX_PATH_BYTES_MAX:
        raise wrong(
            f"the path is longer than the {UNIX_PATH_BYTES_MAX} bytes a unix socket's may have"
        )
    return value


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _no_zone(value: str) -> ValueError:
    return wrong(f"{shown(value)}: IPv6 zone ids are not supported")


def _single(span: BindRange, value: object) -> Address:
    if len(span) != 1:
        raise wrong(f"{shown(value)} is a range of ports; one port is needed here")
    return next(iter(span))


def _parse(value: object, *, example: str, wildcard: bool) -> BindRange:
    if not isinstance(value, str):
        raise wrong(f"must be an address such as {shown(example)}")
    if value.startswith(UNIX):
        return BindRange("", 0, 0, parse_unix_path(value.removeprefix(UNIX)))
    if value.startswith("/"):
        raise wrong(f"{shown(value)} is a path", f"write {shown(UNIX + value)}")
    host, colon, ports = value.rpartition(":")
    if value.startswith("[") and not host.endswith("]"):
        raise wrong(f"{shown(value)} has no port", f"an address is HOST:PORT, as {example}")
    if ":" in host and not host.startswith("["):
        raise wrong(f"{shown(value)}: an IPv6 address goes in brackets", "write [ADDRESS]:PORT")
    if not colon:
        raise wrong(f"{shown(value)} has no port", f"an address is HOST:PORT, as {example}")
    first, last = _ports(value, ports)
    return BindRange(_host(value, host, wildcard=wildcard), first, last)


def _ports(value: str, text: str) -> tuple[int, int]:
    match = PORTS.fullmatch(text)
    if match is None:
        raise wrong(f"{shown(value)}: {shown(text)} is not a port")
    first = int(match["first"])
    last = int(match["last"]) if match["last"] else first
    for port in (first, last):
        if not PORT[0] <= port <= PORT[1]:
            raise wrong(f"{shown(value)}: a port is {PORT[0]} to {PORT[1]}, not {port}")
    if last < first:
        raise wrong(f"{shown(value)}: the range of ports ends before it starts")
    return first, last


def _host(value: str, host: str, *, wildcard: bool) -> str:
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        if "%" in inner:
            raise _no_zone(value)
        if not is_ip(inner) or ":" not in inner:
            raise wrong(f"{shown(value)}: {shown(inner)} is not an IPv6 address")
        host = str(ipaddress.ip_address(inner))
    elif host in ("", "*"):
        if not wildcard:
            raise wrong(f"{shown(value)} has no host")
        return ANY_IPV4
    elif not is_ip(host):
        return _host_name(value, host)
    if not wildcard and host in (ANY_IPV4, ANY_IPV6):
        raise wrong(f"{shown(value)}: {host} is not an address one can connect to")
    return host


def _host_name(value: str, host: str) -> str:
    labels = host.removesuffix(".").split(".")
    if labels[-1].isdecimal():
        raise wrong(f"{shown(value)}: {shown(host)} is not an IP address")
    if len(host) > HOST_NAME_MAX or not all(map(LABEL.fullmatch, labels)):
        raise wrong(f"{shown(value)}: {shown(host)} is not a host name")
    return host


def unmapped(
    network: ipaddress.IPv4Network | ipaddress.IPv6Network,
) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """Converts an IPv4 network in IPv6's form (::ffff:a.b.c.d, RFC 4291) to IPv4's form, by which
    its clients are known. The network of all such addresses (::ffff:0:0/96) is not converted: lists
    of private and reserved networks contain it and mean this form of addresses."""
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is None or network.prefixlen <= MAPPED_BITS:
        return network
    return ipaddress.IPv4Network((int(mapped), network.prefixlen - MAPPED_BITS))
