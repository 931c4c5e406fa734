"""The configuration as everyone reads it: frozen, typed, checked.

The names in a file are the aliases, the attributes carry units: the key `idle_timeout = "10m"`
is `pool.idle_timeout_ms == 600_000`. What can be wrong with one value is said here; what can be
wrong between values is in checks.py; what this version cannot do yet is in supported.py. The
text under each field is its documentation: docs/configuration.md and the JSON Schema have it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from l4lb.config import bounds, fields
from l4lb.config.address import Address, Bind, BindRange, HostPort
from l4lb.config.defaults import default_admin_path, default_workers
from l4lb.config.origin import Origin
from l4lb.config.units import wrong
from l4lb.errors import Problem

__all__ = [
    "Address", "Backend", "Bind", "BindRange", "Config", "Health", "HostPort", "Limits",
    "Listener", "Log", "Passive", "Pool", "Process", "Sticky", "default_admin_path",
]  # fmt: skip


class Model(BaseModel):
    """What all tables have in common."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_default=False,
    )


class Log(Model):
    """The service's own log, and the log of sessions."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least important event that is still logged."""
    format: Literal["text", "json"] = "text"
    """One line of text, or one JSON object, an event."""
    access: fields.AccessLog = "off"
    """Where a line for each session goes: "off", "stdout", "syslog", or the path of a file."""


class Process(Model):
    """The service as a whole."""

    workers: fields.Workers = Field(
        default_factory=default_workers,
        json_schema_extra={"x-l4lb-default": "the CPUs it may run on"},
    )
    """Worker processes."""
    admin: fields.UnixPath = Field(
        default_factory=default_admin_path,
        json_schema_extra={
            "x-l4lb-default": "`/run/l4lb/admin.sock`, or `$XDG_RUNTIME_DIR/l4lb/admin.sock`"
        },
    )
    """Path of the unix socket that `l4lb admin` talks to."""
    http: fields.HostPortText | None = None
    """Address of /metrics, /healthz and the dashboard; absent: off."""
    user: fields.Name | None = None
    """The user to become after binding; absent: stay."""
    drain_timeout_ms: fields.DrainTimeout = Field(
        default=30 * bounds.SECOND_MS, alias="drain_timeout"
    )
    """How long a terminated service waits for its sessions to end."""
    log: Log = Log()


class Limits(Model):
    """What is bounded for the whole process, and how many rows the shared table has."""

    max_connections: fields.MaxConnections = 100_000
    """Client connections at one time, over all workers."""
    max_udp_sessions: fields.MaxUdpSessions = 65_536
    """UDP sessions at one time, over all workers."""
    max_listeners: fields.MaxListeners = 1_024
    """Bound addresses, each port of a range counted."""
    max_pools: fields.MaxPools = 256
    """Pools."""
    max_backends: fields.MaxBackends = 4_096
    """Backends, over all pools."""


class Named(Model):
    """A table whose name is its key in the table above it."""

    _name: str = PrivateAttr("")

    @property
    def name(self) -> str:
        """The key of this table: web in [pools.web]."""
        return self._name

    def called(self, name: str) -> None:
        """Only for the configuration that holds this table."""
        self._name = name


class Listener(Named):
    """Addresses that clients connect to, and the pool that serves them."""

    bind_ranges: fields.Binds = Field(alias="bind")
    """Addresses: IPv4:PORT, [IPv6]:PORT, NAME:PORT, a range of ports HOST:FIRST-LAST, or
    unix:/PATH. `*:PORT` and `:PORT` are any IPv4 address; `[::]:PORT` is IPv6 only."""
    protocol: Literal["tcp", "udp"] = "tcp"
    """What is balanced."""
    pool: str
    """Name of the pool that serves this listener."""

    @property
    def bind(self) -> tuple[Bind, ...]:
        """Every address bound, ranges of ports expanded, in the order written."""
        return tuple(one for span in self.bind_ranges for one in span)


class Backend(Model):
    """One server of a pool."""

    address: fields.AddressText
    """Where it listens: HOST:PORT or unix:/PATH. A host name is looked up once, at start."""
    name: fields.Name = Field(
        default_factory=lambda data: str(data.get("address", "")),
        json_schema_extra={"x-l4lb-default": "its address"},
    )
    """Its name, unique in the pool."""
    weight: fields.Weight = 1
    """Its share of new sessions against the others'; 0: gets none."""
    max_connections: fields.Connections = 0
    """Connections to it at one time, over all workers; 0: no limit."""
    backup: bool = False
    """Used only when no other backend of the pool is usable."""

    @property
    def host(self) -> str:
        """IP address or host name; "" of a unix socket."""
        return self.address.host

    @property
    def port(self) -> int:
        """0 of a unix socket."""
        return self.address.port

    @property
    def path(self) -> str:
        """Of a unix socket; else ""."""
        return self.address.path


def _as_backend(value: object) -> object:
    """A backend that is only text is its address."""
    if isinstance(value, str):
        return {"address": value}
    if isinstance(value, (dict, Backend)):
        return value
    raise wrong("must be an address in quotes or a table with one")


class Health(Model):
    """Active checks of a pool's backends; without this table they are not checked: their health
    is unknown and they are used."""

    type: Literal["tcp", "http", "https", "tls", "udp", "dns", "exec"] = "tcp"
    """What is tried: tcp is a connection that is accepted."""
    interval_ms: fields.HealthInterval = Field(default=2 * bounds.SECOND_MS, alias="interval")
    """Between the starts of two checks of a backend."""
    timeout_ms: fields.HealthTimeout = Field(default=1 * bounds.SECOND_MS, alias="timeout")
    """A check that takes longer has failed. It may be longer than the interval: the next check
    then starts when this one ends."""
    rise: fields.Streak = 2
    """Checks passed in a row that make a backend up."""
    fall: fields.Streak = 3
    """Checks failed in a row that make a backend down."""
    jitter_percent: fields.Jitter = Field(default=10, alias="jitter")
    """How much of the interval is random, so that checks do not come all at once."""
    port: fields.Port | None = None
    """The port to check, instead of the backend's own."""
    address: fields.IpText | None = None
    """The IP address to check, instead of the backend's own."""


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


class Sticky(Model):
    """A client goes on meeting the backend it met first."""

    key: Literal["source_ip", "sni"] = "source_ip"
    """What a client is known by."""
    ttl_ms: fields.StickyTtl = Field(default=30 * bounds.MINUTE_MS, alias="ttl")
    """How long after its last session a client is remembered."""


class Pool(Named):
    """Backends that serve the same thing, and how one of them is chosen."""

    balance: Literal[
        "round_robin",
        "least_connections",
        "least_response_time",
        "ip_hash",
        "maglev",
        "random",
        "first",
    ] = "round_robin"
    """How a backend is chosen."""
    hash_key: Literal["source_ip", "source_ip_port", "sni"] = "source_ip"
    """What ip_hash and maglev hash."""
    connect_timeout_ms: fields.ConnectTimeout = Field(
        default=2 * bounds.SECOND_MS, alias="connect_timeout"
    )
    """How long a backend may take to accept a connection."""
    idle_timeout_ms: fields.IdleTimeout = Field(default=10 * bounds.MINUTE_MS, alias="idle_timeout")
    """A session without a byte in either direction for this long ends."""
    half_closed_timeout_ms: fields.HalfClosedTimeout = Field(
        default=5 * bounds.MINUTE_MS, alias="half_closed_timeout"
    )
    """The same once one side has finished sending."""
    retries: fields.Retries = 2
    """Other backends that are tried when one cannot be reached, before any byte was forwarded."""
    when_all_down: Literal["refuse", "try_all"] = "refuse"
    """When no backend is up: refuse clients, or try the backends that are down."""
    source: fields.IpText | None = None
    """The local IP address that connections to backends come from; absent: the kernel chooses."""
    max_connections: fields.Connections = 0
    """Connections to the whole pool at one time, over all workers; 0: no limit."""
    backends: Annotated[
        tuple[
            Annotated[Backend, BeforeValidator(_as_backend, json_schema_input_type=str | Backend)],
            ...,
        ],
        BeforeValidator(fields.as_tuple),
    ]
    """One or more, each an address in quotes or a table."""
    health: Health | None = None
    passive: Passive | None = None
    sticky: Sticky | None = None


class Config(Model):
    """Everything one service is told. Equal when its values are, wherever it came from."""

    process: Process = Field(default_factory=lambda: Process())
    limits: Limits = Limits()
    listeners: Mapping[fields.Name, Listener] = Field(default_factory=dict)
    pools: Mapping[fields.Name, Pool] = Field(default_factory=dict)

    _origin: Origin = PrivateAttr(default_factory=Origin)
    _warnings: tuple[Problem, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _give_names(self) -> Config:
        for tables in (self.listeners, self.pools):
            for name, table in tables.items():
                table.called(name)
        return self

    @property
    def origin(self) -> Origin:
        """Where it came from: turns a path into a file and a line."""
        return self._origin

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What is probably not meant, and is no error."""
        return self._warnings

    def came_from(self, origin: Origin, warnings: tuple[Problem, ...]) -> Config:
        """The same configuration with another origin and other warnings."""
        copy = self.model_copy()
        copy._origin, copy._warnings = origin, warnings  # noqa: SLF001 - of this class
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]
