"""[listeners.NAME.limits]: how many clients, how often, how fast and for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import edge_fields, fields
from l4lb.config.tables.base import Model


class CountLimit(Model):
    """A limit of connections at one time."""

    limit: edge_fields.CountOf
    """How many at most."""
    refusal: Literal["reject", "drop", "tarpit"] = "reject"
    """How more are turned away: see `access.refusal`."""
    dry_run: bool = False
    """Only count whom it would have turned away."""


class RateLimit(Model):
    """A limit of new connections, kept by a token bucket."""

    limit: edge_fields.RateOf
    """How many a second."""
    burst: edge_fields.RateOf | None = None
    """How many at once, after a quiet time; absent: as many as in a second."""
    refusal: Literal["reject", "drop", "tarpit"] = "reject"
    """How more are turned away: see `access.refusal`."""
    dry_run: bool = False
    """Only count whom it would have turned away."""


class BandwidthLimit(Model):
    """A limit of bytes, both directions together."""

    limit: edge_fields.BandwidthOf
    """How many a second."""
    dry_run: bool = False
    """Only count the sessions it would have slowed down."""


def _as_limit(value: object) -> object:
    """What is no table is the limit itself."""
    return value if isinstance(value, (dict, Model)) else {"limit": value}


Count = Annotated[CountLimit, BeforeValidator(_as_limit, json_schema_input_type=int | CountLimit)]
Rate = Annotated[RateLimit, BeforeValidator(_as_limit, json_schema_input_type=int | RateLimit)]
Bandwidth = Annotated[
    BandwidthLimit, BeforeValidator(_as_limit, json_schema_input_type=str | BandwidthLimit)
]


class ListenerLimits(Model):
    """Exact over all workers. A limit is a bare value or a table with it: `20`, or
    `{ limit = 20, dry_run = true }`."""

    connections: Count | None = None
    """Connections of this listener at one time."""
    rate: Rate | None = None
    """New connections of this listener a second."""
    connections_per_source: Count | None = None
    """The same of each source."""
    rate_per_source: Rate | None = None
    """The same of each source."""
    bandwidth_per_session: Bandwidth | None = None
    """Bytes of each session a second."""
    bandwidth_per_source: Bandwidth | None = None
    """Bytes of each source's sessions together a second."""
    source_prefix: fields.HashPrefix = (32, 64)
    """How many bits of an IPv4 and of an IPv6 address make a source."""
    first_byte_timeout_ms: edge_fields.FirstByteTimeout | None = Field(
        default=None, alias="first_byte_timeout"
    )
    """How long a client may take to say its first byte; absent: as long as it likes. Not for
    protocols in which clients only listen."""
    max_age_ms: edge_fields.MaxAge | None = Field(default=None, alias="max_age")
    """How old a session becomes before it is ended, once what was accepted by then is delivered;
    absent: there is no limit."""
    max_age_jitter_percent: fields.Jitter = Field(default=10, alias="max_age_jitter")
    """Up to how much of max_age is taken off, by chance, so that not all end at once."""
