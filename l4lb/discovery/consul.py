"""Finds backends in Consul: the passing instances of a service, with blocking queries to its HTTP
API.

Each query waits at the agent until something has changed (or its time is over), so a change is
known at once without polling. An agent that answers without waiting is not asked faster: the pool's
rate limit holds.
"""

from __future__ import annotations

import ipaddress
import json
import urllib.parse
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiohttp

from l4lb.config.address import Address, is_ip
from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery import entries, shares, web
from l4lb.discovery.types import MS, REAL_CLOCK, Answer, Clock, DiscoveryError, Member

AGENT = "http://127.0.0.1:8500"
INDEX_DIGITS_MAX = 20  # of an unsigned number of 64 bits


class Consul:
    """Follows one service."""

    def __init__(self, settings: Discovery, _: Clock = REAL_CLOCK) -> None:
        self._settings = settings
        name = urllib.parse.quote(settings.name or "", safe="")
        self._url = f"{(settings.url or AGENT).rstrip('/')}/v1/health/service/{name}"

    async def follow(self, _: Sequence[Member]) -> AsyncGenerator[Answer | DiscoveryError, None]:
        index = 0
        async with web.session() as client:
            while True:
                answer, new = await self._ask(client, index)
                # A smaller index means that the agent has restarted (Consul's documentation says
                # so).
                index = new if new >= index else 0
                yield answer

    async def _ask(self, client: aiohttp.ClientSession, index: int) -> tuple[Answer, int]:
        wait_s = self._settings.interval_ms / MS
        timeout_s = self._settings.timeout_ms / MS
        query = {"passing": "1"} | ({"tag": self._settings.tag} if self._settings.tag else {})
        if index:
            query |= {"index": str(index), "wait": f"{self._settings.interval_ms}ms"}
        word = web.token(self._settings.token_file)
        async with web.request(
            client, "GET", self._url,
            # The agent adds up to a sixteenth of the wait by itself.
            timeout_s=timeout_s + (wait_s * 17 / 16 if index else 0), connect_timeout_s=timeout_s,
            params=query, headers={"X-Consul-Token": word} if word else {},
        ) as answer:  # fmt: skip
            text = await web.body(answer)
            new = answer.headers.get("X-Consul-Index", "")
        if not new.isascii() or not new.isdigit() or len(new) > INDEX_DIGITS_MAX:
            raise DiscoveryError(f"{self._url}: no X-Consul-Index; is that a Consul agent?")
        return instances(text), int(new)


def instances(text: bytes) -> Answer:
    """Returns the members in an answer of /v1/health/service. Instances at one address are one
    backend with the sum of their weights. Raises DiscoveryError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not JSON: {str(error)[:100]}") from error
    if not isinstance(found, list):
        raise DiscoveryError("not the answer of a Consul agent")
    entries.check_count(len(found))
    faults: list[str] = []
    weights: list[tuple[str, int]] = []
    for one in found:
        try:
            weights.append(_instance(one))
        except DiscoveryError as error:
            faults.append(str(error))
    sums = shares.summed(weights)
    return entries.of_entries([entries.found(*one) for one in sums.items()], faults)


def _instance(one: Any) -> tuple[str, int]:
    """Returns the address and weight of an instance."""
    try:
        service = one["Service"]
        host = service["Address"] or one["Node"]["Address"]
        weight = int((service.get("Weights") or {}).get("Passing", 1))
        port = int(service["Port"])
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise DiscoveryError("not an instance as a Consul agent tells of one") from error
    named = f"instance {shown(service.get('ID'))}"
    if not isinstance(host, str) or not is_ip(host):
        raise DiscoveryError(f"{named}: {shown(host)} is no IP address")
    if weight < 0:
        raise DiscoveryError(f"{named}: weight {weight} is less than 0")
    return str(Address(str(ipaddress.ip_address(host)), port)), weight
