"""Backends from DNS: A, AAAA or SRV records, looked up again when their time is over.

The lowest SRV priority serves; higher ones are backups. SRV weights are scaled to a backend's. A
name that does not exist and a server that does not answer are faults; an empty answer is an answer.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from l4lb.config.address import Address
from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery.entries import distinct
from l4lb.discovery.types import MEMBERS_MAX, MS, DiscoveryError, Member

WEIGHT_MAX = 256
JITTER = 0.1  # of a time to live, so that pools do not ask all at once
ADDRESSES = ("A", "AAAA")


class Dns:
    """Follows one name."""

    def __init__(self, settings: Discovery) -> None:
        self._settings = settings
        self._name = settings.name or ""
        wants_srv = settings.record == "srv" or (
            settings.record == "auto" and self._name.startswith("_")
        )
        self._records = ("SRV",) if wants_srv else _address_records(settings.record)

    async def follow(self) -> AsyncGenerator[list[Member], None]:
        resolver = self._resolver()
        while True:
            members, ttl_s = await self._look(resolver)
            yield members
            least, most = self._settings.min_ttl_ms / MS, self._settings.max_ttl_ms / MS
            wait_s = min(max(ttl_s, least), most)
            await asyncio.sleep(wait_s * (1 + JITTER * random.random()))

    def _resolver(self) -> dns.asyncresolver.Resolver:
        servers = self._settings.servers
        try:
            resolver = dns.asyncresolver.Resolver(configure=servers is None)
        except dns.exception.DNSException as error:
            raise DiscoveryError(f"no name server is configured on this host: {error}") from error
        if servers is not None:
            resolver.nameservers = [one.host for one in servers]
            resolver.nameserver_ports = {one.host: one.port for one in servers}
        resolver.cache = None
        resolver.lifetime = self._settings.timeout_ms / MS
        return resolver

    async def _look(self, resolver: dns.asyncresolver.Resolver) -> tuple[list[Member], float]:
        """The members now, and for how many seconds that is good."""
        if self._records == ("SRV",):
            return await self._services(resolver)
        assert self._settings.port is not None
        found, ttl_s = await self._addresses(resolver, self._name, self._records)
        port = self._settings.port
        return distinct([Member(str(Address(host, port))) for host in found]), ttl_s

    async def _addresses(
        self, resolver: dns.asyncresolver.Resolver, name: str, records: tuple[str, ...]
    ) -> tuple[list[str], float]:
        answers = [await self._ask(resolver, name, record) for record in records]
        hosts = [str(one.address) for answer in answers for one in answer.rrset or ()]
        return hosts, min(_ttl_s(answer) for answer in answers)

    async def _services(self, resolver: dns.asyncresolver.Resolver) -> tuple[list[Member], float]:
        answer = await self._ask(resolver, self._name, "SRV")
        records = sorted(answer.rrset or (), key=lambda one: (one.priority, str(one.target)))
        if len(records) > MEMBERS_MAX:
            raise DiscoveryError(f"{len(records)} records; at most {MEMBERS_MAX} are taken")
        if len(records) == 1 and records[0].target == dns.name.root:
            return [], _ttl_s(answer)  # RFC 2782: decidedly not available
        ttl_s = _ttl_s(answer)
        members: list[Member] = []
        top = max((one.weight for one in records), default=0)
        additional = _additional(answer)
        for one in records:
            target = one.target.to_text(omit_final_dot=True)
            hosts = additional.get(target)
            if hosts is None:
                hosts, good_s = await self._addresses(resolver, target, ADDRESSES)
                ttl_s = min(ttl_s, good_s)
            members += (
                Member(
                    str(Address(host, one.port)),
                    weight=_weight(one.weight, top),
                    backup=one.priority > records[0].priority,
                )
                for host in hosts
            )
        return _strongest(members), ttl_s

    async def _ask(
        self, resolver: dns.asyncresolver.Resolver, name: str, record: str
    ) -> dns.resolver.Answer:
        try:
            return await resolver.resolve(name, record, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN as error:
            raise DiscoveryError(f"{shown(name)} does not exist") from error
        except (dns.exception.DNSException, OSError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DiscoveryError(f"{record} of {shown(name)}: {reason}") from error


def _address_records(record: str) -> tuple[str, ...]:
    return ADDRESSES if record == "auto" else (record.upper(),)


def _ttl_s(answer: dns.resolver.Answer) -> float:
    """How long an answer is good; an empty one as long as its zone says, or not at all."""
    if answer.rrset is not None:
        return float(answer.rrset.ttl)
    return float(getattr(answer.chaining_result, "minimum_ttl", 0) or 0)


def _additional(answer: dns.resolver.Answer) -> dict[str, list[str]]:
    """The addresses that came along with an SRV answer."""
    found: dict[str, list[str]] = {}
    for rrset in answer.response.additional:
        if rrset.rdtype in (1, 28):  # A, AAAA
            name = rrset.name.to_text(omit_final_dot=True)
            found.setdefault(name, []).extend(str(one.address) for one in rrset)
    return found


def _weight(weight: int, top: int) -> int:
    """An SRV weight (0 to 65,535) as a backend's, against the greatest; none is shut out."""
    if top == 0:
        return 1
    return max(1, weight if top <= WEIGHT_MAX else weight * WEIGHT_MAX // top)


def _strongest(members: list[Member]) -> list[Member]:
    """Each address once: a record that serves before one that is only a backup, then by weight."""
    ordered = sorted(members, key=lambda one: (one.backup, -one.weight))
    known: dict[str, Member] = {}
    for one in ordered:
        known.setdefault(one.address, one)
    return distinct(list(known.values()))
