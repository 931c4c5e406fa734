"""[pools.NAME.discovery]: sources of backends that are not in the file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds
from l4lb.config.tables.base import Model
from l4lb.config.units import duration, percent
from l4lb.config.values import common

# Which keys each type needs, and which others it reads; keys outside of both are errors.
NEEDS: dict[str, tuple[str, ...]] = {
    "dns": ("name",),
    "file": ("path",),
    "exec": ("command",),
    "http": ("url",),
    "consul": ("name",),
    "etcd": ("prefix",),
}
READS: dict[str, tuple[str, ...]] = {
    "dns": ("record", "port", "servers", "min_ttl", "max_ttl"),
    "file": (),
    "exec": (),
    "http": ("token_file",),
    "consul": ("url", "token_file", "tag"),
    "etcd": ("url", "token_file"),
}


class Discovery(Model):
    """A source of backends that is followed while the service runs. What it finds is added to the
    pool's own backends."""

    type: Literal["dns", "file", "exec", "http", "consul", "etcd"]
    """Kind of the source of backends."""
    name: common.DiscoveryText | None = None
    """dns: the name to look up. consul: the service."""
    record: Literal["auto", "a", "aaaa", "srv"] = "auto"
    """dns: the record type to look up. auto: SRV if the name begins with "_", else A and AAAA."""
    port: common.Port | None = None
    """dns: the port of the backends, needed for A and AAAA. SRV records contain the port."""
    servers: Annotated[tuple[common.NameServer, ...], BeforeValidator(common.as_tuple)] | None = (
        None
    )
    """dns: the name servers, IP:PORT. Absent: those of the host."""
    min_ttl_ms: common.Ttl = Field(default=1 * bounds.SECOND_MS, alias="min_ttl")
    """dns: the shortest time that an answer is used, whatever its time to live."""
    max_ttl_ms: common.Ttl = Field(default=5 * bounds.MINUTE_MS, alias="max_ttl")
    """dns: the longest time that an answer is used, whatever its time to live."""
    path: common.FilePath | None = None
    """file: a JSON or TOML file (.toml) with a list of backends. The file is watched."""
    command: Annotated[tuple[str, ...], BeforeValidator(common.as_tuple)] | None = None
    """exec: a program and its arguments. Each line that it prints is a JSON list of all backends.
    When the program ends it is started again."""
    url: common.Url | None = None
    """http: the URL of a JSON list of backends. consul, etcd: the URL of the agent or server.
    Absent: this host, at the usual port."""
    tag: common.DiscoveryText | None = None
    """consul: only instances with this tag."""
    prefix: common.DiscoveryText | None = None
    """etcd: each value below this key is a backend."""
    token_file: common.FilePath | None = None
    """http, consul, etcd: a file with the token that is sent. It is read again for each request."""
    family: Literal["auto", "any", "ipv4", "ipv6"] = "auto"
    """Address families that are used. auto: those that this host has a route to. any: all."""
    interval_ms: Annotated[int, *duration(bounds.DISCOVERY_INTERVAL_MS)] = Field(
        default=30 * bounds.SECOND_MS, alias="interval"
    )
    """Time between two requests to a source that does not report changes, and longest time between
    two attempts."""
    timeout_ms: Annotated[int, *duration(bounds.DISCOVERY_TIMEOUT_MS)] = Field(
        default=5 * bounds.SECOND_MS, alias="timeout"
    )
    """How long one answer may take."""
    max_shrink_percent: Annotated[int, *percent(bounds.MAX_SHRINK_PERCENT)] = Field(
        default=50, alias="max_shrink"
    )
    """Part of the pool that one answer may remove. Larger losses are held back until health checks
    confirm them."""
