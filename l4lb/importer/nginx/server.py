"""A server block while it is read: what its directives have said so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from l4lb.importer.draft import Place, Rank, Table
from l4lb.importer.networks import Network
from l4lb.importer.nginx.tree import Node
from l4lb.importer.nginx.variables import Variables
from l4lb.importer.nginx.world import World


@dataclass
class Server:
    """A server block while it is read."""

    world: World
    node: Node
    variables: Variables
    zones: Mapping[str, Node]  # limit_conn_zone, by name
    checks: Mapping[str, Node]  # match, by name
    listener: Table = field(init=False)
    pool: Table = field(init=False)
    secure: Table = field(init=False)  # the listener's tls
    behind: Table = field(init=False)  # the pool's tls
    listens: list[Node] = field(default_factory=list)
    target: Node | None = None
    names: list[tuple[str, Node]] = field(default_factory=list)
    certificates: list[tuple[Node, str]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    verify: Node | None = None
    backend_tls: Node | None = None
    says_name: bool = False
    old_ssl: Node | None = None  # `ssl on`, which applied to all listens
    preread: bool = False
    half_closes: bool = False
    proxy: Node | None = None
    handshakes: dict[str, tuple[str, Place]] = field(default_factory=dict)
    trusted: list[str] = field(default_factory=list)
    rules: list[tuple[bool, Network | None, Node]] = field(default_factory=list)
    rates: list[tuple[int, Node]] = field(default_factory=list)
    per_source: Table | None = None
    health: Node | None = None
    lost: list[tuple[Place, Rank, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        place = self.node.place
        self.listener, self.pool = Table(place), Table(place)
        self.secure, self.behind = Table(place), Table(place)

    def leave(self, node: Node, rank: Rank, why: str) -> None:
        """Reports a line, at the listener of the server."""
        self.lost.append((node.place, rank, why))
