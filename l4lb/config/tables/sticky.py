"""[pools.NAME.sticky]: clients that go on meeting one backend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from l4lb.config import bounds, fields
from l4lb.config.tables.base import Model


class Sticky(Model):
    """A client goes on meeting the backend it met first."""

    key: Literal["source_ip", "sni"] = "source_ip"
    """What a client is known by; one that asks for no server name is known by its address."""
    prefix: fields.HashPrefix = Field(default=(32, 128), json_schema_extra={"default": [32, 128]})
    """How many bits of an IPv4 and of an IPv6 source address count."""
    ttl_ms: fields.StickyTtl = Field(default=30 * bounds.MINUTE_MS, alias="ttl")
    """How long after its last session a client is remembered."""
