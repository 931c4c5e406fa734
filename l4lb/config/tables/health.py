"""[pools.NAME.health], [pools.NAME.agent] and [pools.NAME.passive]: what makes a backend up, down
or ejected."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds, fields, health_fields
from l4lb.config.tables.base import Model


class Step(Model):
    """One step of a conversation: what is sent, then what must come."""

    send: health_fields.SendText | None = None
    """Text; "hex:0a0b" for bytes."""
    expect: health_fields.ExpectText | None = None
    """Text that must come; "hex:0a0b", or "regex:..." in RE2 syntax."""


class Health(Model):
    """Active checks of a pool's backends; without this table they are not checked: their health
    is unknown and they are used."""

    type: Literal["tcp", "http", "https", "tls", "udp", "dns", "exec"] = "tcp"
    """What is tried: tcp is a connection that is accepted, and perhaps a conversation."""
    interval_ms: fields.HealthInterval = Field(default=2 * bounds.SECOND_MS, alias="interval")
    """Between the starts of two checks of a backend."""
    fast_interval_ms: fields.HealthInterval | None = Field(default=None, alias="fast_interval")
    """The same while its health is not settled: the last result was against it, or there is none;
    absent: interval."""
    down_interval_ms: fields.HealthInterval | None = Field(default=None, alias="down_interval")
    """The same while it is down; absent: interval."""
    timeout_ms: fields.HealthTimeout = Field(default=1 * bounds.SECOND_MS, alias="timeout")
    """A check that takes longer has failed. It may be longer than the interval: the next check
    then starts when this one ends."""
    rise: fields.Streak = 2
    """Checks passed in a row that make a backend up."""
    fall: fields.Streak = 3
    """Checks failed in a row that make a backend down."""
    initial: Literal["check", "up", "down"] = "check"
    """Health before the first check: up; down, until rise checks have passed; or check: unknown,
    and used, until one check has passed or fall have failed."""
    jitter_percent: fields.Jitter = Field(default=10, alias="jitter")
    """How much of the interval is random, so that checks do not come all at once."""
    port: fields.Port | None = None
    """The port to check, instead of the backend's own."""
    address: fields.IpText | None = None
    """The IP address to check, instead of the backend's own."""
    source: fields.IpText | None = None
    """The local IP address that checks come from; absent: the pool's source."""
    send_proxy: Literal["off", "v1", "v2"] | None = None
    """Begin with a PROXY header that says that no client is behind it (LOCAL); absent: as the
    pool's send_proxy, or proxy_protocol_udp for udp and dns, but off at another port or address."""
    send: health_fields.SendText | None = None
    """tcp, tls, udp: what is sent. Text; "hex:0a0b" for bytes."""
    expect: health_fields.ExpectText | None = None
    """tcp, tls, udp: what must come. Text; "hex:0a0b", or "regex:..." in RE2 syntax."""
    steps: Annotated[tuple[Step, ...], BeforeValidator(fields.as_tuple)] | None = None
    """tcp, tls: several of send and expect, one after the other, as tables."""
    reply: Literal["required", "optional"] = "required"
    """udp: must a reply come, or only no ICMP error?"""
    method: health_fields.HttpMethod = "GET"
    """http, https: of the request."""
    path: health_fields.HttpPath = "/"
    """http, https: of the request, with its query."""
    host: health_fields.HeaderText | None = None
    """http, https: the Host header, and sni where the pool has no tls and sni is absent; absent:
    the backend's host name with its port, else its address."""
    headers: health_fields.HttpHeaders | None = None
    """http, https: further headers of the request, each "Name: value"."""
    status: health_fields.Statuses = ("200-399",)
    """http, https: the statuses that are a pass, numbers or ranges."""
    body: health_fields.RegexText | None = None
    """http, https: a regular expression (RE2) that must match in the first 64 KiB of the body."""
    sni: health_fields.HostName | None = None
    """https, tls: the name that is asked for and that the certificate must be for; absent: what the
    sessions of a pool with tls ask each backend for, but not at another port or address."""
    verify: bool | None = None
    """https, tls: must the certificate be valid? Absent: as the pool's tls says, but not at another
    port or address; else it must."""
    ca: health_fields.FilePath | None = None
    """https, tls: a file of the authorities that are trusted; absent: that of the pool's tls, but
    not at another port or address; else the system's."""
    query: health_fields.DnsName = "."
    """dns: the name that is asked for."""
    record: health_fields.DnsType = "NS"
    """dns: the type that is asked for."""
    rcode: health_fields.Rcodes = ("NOERROR",)
    """dns: the answers that are a pass."""
    command: health_fields.Command | None = None
    """exec: the program and its arguments; no shell. Exit status 0 is a pass."""


class Agent(Model):
    """A backend's own agent is asked how it is, as HAProxy's agent-check does; without this table
    none is."""

    port: fields.Port
    """The agent's port, at each backend's address."""
    interval_ms: fields.HealthInterval = Field(default=2 * bounds.SECOND_MS, alias="interval")
    """Between two questions."""
    timeout_ms: fields.HealthTimeout = Field(default=1 * bounds.SECOND_MS, alias="timeout")
    """An agent that takes longer has said nothing."""
    send: health_fields.SendText | None = None
    """What is sent first. Text; "hex:0a0b" for bytes."""


class Slow(Model):
    """Backends that answer much later than the others lose weight instead of being ejected."""

    factor: health_fields.Factor
    """How many times the median of the others' answer time is too slow."""


class Passive(Model):
    """What clients' own connections tell about a backend."""

    failures: fields.Failures = 5
    """Failures in a row that eject a backend."""
    eject_ms: fields.Eject = Field(default=10 * bounds.SECOND_MS, alias="eject")
    """How long, the first time; it doubles each time after."""
    max_eject_ms: fields.Eject = Field(default=5 * bounds.MINUTE_MS, alias="max_eject")
    """How long at most."""
    max_ejected_percent: fields.MaxEjected = Field(default=50, alias="max_ejected")
    """How much of the pool may be ejected at one time."""
    reset_sources: Literal["several", "any"] = "several"
    """Whose sessions, reset before a byte, count: "several": where the client had sent \
something, only if another source saw the reset before it: no client ejects a backend alone."""
    slow: Slow | None = None
