"""[pools.NAME.sticky]: sticky sessions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import duration
from l4lb.config.values import common


class Sticky(Model):
    """Sticky sessions: a client keeps the backend of its first session."""

    key: Literal["source_ip", "sni"] = "source_ip"
    """What a client is recognised by. A client that asks for no server name is recognised by its
    address."""
    prefix: common.HashPrefix = Field(default=(32, 128), json_schema_extra={"default": [32, 128]})
    """Number of bits of an IPv4 and of an IPv6 source address that count."""
    ttl_ms: Annotated[int, *duration(bounds.STICKY_TTL_MS)] = Field(
        default=30 * bounds.MINUTE_MS, alias="ttl"
    )
    """How long a client is remembered after its last session."""
