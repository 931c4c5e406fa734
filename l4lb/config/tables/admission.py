"""[[listeners.NAME.routes]] and [listeners.NAME.access]: routes and access lists."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, model_validator

from l4lb.config.tables.base import Model
from l4lb.config.tables.http_route import HttpRoute
from l4lb.config.units import wrong
from l4lb.config.values import clients

CONDITIONS = (
    "sni",
    "alpn",
    "source",
    "source_mac",
    "percent",
    "host",
    "path",
    "path_prefix",
    "path_suffix",
    "path_regex",
    "method",
    "scheme",
    "header",
    "cookie",
    "query",
)
OWN = CONDITIONS.index("host")  # those before it are of all protocols


class Route(HttpRoute):
    """A route from a listener to a pool; of an HTTP listener also to an answer of l4lb's own. All
    its conditions must hold."""

    sni: clients.ServerNames | None = None
    """Server names that a TLS client asks for: "www.example.com", "*.example.com" (any name below
    it) or "*" (any name). One, or an array of which one must match."""
    alpn: clients.Protocols | None = None
    """Protocols that a TLS client offers, such as "h2". One, or an array of which one must
    match."""
    source: clients.Networks | None = None
    """Networks that the client's address is in, such as "10.0.0.0/8". One, or an array of which one
    must match."""
    source_mac: clients.Macs | None = None
    """MAC addresses that frames come from: of the client if it is in the same network, else of the
    router that it comes by. One, or an array of which one must match. For listeners with data_path
    = "packet"."""
    percent: clients.Share | None = None
    """Share of the clients that meet the other conditions, chosen at random: 5 or "5%"."""
    pool: str | None = None
    """Name of the pool that serves these clients."""

    @model_validator(mode="after")
    def _has_a_condition(self) -> Route:
        if all(getattr(self, key) is None for key in CONDITIONS):
            own, of_requests = CONDITIONS[:OWN], ", ".join(CONDITIONS[OWN : OWN + 3])
            hint = f'name one of {", ".join(own)}; with protocol = "http" also {of_requests}, ...'
            raise wrong("has no condition", hint)
        return self

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Route:
        if self.to_pool and self.pool is None:
            raise wrong("has no pool", "name one of pool, redirect, respond")
        if not self.to_pool and self.pool is not None:
            raise wrong("has a pool, and an answer of its own", "remove pool")
        return self

    @property
    def reads_hello(self) -> bool:
        """True if the route needs the client's ClientHello."""
        return self.sni is not None or self.alpn is not None


def rows_of_routes(routes: tuple[Route, ...]) -> int:
    """The number of rows that routes of a TCP or UDP listener have in the shared table."""
    return sum(
        len(one.sni or "1")
        * len(one.alpn or "1")
        * len(one.source or "1")
        * len(one.source_mac or "1")
        for one in routes
    )


class Access(Model):
    """Access list by network; the longest prefix decides. With `allow` alone, all other clients are
    turned away; with `deny`, clients in neither list are let in."""

    allow: clients.ManyNetworks = ()
    """Networks whose clients are let in."""
    deny: clients.ManyNetworks = ()
    """Networks whose clients are turned away."""
    allow_file: clients.ListFile | None = None
    """Path of a file with further networks to let in, one on each line. The file is read again when
    it changes."""
    deny_file: clients.ListFile | None = None
    """Path of a file with further networks to turn away, one on each line. The file is read again
    when it changes."""
    refusal: Literal["reject", "drop", "tarpit"] = "reject"
    """How clients are turned away. "reject": with a reset. "drop": without any packet. "tarpit":
    held for `tarpit_time`, then reset."""
    dry_run: bool = False
    """Only count the clients that would have been turned away."""

    @property
    def others_denied(self) -> bool:
        """True if clients that are in no list are turned away."""
        allows = bool(self.allow or self.allow_file)
        return allows and not (self.deny or self.deny_file)


Routes = Annotated[
    tuple[Route, ...],
    BeforeValidator(clients.as_many, json_schema_input_type=list[Route]),
]
