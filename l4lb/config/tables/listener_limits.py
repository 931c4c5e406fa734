"""[listeners.NAME.limits]: limits of connections, rates, bandwidth and ages."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables import http_route
from l4lb.config.tables.base import Model
from l4lb.config.units import duration, size, whole
from l4lb.config.values import clients, common, http
from l4lb.config.values.http_route import AnswerStatus


class CountLimit(Model):
    """A limit of connections at one time."""

    limit: clients.CountOf
    """Maximum number at one time."""
    refusal: Literal["reject", "drop", "tarpit"] = "reject"
    """How clients above the limit are turned away: see `access.refusal`."""
    dry_run: bool = False
    """Only count the clients that would have been turned away."""


class RateLimit(Model):
    """A rate limit of new connections, by a token bucket."""

    limit: clients.RateOf
    """New connections a second."""
    burst: clients.RateOf | None = None
    """New connections at once, after a quiet time. Absent: as many as `limit`."""
    refusal: Literal["reject", "drop", "tarpit"] = "reject"
    """How clients above the limit are turned away: see `access.refusal`."""
    dry_run: bool = False
    """Only count the clients that would have been turned away."""


class BandwidthLimit(Model):
    """A limit of bytes a second, both directions together."""

    limit: Annotated[int, *size(bounds.BYTES_PER_SECOND)]
    """Bytes a second, both directions together."""
    dry_run: bool = False
    """Only count the sessions that would have been slowed down."""


def _as_limit(value: object) -> object:
    """Turns a bare value into a table with that limit."""
    return value if isinstance(value, (dict, Model)) else {"limit": value}


Count = Annotated[CountLimit, BeforeValidator(_as_limit, json_schema_input_type=int | CountLimit)]
Rate = Annotated[RateLimit, BeforeValidator(_as_limit, json_schema_input_type=int | RateLimit)]
Bandwidth = Annotated[
    BandwidthLimit, BeforeValidator(_as_limit, json_schema_input_type=str | BandwidthLimit)
]


class ErrorLimit(Model):
    """A limit of error answers, by a token bucket."""

    limit: Annotated[int, *whole(bounds.ERRORS)]
    """Error answers in `window`. All of them may come at once."""
    window_ms: Annotated[int, *duration(bounds.ERROR_WINDOW_MS)] = Field(
        default=10 * bounds.SECOND_MS, alias="window"
    )
    """Time for `limit` errors: a source that was refused gets one request through in each
    window / limit, and further ones while their answers are no errors."""
    statuses: http.ErrorStatuses = Field(
        default=("400-499",), json_schema_extra={"default": ["400-499"]}
    )
    """Statuses that count, as numbers and ranges: [401, "403-404"]. Answers of backends and l4lb's
    own count, but for those that this limit refuses."""
    status: AnswerStatus = 429
    """Status of the answer to a request of a source that is refused."""
    dry_run: bool = False
    """Only count the requests that would have been refused."""


Errors = Annotated[ErrorLimit, BeforeValidator(_as_limit, json_schema_input_type=int | ErrorLimit)]


class ListenerLimits(Model):
    """Limits of one listener, exact over all workers. A limit is a bare value or a table with it:
    `20`, or `{ limit = 20, dry_run = true }`."""

    connections: Count | None = None
    """Connections of this listener at one time."""
    rate: Rate | None = None
    """New connections of this listener a second."""
    connections_per_source: Count | None = None
    """Connections of each source at one time."""
    rate_per_source: Rate | None = None
    """New connections of each source a second."""
    bandwidth_per_session: Bandwidth | None = None
    """Bytes of each session a second."""
    bandwidth_per_source: Bandwidth | None = None
    """Bytes a second of all sessions of each source together."""
    requests: http_route.Rate | None = None
    """HTTP: requests of this listener a second."""
    requests_per_source: http_route.Rate | None = None
    """HTTP: requests of each source a second."""
    requests_per_key: http_route.KeyRate | None = None
    """HTTP: requests a second with the same value of a key."""
    errors_per_source: Errors | None = None
    """HTTP: answers to each source that are errors. A source with more of them is refused."""
    source_prefix: common.HashPrefix = (32, 64)
    """Number of bits of an IPv4 and of an IPv6 address that make a source."""
    first_byte_timeout_ms: Annotated[int, *duration(bounds.HANDSHAKE_TIMEOUT_MS)] | None = Field(
        default=None, alias="first_byte_timeout"
    )
    """How long a client may take to send its first byte. Absent: no limit. Not for protocols in
    which the server sends first."""
    max_age_ms: Annotated[int, *duration(bounds.MAX_AGE_MS)] | None = Field(
        default=None, alias="max_age"
    )
    """Maximum age of a session. It then ends when the data accepted by then is delivered. Absent:
    no limit."""
    max_age_jitter_percent: common.Jitter = Field(default=10, alias="max_age_jitter")
    """Random part that is taken off `max_age`, so that not all sessions end at once."""
