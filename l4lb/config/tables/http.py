"""[listeners.NAME.http] and [pools.NAME.http]: HTTP on both sides."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.tables.icap import Inspections
from l4lb.config.tables.record import RecordRules
from l4lb.config.units import duration, percent, size, whole
from l4lb.config.values import caches, clients, http

HIDDEN = ("Server", "X-Powered-By", "X-AspNet-Version", "Via")


class Http2(Model):
    """HTTP/2 with the clients of a listener."""

    streams: Annotated[int, *whole(bounds.HTTP2_STREAMS)] = 100
    """Requests that a client may have in progress at one time on one connection. 0: HTTP/2 is not
    spoken."""
    window: Annotated[int, *size(bounds.HTTP2_WINDOW_BYTES)] = 256 << 10
    """Bytes of a request's body that a client may send before its backend has taken them. A
    connection has four times as many for all of its requests."""


class ListenerHttp(Model):
    """How a listener with protocol = "http" takes requests, and what it changes in them and in
    their answers."""

    head_timeout_ms: Annotated[int, *duration(bounds.HTTP_HEAD_TIMEOUT_MS)] = Field(
        default=10 * bounds.SECOND_MS, alias="head_timeout"
    )
    """How long a client may take for the whole head of a request, from its first byte. A slower
    client gets the status 408."""
    rest_timeout_ms: Annotated[int, *duration(bounds.HTTP_REST_TIMEOUT_MS)] = Field(
        default=60 * bounds.SECOND_MS, alias="rest_timeout"
    )
    """How long a client's connection is kept between two requests (keep-alive)."""
    max_head: Annotated[int, *size(bounds.HTTP_HEAD_BYTES)] = 32 << 10
    """Bytes of a head. A larger head of a request gets the status 431, and one of an answer 502."""
    max_fields: Annotated[int, *whole(bounds.HTTP_FIELDS)] = 100
    """Header fields of a request (431) and of an answer (502)."""
    max_target: Annotated[int, *size(bounds.HTTP_TARGET_BYTES)] = 8 << 10
    """Bytes of the path and the query of a request. A longer one gets the status 414."""
    max_body: Annotated[int, *size(bounds.HTTP_BODY_BYTES)] = 1 << 20
    """Bytes of the body of a request. A larger one gets the status 413. "0B": no limit."""
    body_rate_min: Annotated[int, *size(bounds.HTTP_BODY_RATE)] = 240
    """Bytes a second of a body that must come, measured over `head_timeout` while its client alone
    is waited for. A slower client gets the status 408. "0B": any rate."""
    max_requests: Annotated[int, *whole(bounds.HTTP_REQUESTS)] = 1_000
    """Requests of one connection; the last answer closes it. 0: no limit."""
    forwarded_given: Literal["append", "replace", "off", "rfc7239"] | None = Field(
        default=None,
        alias="forwarded",
        json_schema_extra={"x-l4lb-default": '`"append"`, of an anonymous forward proxy `"off"`'},
    )
    """What backends are told of the client. "append": X-Forwarded-For, X-Forwarded-Proto and
    X-Forwarded-Host, after what a proxy in `trusted` said. "replace": the same, without what came,
    and the client is the request's. "rfc7239": the field Forwarded, after what a proxy in `trusted`
    said. "off": nothing."""
    trusted: clients.ManyNetworks = ()
    """Networks of the proxies whose X-Forwarded-* and Forwarded fields are believed. Those of all
    other clients are dropped. A request of such a proxy counts, wherever its source does, as one of
    the rightmost address that is in none of these networks."""
    request_id: http.FieldOrOff = "X-Request-Id"
    """Name of the field with an identifier of the request, which backends, clients and the access
    log get. A proxy in `trusted` may give it. "off": there is none."""
    via: http.ProxyName = "off"
    """Name of this proxy in the field Via, in requests and answers. "off": the field is not
    written."""
    underscores: Literal["drop", "pass", "refuse"] = "drop"
    """What is done with fields of a request that have an underscore in their name, which many
    servers take for a hyphen. "refuse": the request gets the status 400."""
    merge_slashes: bool = True
    """"//" in a path counts as one "/" when a path is compared. The backend gets the path as it
    came."""
    http2: Http2 = Http2()
    """HTTP/2: what a client may do on one connection. Clients with TLS agree on it (ALPN), others
    begin with its preface."""
    cache: caches.CacheOrOff = "off"
    """Name of the cache for requests that no route takes, and for those of routes that name no
    cache. "off": answers are not kept."""
    inspect: Inspections = ()
    """Rules that have an engine inspect requests and answers (docs/inspect.md). The first rule
    whose conditions hold decides, for requests and for answers each."""
    record: RecordRules = ()
    """Rules that have requests and their answers kept in a folder (docs/record.md). The first rule
    whose conditions hold decides."""
    hide: http.FieldNames = Field(default=HIDDEN, json_schema_extra={"default": list(HIDDEN)})
    """Fields that are taken out of answers, so that clients do not learn what servers there are."""
    errors: http.Folder | None = None
    """Folder with pages for answers that l4lb makes itself: 502.html for the status 502, and so on.
    Read at start and at each reload. Absent: one line of text."""
    proxy_status: bool = False
    """Answers that l4lb makes itself say which error it met, in the field Proxy-Status (RFC 9209).
    They also tell clients that there is a proxy."""
    https_redirect: bool = False
    """Send every client to the same URL with https:// (status 301 for GET and HEAD, else 308)."""
    hsts_ms: Annotated[int, *duration(bounds.HSTS_MS)] | None = Field(default=None, alias="hsts")
    """How long browsers are told to use https:// only (the field Strict-Transport-Security, RFC
    6797). Absent: the field is not written."""


class PoolHttp(Model):
    """How requests of listeners with protocol = "http" go to the backends of a pool."""

    reuse: Literal["safe", "always", "never"] = "safe"
    """Which requests may use a connection that is idle. "safe": all but the first request of a
    client's connection if its method is not idempotent, because the backend may be closing the idle
    connection. "never": each request has a new connection."""
    idle_connections: Annotated[int, *whole(bounds.IDLE_CONNECTIONS)] = 64
    """Idle connections that each worker keeps to each backend."""
    idle_timeout_ms: Annotated[int, *duration(bounds.HTTP_REST_TIMEOUT_MS)] = Field(
        default=30 * bounds.SECOND_MS, alias="idle_timeout"
    )
    """How long an idle connection is kept. Shorter than the backends' own keep-alive timeout is
    best."""
    max_requests: Annotated[int, *whole(bounds.HTTP_REQUESTS)] = 10_000
    """Requests of one connection to a backend. 0: no limit."""
    answer_timeout_ms: Annotated[int, *duration(bounds.ANSWER_TIMEOUT_MS)] = Field(
        default=60 * bounds.SECOND_MS, alias="answer_timeout"
    )
    """How long a backend may take from the end of a request to the head of its answer. After that
    the client gets the status 504."""
    retry_on: http.RetryOn = Field(
        default=("connect", "reuse"), json_schema_extra={"default": ["connect", "reuse"]}
    )
    """Faults after which a request is sent again, before any byte of an answer went to the client:
    "connect" (the backend could not be reached), "reuse" (a connection that was idle ended before
    its answer), "reset" (a new connection ended before its answer), "timeout" (`answer_timeout`),
    and the statuses "502", "503" and "504". Requests whose method is not idempotent are sent again
    after "connect" only, and after "reuse" if no byte of them was sent."""
    retry_budget_percent: Annotated[int, *percent(bounds.RETRY_BUDGET_PERCENT)] = Field(
        default=20, alias="retry_budget"
    )
    """Retries on other backends as a part of the pool's requests, over all workers; a pool begins
    with ten. Beyond it a request is not sent again, but after "connect"."""
    retry_body: Annotated[int, *size(bounds.RETRY_BODY_BYTES)] = 64 << 10
    """Bytes of a request's body that are kept to send it again. "0B": requests with a body are not
    sent again once a byte of it was sent."""
    host: http.HostText = "keep"
    """The Host field that backends get. "keep": the client's. "backend": the backend's name, which
    is its address as written unless it has another. Any other text: that host."""
