"""What the maps of the program that forwards should say: the configuration in force, with the rows
of the shared table and the addresses of open sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import l4lb.log
from l4lb.config.model import Config
from l4lb.config.tables.pool import Pool
from l4lb.native.table import Table
from l4lb.packet import tables, wanted
from l4lb.packet.written_forward import Wanted, Written
from l4lb.supervisor.sockets.addresses import addresses, interface_of
from l4lb.supervisor.sockets.listening import Listening
from l4lb.supervisor.table.membership import Membership

LOG = l4lb.log.get("supervisor")
SOURCES_EVERY = 10  # plans between two looks at the host's own addresses to backends


class ForwardPlan:
    """Makes the content of the maps. complete: all pools that listeners name are ready; until then
    listeners of others stay as they were."""

    def __init__(
        self, table: Table, membership: Membership, listening: Sequence[Listening]
    ) -> None:
        self._table = table
        self._membership = membership
        self._listening = listening
        self._sources: dict[str, str] = {}  # by address of a backend
        self._plans = 0
        self._routes: tuple[Any, int] = (None, 0)  # what they were made of, the number of the first
        self._local: dict[str, list[str]] = {}  # backends on this host, by pool
        self._told_local: set[str] = set()
        self.complete = True

    def rows(
        self, config: Config, names: Sequence[str], written: Written, *, draining: bool
    ) -> Wanted:
        """Returns the rows of these listeners and all that they name. draining: without services,
        so that no flow begins. Raises OverflowError: the maps have no room."""
        found = Wanted()
        self._plans += 1
        self.complete = True
        pools = wanted.pools_of(config, names)
        fronts = list(self._fronts(names))
        targets = self._targets({name: config.pools[name] for name in pools})
        written.listeners.need([one.digest for one in fronts])
        written.pools.need([wanted.pool_digest(name) for name in pools])
        written.backends.need([one.digest for one in targets])
        for name in pools:
            if name in self._membership.pools:
                row = self._membership.pools[name]
                number = written.pools[wanted.pool_digest(name)]
                found.pools[number] = wanted.pool_row(config.pools[name], row, found.sources)
        self._local = {}
        for one in targets:
            source = self._source(one.address)
            if source == one.address:
                self._local.setdefault(one.pool, []).append(one.name)
            found.backends[written.backends[one.digest]] = tables.Backend(
                one.address, one.port, 0, one.row, written.pools[wanted.pool_digest(one.pool)],
                one.digest, source,
            )  # fmt: skip
        self._put_fronts(config, written, fronts, found, draining=draining)
        return found

    def _put_fronts(
        self,
        config: Config,
        written: Written,
        fronts: Sequence[wanted.Front],
        found: Wanted,
        *,
        draining: bool,
    ) -> None:
        def number_of(pool: str) -> int:
            return written.pools[wanted.pool_digest(pool)]

        listeners = {one.listener: config.listeners[one.listener] for one in fronts}
        sets = self._sets_of(
            {
                name: (one.routes, [number_of(str(route.pool)) for route in one.routes])
                for name, one in listeners.items()
            }
        )
        for name, listener in listeners.items():
            found.routes |= wanted.route_rows(listener.routes, sets[name], number_of)
        for one in fronts:
            number = written.listeners[one.digest]
            listener = listeners[one.listener]
            found.listeners[number] = tables.Listener(one.row, one.digest)
            if draining or self._is_left_to_workers(one.listener, listener.pools):
                continue
            if not all(written.is_ready(number_of(name)) for name in listener.pools):
                self.complete = False
                found.keep(written, one.service)
                continue
            found.services["services", one.service] = tables.Place(
                number, number_of(listener.main_pool),
                sets[one.listener] if listener.routes else 0, one.interface,
            ).packed()  # fmt: skip

    def _is_left_to_workers(self, name: str, pools: Sequence[str]) -> bool:
        """Returns whether a backend is on this host: its answers would come in by no interface."""
        local = [one for pool in pools for one in self._local.get(pool, ())]
        if local and name not in self._told_local:
            LOG.warning("workers serve a listener, and not the kernel: a backend is on this host",
                        listener=name, backends=local)  # fmt: skip
        (self._told_local.add if local else self._told_local.discard)(name)
        return bool(local)

    def _sets_of(self, made_of: Mapping[str, Any]) -> dict[str, int]:
        """Returns the number of each listener's set of routes. Other routes have other numbers, so
        that no client meets half of them."""
        before, first = self._routes
        if before != made_of:
            first += len(before or ()) + 1
            self._routes = made_of, first
        return {name: first + at for at, name in enumerate(made_of)}

    def _fronts(self, names: Sequence[str]) -> Iterator[wanted.Front]:
        for one in self._listening:
            sock = next(iter(one.sockets.values()), None)
            number = interface_of(one)
            if one.listener not in names or one.path or sock is None or number is None:
                continue
            if sock.fileno() < 0:
                continue
            for address, port in addresses(sock):
                yield wanted.Front(one.row, one.listener, f"{one.bind} {address}", address, port,
                                   one.protocol, number)  # fmt: skip

    def _targets(self, pools: Mapping[str, Pool]) -> list[wanted.Target]:
        return [
            wanted.Target(row.index, row.pool, row.name, row.address.host, row.address.port)
            for row in self._table.backends()
            if row.pool in pools and row.address.host and row.address.port
        ]

    def _source(self, address: str) -> str:
        """Returns this host's address towards a backend; "" if there is no way to it."""
        known = self._sources.get(address)
        if known is not None and self._plans % SOURCES_EVERY:
            return known
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            try:
                sock.connect((address, 9))  # any port: nothing is sent
                found = str(sock.getsockname()[0]).partition("%")[0]
            except OSError:
                found = ""
        self._sources[address] = found
        return found
