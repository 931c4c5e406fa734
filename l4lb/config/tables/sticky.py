"""[pools.NAME.sticky]: clients that go on meeting one backend."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from l4lb.config import bounds, fields
from l4lb.config.tables.base import Model


class Sticky(Model):
    """A client goes on meeting the backend it met first."""

    key: Literal["source_ip", "sni"] = "source_ip"
    """What a client is known by."""
    ttl_ms: fields.StickyTtl = Field(default=30 * bounds.MINUTE_MS, alias="ttl")
    """How long after its last session a client is remembered."""
