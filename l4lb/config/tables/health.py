"""[pools.NAME.health], [pools.NAME.agent] and [pools.NAME.passive]: what makes a backend up, down
or ejected."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import percent
from l4lb.config.values import common, http
from l4lb.config.values.health import (
    Command,
    DnsName,
    DnsType,
    ExpectText,
    Factor,
    FilePath,
    HeaderText,
    HostName,
    HttpHeaders,
    HttpMethod,
    HttpPath,
    Rcodes,
    RegexText,
    SendText,
    Statuses,
)


class Step(Model):
    """One step of a conversation: text to send, then text that must come."""

    send: SendText | None = None
    """Text to send. "hex:0a0b" for bytes."""
    expect: ExpectText | None = None
    """Text that must come. "hex:0a0b" for bytes, "regex:..." for a regular expression in RE2
    syntax."""


class Health(Model):
    """Active health checks of a pool's backends. Without this table backends are not checked: their
    health is unknown and they are used."""

    type: Literal["tcp", "http", "https", "tls", "udp", "dns", "exec"] = "tcp"
    """Type of the check. tcp: a connection that is accepted, and an optional conversation."""
    interval_ms: common.HealthInterval = Field(default=2 * bounds.SECOND_MS, alias="interval")
    """Time between the starts of two checks of a backend."""
    fast_interval_ms: common.HealthInterval | None = Field(default=None, alias="fast_interval")
    """Interval while the backend's health is not settled: the last result contradicted it, or there
    is none yet. Absent: `interval`."""
    down_interval_ms: common.HealthInterval | None = Field(default=None, alias="down_interval")
    """Interval while the backend is down. Absent: `interval`."""
    timeout_ms: common.HealthTimeout = Field(default=1 * bounds.SECOND_MS, alias="timeout")
    """A check that takes longer has failed. The timeout may be longer than the interval; the next
    check then starts when this one ends."""
    rise: common.Streak = 2
    """Number of checks passed in a row that make a backend up."""
    fall: common.Streak = 3
    """Number of checks failed in a row that make a backend down."""
    initial: Literal["check", "up", "down"] = "check"
    """Health before the first check. up: up. down: down, until `rise` checks have passed. check:
    unknown, and used, until one check has passed or `fall` checks have failed."""
    jitter_percent: common.Jitter = Field(default=10, alias="jitter")
    """Part of the interval that is random, so that checks are spread over time."""
    port: common.Port | None = None
    """Port to check, instead of the backend's own."""
    address: common.IpText | None = None
    """IP address to check, instead of the backend's own."""
    source: common.IpText | None = None
    """Local IP address that checks come from. Absent: the pool's `source`."""
    send_proxy: Literal["off", "v1", "v2"] | None = None
    """PROXY header that a check begins with; it says that the connection has no client (LOCAL).
    Absent: as the pool's `send_proxy`, or its `proxy_protocol_udp` for udp and dns, but off at
    another port or address."""
    send: SendText | None = None
    """tcp, tls, udp: text to send. "hex:0a0b" for bytes."""
    expect: ExpectText | None = None
    """tcp, tls, udp: text that must come. "hex:0a0b" for bytes, "regex:..." for a regular
    expression in RE2 syntax."""
    steps: Annotated[tuple[Step, ...], BeforeValidator(common.as_tuple)] | None = None
    """tcp, tls: several pairs of send and expect, in this order, as tables."""
    reply: Literal["required", "optional"] = "required"
    """udp: whether a reply must come, or only no ICMP error."""
    method: HttpMethod = "GET"
    """http, https: method of the request."""
    path: HttpPath = "/"
    """http, https: path of the request, with its query."""
    host: HeaderText | None = None
    """http, https: the Host header, and the server name if the pool has no `tls` and `sni` is
    absent. Absent: the backend's host name with its port, else its address."""
    headers: HttpHeaders | None = None
    """http, https: further headers of the request, each "Name: value"."""
    status: Statuses = ("200-399",)
    """http, https: statuses that are a pass, numbers or ranges."""
    body: RegexText | None = None
    """http, https: a regular expression (RE2) that must match in the first 64 KiB of the body."""
    sni: HostName | None = None
    """https, tls: server name that is asked for and that the certificate must be valid for. Absent:
    the name that sessions of a pool with `tls` ask each backend for, but not at another port or
    address."""
    verify: bool | None = None
    """https, tls: whether the certificate must be valid. Absent: as the pool's `tls` says, but not
    at another port or address; else it must be."""
    ca: FilePath | None = None
    """https, tls: file with the trusted authorities. Absent: that of the pool's `tls`, but not at
    another port or address; else the system's."""
    query: DnsName = "."
    """dns: the name that is asked for."""
    record: DnsType = "NS"
    """dns: the record type that is asked for."""
    rcode: Rcodes = ("NOERROR",)
    """dns: answer codes that are a pass."""
    command: Command | None = None
    """exec: the program and its arguments, run without a shell. Exit status 0 is a pass."""


class Agent(Model):
    """Agent checks, as HAProxy's agent-check: each backend's host is asked for its state. Without
    this table no agent is asked."""

    port: common.Port
    """Port of the agent, at each backend's address."""
    interval_ms: common.HealthInterval = Field(default=2 * bounds.SECOND_MS, alias="interval")
    """Time between two questions to the agent."""
    timeout_ms: common.HealthTimeout = Field(default=1 * bounds.SECOND_MS, alias="timeout")
    """An answer that takes longer is ignored."""
    send: SendText | None = None
    """Text that is sent to the agent first. "hex:0a0b" for bytes."""


class Slow(Model):
    """Backends that are much slower than the others lose weight. They are not ejected."""

    factor: Factor
    """A backend is slow if its response time is more than this many times the median of the other
    backends."""


class Passive(Model):
    """Passive health checks (outlier detection): failures of clients' own sessions eject a
    backend."""

    failures: common.Failures = 5
    """Number of failures in a row that eject a backend."""
    eject_ms: common.Eject = Field(default=10 * bounds.SECOND_MS, alias="eject")
    """Duration of the first ejection. It doubles with each further ejection."""
    max_eject_ms: common.Eject = Field(default=5 * bounds.MINUTE_MS, alias="max_eject")
    """Longest duration of an ejection."""
    max_ejected_percent: Annotated[int, *percent(bounds.MAX_EJECTED_PERCENT)] = Field(
        default=50, alias="max_ejected"
    )
    """Part of the pool's backends that may be ejected at one time."""
    reset_sources: Literal["several", "any"] = "several"
    """Which early resets count. "several": a reset of a session whose client had sent something
    counts only if the previous reset was of another source, so that no client ejects a backend
    alone. "any": every reset."""
    statuses: http.Statuses = ()
    """Statuses of answers (500 to 563) that count as failures, as an early reset does. Only for
    pools of HTTP listeners."""
    slow: Slow | None = None
