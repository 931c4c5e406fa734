"""What the program that forwards should have in its maps: the configuration as rows. Pure.

A row is known by a digest of what it is (numbers.py), so it is the same after an upgrade.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from l4lb.config.model import Config
from l4lb.config.rules.hand_over import hands_over
from l4lb.config.rules.packet_checks import uses_packet
from l4lb.config.tables.admission import Route
from l4lb.config.tables.pool import Pool
from l4lb.native.rows import BALANCES
from l4lb.packet import tables

SLOTS_MIN = 1 << 22  # 8 MB
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Target:
    """A backend as the shared table has it."""

    row: int
    pool: str
    name: str
    address: str
    port: int

    @property
    def digest(self) -> bytes:
        return tables.identity("backend", self.pool, self.name, self.address, self.port)


@dataclass(frozen=True)
class Front:
    """An address of a listener that the kernel serves. interface 0: packets of any."""

    row: int
    listener: str
    bind: str
    address: str
    port: int
    protocol: str
    interface: int = 0

    @property
    def digest(self) -> bytes:
        return tables.identity("listener", self.listener, self.bind)

    @property
    def service(self) -> bytes:
        return tables.service(self.address, self.port, self.protocol)


def pool_digest(name: str) -> bytes:
    return tables.identity("pool", name)


@dataclass
class Sources:
    """The addresses to backends of all pools, in one list."""

    addresses: list[str] = field(default_factory=list)

    def put(self, addresses: Sequence[str]) -> tuple[int, int]:
        """Returns the place of the first and their number. Raises OverflowError."""
        at = len(self.addresses)
        self.addresses += addresses
        if len(self.addresses) > tables.SOURCES_MAX:
            raise OverflowError(f"more than {tables.SOURCES_MAX} addresses to backends")
        return at, len(addresses)


def mode_of(pool: Pool) -> str:
    return pool.dsr or ("dnat" if pool.transparent else "nat")


def pool_row(pool: Pool, row: int, sources: Sources) -> tables.Pool:
    """Returns a pool's row. sources: gets its addresses."""
    fours, sixes = ([str(one) for one in pool.source if (":" in str(one)) == six]
                    for six in (False, True))  # fmt: skip
    at4, count4 = sources.put(fours)
    at6, count6 = sources.put(sixes)
    return tables.Pool(
        balance=BALANCES.index(pool.balance),
        flags=(tables.TRY_ALL if pool.when_all_down == "try_all" else 0)
        | (tables.ALL_BACKUPS if pool.all_backups else 0),
        mode=tables.MODES[mode_of(pool)],
        hash=tables.HASHES.get(str(pool.hash_key), 0),
        row=row,
        sources4_at=at4,
        sources4=count4,
        sources6_at=at6,
        sources6=count6,
        prefixes=pool.hash_prefix,
        identity=pool_digest(pool.name),
    )


def route_rows(
    routes: Sequence[Route], number: int, pools: Callable[[str], int]
) -> dict[tuple[str, bytes], bytes]:
    """Returns the rows of a listener's routes, in the set `number`: {(map, key): value}. The first
    route that fits wins, and the maps find the most specific one: so a network that lies in one of
    an earlier route is left out."""
    rows: dict[tuple[str, bytes], bytes] = {}
    before: list[Network] = []
    for order, route in enumerate(routes):
        value = tables.route(pools(str(route.pool)), order)
        for one in route.source or ():
            network = ipaddress.ip_network(str(one), strict=False)
            if any(_covers(other, network) for other in before):
                continue
            before.append(network)
            rows[tables.network_key(number, str(network))] = value
        for mac in route.source_mac or ():
            rows.setdefault(("routes_mac", tables.mac_key(number, str(mac))), value)
    return rows


def _covers(outer: Network, inner: Network) -> bool:
    return (
        outer.version == inner.version
        and outer.prefixlen <= inner.prefixlen
        and inner.network_address in outer
    )


def pools_of(config: Config, listeners: Sequence[str]) -> list[str]:
    """Returns the pools of these listeners, each once."""
    return list(dict.fromkeys(p for name in listeners for p in config.listeners[name].pools))


def slots_needed(config: Config) -> int:
    """Returns how many slots the views of all pools take, with room for changes."""
    maglev = sum(pool.maglev_size for pool in config.pools.values() if pool.balance == "maglev")
    return max(SLOTS_MIN, 4 * maglev)


def packet_listeners(config: Config) -> list[str]:
    return [name for name in config.listeners if uses_packet(config, name)]


def is_needed(config: Config) -> bool:
    packet = config.process.packet is not None
    return packet and (
        bool(packet_listeners(config))
        or any(hands_over(config, name, pool)
               for name, one in config.listeners.items() for pool in one.pools)
    )  # fmt: skip


def families(config: Config) -> set[str]:
    """Returns ipv4 and ipv6 as far as packet listeners have them."""
    binds = [str(one) for name in packet_listeners(config)
             for one in config.listeners[name].bind_ranges]  # fmt: skip
    return {"ipv6" if bind.startswith("[") else "ipv4" for bind in binds}
