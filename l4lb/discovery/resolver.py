"""Asks name servers one question at a time: the servers of the settings, or those of the host's own
file, which is read again when it changes.

dnspython checks that an answer belongs to its question. Used from an answer: the records, their
time to live, and additional addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.name
import dns.nameserver
import dns.rdatatype
import dns.resolver

from l4lb.config.address import is_ip
from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery import files
from l4lb.discovery.types import MS, DiscoveryError

RESOLV_CONF = "/etc/resolv.conf"
RESOLV_CONF_BYTES_MAX = 64 << 10
SERVERS_MAX = 8
DNS_PORT = 53
TRY_S = 2.0  # for one server before the next is asked

Key = tuple[dns.name.Name, str]  # a name and a type of record


class GoneError(DiscoveryError):
    """The server says that the name does not exist. ttl_s: how long this is valid."""

    def __init__(self, text: str, ttl_s: float) -> None:
        super().__init__(text)
        self.ttl_s = ttl_s


@dataclass(frozen=True)
class Found:
    """The records of an answer. ttl_s: how long they are valid, the smallest in the chain of names;
    0 if the answer does not say. beside: additional addresses in the answer."""

    records: tuple[Any, ...]
    ttl_s: float
    beside: Mapping[Key, Found] = field(default_factory=dict)


class Resolver:
    """Asks the name servers of the settings, or the host's own."""

    def __init__(self, settings: Discovery) -> None:
        self._timeout_s = settings.timeout_ms / MS
        self.is_hosts = settings.servers is None
        self._content = b""
        self._asker = self._made([(one.host, one.port) for one in settings.servers or ()])

    def refresh(self) -> bool:
        """Reads the host's name servers again. Returns True if they have changed. A file that names
        none while it is written leaves the last ones. Raises DiscoveryError if there never were
        any."""
        if not self.is_hosts:
            return False
        try:
            content = files.read(RESOLV_CONF, RESOLV_CONF_BYTES_MAX)
            servers = [] if content == self._content else _servers(content)
        except DiscoveryError:
            content, servers = b"", []
        if not servers:
            if not self._content:
                raise DiscoveryError(f"no name server is configured on this host ({RESOLV_CONF})")
            return False
        self._content = content
        self._asker = self._made([(host, DNS_PORT) for host in servers])
        return True

    def _made(self, servers: list[tuple[str, int]]) -> dns.asyncresolver.Resolver:
        asker = dns.asyncresolver.Resolver(configure=False)
        asker.nameservers = [dns.nameserver.Do53Nameserver(*one) for one in servers[:SERVERS_MAX]]
        asker.cache = None
        asker.lifetime = self._timeout_s
        # A server that does not answer leaves time for the next, and for a second attempt.
        asker.timeout = min(TRY_S, self._timeout_s / (len(servers) + 1))
        return asker

    async def ask(self, name: dns.name.Name, record: str) -> Found:
        """Asks one question. Raises GoneError, or DiscoveryError if no server answers."""
        of = shown(name.to_text(omit_final_dot=True))
        try:
            answer = await self._asker.resolve(name, record, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            response = error.response(name)  # type: ignore[no-untyped-call]
            raise GoneError(
                f"{record} of {of}: the name does not exist", time_to_live(response)
            ) from error
        except (dns.exception.DNSException, OSError, ValueError, EOFError) as error:
            raise DiscoveryError(f"{record} of {of}: {why(error)}") from error
        return Found(tuple(answer.rrset or ()), time_to_live(answer.response), _beside(answer))


def system_servers() -> list[tuple[str, int]]:
    """Returns the name servers of this host; none if it has none, or if they cannot be read."""
    try:
        content = files.read(RESOLV_CONF, RESOLV_CONF_BYTES_MAX)
    except DiscoveryError:
        return []
    return [(host, DNS_PORT) for host in _servers(content)][:SERVERS_MAX]


def _servers(content: bytes) -> list[str]:
    """Returns the addresses in a resolv.conf."""
    lines = (line.split() for line in content.decode(errors="replace").splitlines())
    return [line[1] for line in lines if line[:1] == ["nameserver"] and line[1:] and is_ip(line[1])]


def why(error: Exception) -> str:
    """Describes the failure of each server. A failure has the same text each time, so that it is
    reported once: without milliseconds, and independent of the order of attempts."""
    said: dict[str, str] = {}
    for server, _, _, what, _ in getattr(error, "kwargs", {}).get("errors", ()):
        name = str(server).removeprefix("Do53:").replace("@", " port ")
        if not isinstance(what, dns.exception.Timeout):
            said[name] = f"{name} answered {what}"
        said.setdefault(name, f"{name} did not answer")
    return "; ".join(said[name] for name in sorted(said)) or str(error)


def time_to_live(response: dns.message.QueryMessage) -> float:
    """Returns for how many seconds an answer is valid: the smallest time of the names on its way.
    For an empty answer also the time that its zone gives (RFC 2308), and 0 if the zone gives
    none."""
    chain = response.resolve_chaining()
    times = [rrset.ttl for rrset in chain.cnames]
    if chain.answer is not None:
        return float(min([*times, chain.answer.ttl]))
    zones = [
        min(rrset.ttl, rrset[0].minimum)
        for rrset in response.authority
        if rrset.rdtype == dns.rdatatype.SOA and chain.canonical_name.is_subdomain(rrset.name)
    ]
    return float(min([*times, *zones])) if zones else 0.0


def _beside(answer: dns.resolver.Answer) -> dict[Key, Found]:
    """Returns the additional addresses of an answer."""
    return {
        (rrset.name, rrset.rdtype.name): Found(tuple(rrset), float(rrset.ttl))
        for rrset in answer.response.additional
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
    }
