"""Backends from Consul: the passing instances of a service, by blocking queries of its HTTP API.

Each query waits at the agent until something changed (or its time is over), so a change is known at
once and nothing is polled.
"""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp

from l4lb.config.address import Address, is_ip
from l4lb.config.tables.discovery import Discovery
from l4lb.config.units import shown
from l4lb.discovery import entries, web
from l4lb.discovery.types import MS, DiscoveryError, Member

AGENT = "http://127.0.0.1:8500"


class Consul:
    """Follows one service."""

    def __init__(self, settings: Discovery) -> None:
        self._settings = settings
        name = urllib.parse.quote(settings.name or "", safe="")
        self._url = f"{(settings.url or AGENT).rstrip('/')}/v1/health/service/{name}"

    async def follow(self) -> AsyncGenerator[list[Member], None]:
        index = 0
        async with web.session() as client:
            while True:
                members, new = await self._ask(client, index)
                # An index that falls means that the agent began anew (its documentation says so).
                index = new if new >= index else 0
                yield members

    async def _ask(self, client: aiohttp.ClientSession, index: int) -> tuple[list[Member], int]:
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
        if not new.isascii() or not new.isdigit() or int(new) < 1:
            raise DiscoveryError(f"{self._url}: no X-Consul-Index; is that a Consul agent?")
        return instances(text), int(new)


def instances(text: bytes) -> list[Member]:
    """The members that an answer of /v1/health/service names. Raises DiscoveryError."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DiscoveryError(f"not JSON: {str(error)[:100]}") from error
    if not isinstance(found, list):
        raise DiscoveryError("not the answer of a Consul agent")
    return entries.of_data([_entry(one) for one in found])


def _entry(one: Any) -> dict[str, Any]:
    try:
        service = one["Service"]
        host = service["Address"] or one["Node"]["Address"]
        weight = (service.get("Weights") or {}).get("Passing", 1)
        if not is_ip(host):
            raise DiscoveryError(
                f"instance {shown(service.get('ID'))}: {shown(host)} is no IP address"
            )
        return {
            "address": str(Address(host, service["Port"])),
            "weight": min(int(weight), 256),
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DiscoveryError("not the answer of a Consul agent") from error
