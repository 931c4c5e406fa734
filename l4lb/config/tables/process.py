"""[process] and [limits]: the service as a whole."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from l4lb.config import bounds, fields
from l4lb.config.defaults import default_admin_path, default_workers
from l4lb.config.tables.base import Model
from l4lb.config.tables.tls import ProcessTls


class Log(Model):
    """The service's own log, and the log of sessions."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important event that is still logged."""
    format: Literal["text", "json"] = "text"
    """One line of text, or one JSON object, an event."""
    access: fields.AccessLog = "off"
    """Where a line for each session goes: "off", "stdout", "syslog", "journald", or the path of a \
file."""
    access_format: Literal["text", "json"] | None = None
    """The form of those lines; absent: as `format`."""
    access_errors_only: bool = False
    """Only sessions that did not end well have a line."""
    access_one_in: fields.OneIn = 1
    """Of sessions that ended well, one in so many has a line."""
    access_min_duration_ms: fields.AccessDuration = Field(default=0, alias="access_min_duration")
    """Sessions that ended well have a line if they took so long."""
    access_open_every_ms: fields.AccessDuration = Field(default=0, alias="access_open_every")
    """A session that goes on has a line so often; 0: none before its end."""
    syslog: fields.SyslogTarget = "unix:/dev/log"
    """Where syslog listens: unix:/PATH, udp://HOST:PORT or tcp://HOST:PORT."""
    syslog_facility: Literal[
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
        "local7",
    ] = "local0"  # fmt: skip
    """The facility of those lines in syslog."""


class Process(Model):
    """The service as a whole."""

    workers: fields.Workers = Field(
        default_factory=default_workers,
        json_schema_extra={"x-l4lb-default": "the CPUs it may use"},
    )
    """Worker processes. Without it one for each CPU that it may run on and that a CPU quota of its
    control groups leaves it, rounded up."""
    admin: fields.UnixPath = Field(
        default_factory=default_admin_path,
        json_schema_extra={
            "x-l4lb-default": "`/run/l4lb/admin.sock`, or `$XDG_RUNTIME_DIR/l4lb/admin.sock`"
        },
    )
    """Path of the unix socket that `l4lb admin` talks to."""
    http: fields.HostPortText | None = None
    """Address of /metrics, /healthz and the dashboard; absent: off."""
    http_admin: bool = False
    """Whoever brings the token may drain backends and change weights from the dashboard."""
    http_token_file: fields.FilePath | None = None
    """File with that token; absent: `http.token` beside the admin socket, made if need be."""
    http_hosts: fields.HttpHosts | None = None
    """Names under which the dashboard may be asked for, besides IP addresses, localhost and this \
host's name."""
    user: fields.Name | None = None
    """The user to become after binding, with one right left: to bind low ports. Absent: stay."""
    seccomp: Literal["auto", "on", "off"] = "auto"
    """Workers and the checker may make no other system calls than theirs: if the host has
    libseccomp; on: it must have it."""
    drain_timeout_ms: fields.DrainTimeout = Field(
        default=30 * bounds.SECOND_MS, alias="drain_timeout"
    )
    """How long a terminated service waits for its sessions to end."""
    hung_worker: Literal["tell", "replace"] = "tell"
    """What happens to a worker that gives no sign of life for 10 s, besides that it is told: \
"replace": it is killed, with its sessions, and another takes its place."""
    hash_seed: fields.HashSeed | None = None
    """Secret text from which clients are hashed: balancers that share it choose alike. Absent: a
    random one at each start. It can only change by a restart."""
    log: Log = Log()
    tls: ProcessTls = ProcessTls()
    watch_picks: fields.WatchPicks = 64
    """Of the choices of a backend one in so many is kept, for `l4lb admin picks`; 0: none."""
    measure: bool = True
    """Keep histograms of sessions, for /metrics and the dashboard."""


class AutoBlock(Model):
    """Sources that are turned away too often are blocked on all listeners for a while."""

    rejections: fields.Failures = 100
    """How often within `window`."""
    window_ms: fields.AutoBlockTime = Field(default=10 * bounds.SECOND_MS, alias="window")
    """The time in which they are counted."""
    duration_ms: fields.AutoBlockTime = Field(default=10 * bounds.MINUTE_MS, alias="duration")
    """How long a source is blocked; as long as it goes on it is blocked again."""
    refusal: Literal["reject", "drop", "tarpit"] = "drop"
    """How blocked clients are turned away, also those that an operator blocked."""
    dry_run: bool = False
    """Only count, and log, whom it would have blocked."""


class Limits(Model):
    """What is bounded for the whole process, and how many rows the shared table has."""

    max_connections: fields.MaxConnections = 100_000
    """Client connections at one time, over all workers."""
    max_udp_sessions: fields.MaxUdpSessions = 65_536
    """UDP sessions at one time, over all workers; when another one needs room, the one idle longest
    ends."""
    udp_descriptors_percent: fields.UdpDescriptors = Field(default=50, alias="udp_descriptors")
    """How many of a worker's descriptors UDP sessions may take, one each, where there is a UDP
    listener; the rest is for TCP."""
    shed: Literal["pressure", "limit", "off"] = "pressure"
    """When sessions idle for `shed_idle` make room for clients that find none, longest first, of
    the source that holds most, down to its fair share: for want of descriptors or memory; also at
    `max_connections`; or never, then clients wait in the kernel's queue."""
    shed_idle_ms: fields.ShedIdle = Field(default=30 * bounds.SECOND_MS, alias="shed_idle")
    """How long a session must have moved no byte for that."""
    auto_block: AutoBlock | None = None
    tarpit_time_ms: fields.TarpitTime = Field(default=10 * bounds.SECOND_MS, alias="tarpit_time")
    """How long a refusal by `tarpit` keeps a client waiting before it is reset."""
    max_listeners: fields.MaxListeners = 1_024
    """Bound addresses, each port of a range counted."""
    max_pools: fields.MaxPools = 256
    """Pools."""
    max_backends: fields.MaxBackends = 4_096
    """Backends, over all pools."""
    max_sticky: fields.MaxSticky = 65_536
    """Sticky clients that are remembered, over all pools; more displace those not seen for long."""
