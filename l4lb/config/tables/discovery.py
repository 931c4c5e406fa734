"""[pools.NAME.discovery]: where backends come from that the file does not name."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from l4lb.config import bounds, fields
from l4lb.config.tables.base import Model

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
    """Where backends are found."""
    name: fields.DiscoveryText | None = None
    """dns: the name to look up. consul: the service."""
    record: Literal["auto", "a", "aaaa", "srv"] = "auto"
    """dns: what is looked up. auto: SRV where the name begins with "_", else A and AAAA."""
    port: fields.Port | None = None
    """dns: the backends' port, needed for A and AAAA; SRV brings its own."""
    servers: Annotated[tuple[fields.NameServer, ...], BeforeValidator(fields.as_tuple)] | None = (
        None
    )
    """dns: the name servers, IP:PORT; absent: the host's own."""
    min_ttl_ms: fields.Ttl = Field(default=1 * bounds.SECOND_MS, alias="min_ttl")
    """dns: an answer is good for at least this long, whatever it says."""
    max_ttl_ms: fields.Ttl = Field(default=5 * bounds.MINUTE_MS, alias="max_ttl")
    """dns: and for at most this long."""
    path: fields.FilePath | None = None
    """file: a JSON or TOML file (.toml) with a list of backends, watched."""
    command: Annotated[tuple[str, ...], BeforeValidator(fields.as_tuple)] | None = None
    """exec: a program and its arguments. Each line it prints is a JSON list of backends, all of
    them. When it ends it is started again."""
    url: fields.Url | None = None
    """http: where a JSON list of backends is. consul, etcd: the agent or server; absent: this
    host's, at its usual port."""
    tag: fields.DiscoveryText | None = None
    """consul: only instances with this tag."""
    prefix: fields.DiscoveryText | None = None
    """etcd: each value below this key is a backend."""
    token_file: fields.FilePath | None = None
    """http, consul, etcd: a file with the token that is sent; read anew each time."""
    family: Literal["auto", "any", "ipv4", "ipv6"] = "auto"
    """Which addresses are used. auto: those of a family that this host has a route to; any: all."""
    interval_ms: fields.DiscoveryInterval = Field(default=30 * bounds.SECOND_MS, alias="interval")
    """Between two looks where the source cannot tell of changes, and at most between two tries."""
    timeout_ms: fields.DiscoveryTimeout = Field(default=5 * bounds.SECOND_MS, alias="timeout")
    """How long one answer may take."""
    max_shrink_percent: fields.MaxShrink = Field(default=50, alias="max_shrink")
    """How much of the pool one answer may take away; a larger loss is held back until checks
    confirm it."""
