"""[process] and [limits]: the service as a whole."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from l4lb.config import bounds
from l4lb.config.defaults import default_admin_path, default_workers
from l4lb.config.tables.base import Model
from l4lb.config.tables.tls import ProcessTls
from l4lb.config.units import duration, percent, whole
from l4lb.config.values import common, sockets


class Log(Model):
    """The service log and the access log."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important level that is logged."""
    format: Literal["text", "json"] = "text"
    """One line of text, or one JSON object, for each event."""
    access: common.AccessLog = "off"
    """Destination of the access log, which has a line for each session, or with HTTP for each
    request: "off", "stdout", "syslog", "journald", or the path of a file."""
    access_format: Literal["text", "json", "combined", "squid"] | None = None
    """Format of the access log. "combined": HTTP requests as web servers write them; "squid": as
    Squid writes them. Absent: that of `format`."""
    access_errors_only: bool = False
    """Only sessions that did not end well, and requests that were not answered well, have a
    line."""
    access_one_in: Annotated[int, *whole(bounds.ONE_IN)] = 1
    """Of the sessions and requests that ended well, one in this many has a line."""
    access_min_duration_ms: common.AccessDuration = Field(default=0, alias="access_min_duration")
    """Sessions and requests that ended well have a line only if they lasted at least this long."""
    access_open_every_ms: common.AccessDuration = Field(default=0, alias="access_open_every")
    """Interval of additional lines for a session that goes on. 0: no line before its end."""
    query: bool = True
    """Whether lines of HTTP requests have the query, and the query of the referer."""
    mask_client: common.HashPrefix = Field(
        default=(32, 128), json_schema_extra={"default": [32, 128]}
    )
    """Number of bits of an IPv4 and of an IPv6 address of a client that the access log has. With
    [24, 48] no line names one client."""
    syslog: common.SyslogTarget = "unix:/dev/log"
    """Address of the syslog server: unix:/PATH, udp://HOST:PORT or tcp://HOST:PORT."""
    syslog_facility: Literal[
        "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron",
        "authpriv", "ftp", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
        "local7",
    ] = "local0"  # fmt: skip
    """Facility of the access log's messages in syslog."""


class Packet(Model):
    """The packet path: programs in the kernel that turn clients away in front of all listeners, and
    that forward the packets of listeners with data_path = "packet" (docs/packet.md)."""

    interfaces: sockets.Interfaces
    """Network interfaces that clients and the answers of backends come in by."""
    shield: Literal["tc", "xdp", "off"] = "tc"
    """Where clients are turned away whom access lists and blocks refuse by `drop`. "tc": in the
    kernel, before a worker sees them. "xdp": in the kernel, before it has a buffer for the packet.
    "off": by the workers. Needs Linux 6.1, and root (or CAP_BPF and CAP_NET_ADMIN) at the start."""
    dry_run: bool = False
    """The kernel only counts the packets that it would have dropped."""
    max_flows: Annotated[int, *whole(bounds.PACKET_FLOWS)] = 1_000_000
    """Connections and UDP sessions that the kernel forwards at one time. Each takes 272 bytes,
    which are taken at the start."""
    on_stop: Literal["drain", "keep"] = "drain"
    """What happens to the connections that the kernel forwards when the service ends. "drain": they
    have `drain_timeout` to end, and the kernel then forwards no more. "keep": the kernel goes on to
    forward them and new ones, until the next start takes over."""
    pins: sockets.PinFolder = "/sys/fs/bpf/l4lb"
    """Folder in a BPF file system where the kernel's programs and tables are kept, for the next
    start to find them. It is made if it is missing. Each service of the host needs its own."""


class Process(Model):
    """Settings of the service as a whole."""

    workers: common.Workers = Field(
        default_factory=default_workers,
        json_schema_extra={"x-l4lb-default": "the CPUs it may use"},
    )
    """Number of worker processes. Default: one for each CPU that the service may run on, but no
    more than the CPU quota of its control groups allows (rounded up)."""
    admin: common.UnixPath = Field(
        default_factory=default_admin_path,
        json_schema_extra={
            "x-l4lb-default": "`/run/l4lb/admin.sock`, or `$XDG_RUNTIME_DIR/l4lb/admin.sock`"
        },
    )
    """Path of the unix socket of `l4lb admin`."""
    http: common.HostPortText | None = None
    """Address of /metrics, /healthz and the dashboard. Absent: off."""
    http_admin: bool = False
    """Clients that have the token may drain backends, take them out of service and change weights
    over HTTP."""
    http_token_file: common.FilePath | None = None
    """File with the token. Absent: `http.token` beside the admin socket, which is made if it is
    missing."""
    http_hosts: common.HttpHosts | None = None
    """Host names that the dashboard answers to, besides IP addresses, localhost and this host's
    name."""
    user: common.Name | None = None
    """User that the service changes to after it has bound its sockets. The supervisor keeps the
    right to bind low ports. Absent: no change."""
    seccomp: Literal["auto", "on", "off"] = "auto"
    """Whether workers, the checker, the keeper and the policy process may make only the system
    calls on their lists. "auto": if the host has libseccomp. "on": the host must have
    libseccomp."""
    drain_timeout_ms: Annotated[int, *duration(bounds.DRAIN_TIMEOUT_MS)] = Field(
        default=30 * bounds.SECOND_MS, alias="drain_timeout"
    )
    """How long a service that was told to end waits for its sessions to end."""
    hung_worker: Literal["tell", "replace"] = "tell"
    """What happens to a worker that gives no sign of life for 10 s. "tell": it is only reported.
    "replace": it is also killed, with its sessions, and replaced."""
    hash_seed: common.HashSeed | None = None
    """Secret text that the hashes of clients depend on. Load balancers with the same text choose
    the same backends. Absent: a random one at each start. A change takes effect at a restart."""
    log: Log = Log()
    tls: ProcessTls = ProcessTls()
    packet: Packet | None = None
    watch_picks: Annotated[int, *whole(bounds.WATCH_PICKS)] = 64
    """Record one in this many choices of a backend, for `l4lb admin picks`. 0: none."""
    measure: bool = True
    """Keep histograms of sessions, for /metrics and the dashboard."""


class AutoBlock(Model):
    """Blocks sources that are turned away too often, on all listeners, for some time."""

    rejections: common.Failures = 100
    """Number of rejections within `window` after which a source is blocked."""
    window_ms: common.AutoBlockTime = Field(default=10 * bounds.SECOND_MS, alias="window")
    """Time in which rejections are counted."""
    duration_ms: common.AutoBlockTime = Field(default=10 * bounds.MINUTE_MS, alias="duration")
    """How long a source is blocked. A source that goes on is blocked again."""
    refusal: Literal["reject", "drop", "tarpit"] = "drop"
    """How blocked clients are turned away, also those that an operator blocked."""
    dry_run: bool = False
    """Only count and log the sources that would have been blocked."""


class Limits(Model):
    """Limits of the whole process, and the numbers of rows of the shared table."""

    max_connections: Annotated[int, *whole(bounds.MAX_CONNECTIONS)] = 100_000
    """Client connections at one time, over all workers."""
    max_udp_sessions: Annotated[int, *whole(bounds.MAX_UDP_SESSIONS)] = 65_536
    """UDP sessions at one time, over all workers. When another one needs room, the session that has
    been idle for longest ends."""
    udp_descriptors_percent: Annotated[int, *percent(bounds.UDP_DESCRIPTORS_PERCENT)] = Field(
        default=50, alias="udp_descriptors"
    )
    """Share of a worker's file descriptors that UDP sessions may take, one each, if there is a UDP
    listener. The rest is for TCP."""
    shed: Literal["pressure", "limit", "off"] = "pressure"
    """When idle sessions are ended because new clients find no room (load shedding): at a lack of
    file descriptors or memory; also at `max_connections`; or never, and then clients wait in the
    kernel's listen queue. Sessions idle for at least `shed_idle` end, the longest idle first, of
    the source with the most sessions, down to its fair share."""
    shed_idle_ms: Annotated[int, *duration(bounds.SHED_IDLE_MS)] = Field(
        default=30 * bounds.SECOND_MS, alias="shed_idle"
    )
    """How long a session must have moved no byte before it can be ended by `shed`."""
    auto_block: AutoBlock | None = None
    tarpit_time_ms: Annotated[int, *duration(bounds.TARPIT_MS)] = Field(
        default=10 * bounds.SECOND_MS, alias="tarpit_time"
    )
    """How long the refusal `tarpit` keeps a client waiting before it is reset."""
    max_listeners: Annotated[int, *whole(bounds.MAX_LISTENERS)] = 1_024
    """Bound addresses; each port of a range counts. With `[process.packet]` a wide range counts
    once (docs/packet.md)."""
    max_pools: Annotated[int, *whole(bounds.MAX_POOLS)] = 256
    """Pools."""
    max_backends: Annotated[int, *whole(bounds.MAX_BACKENDS)] = 4_096
    """Backends, over all pools."""
    max_sticky: Annotated[int, *whole(bounds.MAX_STICKY)] = 65_536
    """Sticky clients that are remembered, over all pools. When there are more, those that were not
    seen for longest are forgotten."""
