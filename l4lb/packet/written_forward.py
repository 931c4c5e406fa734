"""What was written into the maps of the program that forwards, and the next difference to it.

Order of writing: what others name comes first. A listener's service is the last: from then on new
clients come here. So at no moment a flow begins with half of a configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from l4lb.packet import tables
from l4lb.packet.numbers import Numbers
from l4lb.packet.wanted import Sources

if TYPE_CHECKING:
    from l4lb.native.bpf import Program

Rows = dict[tuple[str, bytes], bytes]


@dataclass
class Wanted:
    """Rows of the maps, by map and key. fixed: elements of arrays, which are cleared and never
    removed; services; routes."""

    services: Rows = field(default_factory=dict)
    routes: Rows = field(default_factory=dict)
    pools: dict[int, tables.Pool] = field(default_factory=dict)
    listeners: dict[int, tables.Listener] = field(default_factory=dict)
    backends: dict[int, tables.Backend] = field(default_factory=dict)
    sources: Sources = field(default_factory=Sources)

    def keep(self, written: Written, service: bytes) -> None:
        """Leaves a service as it was."""
        before = written.now.services.get(("services", service))
        if before is not None:
            self.services["services", service] = before
            self.routes = {**written.now.routes, **self.routes}


class Written:
    """The content of the maps. Methods raise OSError."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._now = Wanted()
        self.listeners, self.pools, self.backends = self._known()

    def _known(self) -> tuple[Numbers, Numbers, Numbers]:
        """Returns the numbers that the maps have: another program may have given them."""
        listeners: dict[bytes, int] = {}
        pools: dict[bytes, int] = {}
        backends: dict[bytes, int] = {}
        for number in range(tables.LISTENERS_MAX):
            listener = tables.Listener.unpacked(self._get("listeners", number))
            if listener is None:
                break
            listeners[listener.identity] = number
        for number in range(tables.POOLS_MAX):
            digest = tables.Pool.identity_of(self._get("pools", number))
            if digest is None:
                break
            pools[digest] = number
        for number in range(tables.BACKENDS_MAX):
            backend = tables.Backend.unpacked(self._get("backends", number))
            if backend is None:
                break
            backends[backend.identity] = number
        return (
            Numbers(tables.LISTENERS_MAX, listeners),
            Numbers(tables.POOLS_MAX, pools),
            Numbers(tables.BACKENDS_MAX, backends),
        )

    def _get(self, name: str, number: int) -> bytes:
        return self._program.get(name, tables.index(number)) or b""

    @property
    def now(self) -> Wanted:
        return self._now

    def is_ready(self, pool: int) -> bool:
        """Returns whether the packet process has published a view of the pool."""
        return tables.generation(self._get("turns", pool)) > 0

    def put(self, wanted: Wanted) -> None:
        """Puts these rows in force."""
        program, now = self._program, self._now
        for number, source in enumerate(wanted.sources.addresses):
            program.put("sources", tables.index(number), tables.packed(source)[0])
        self._put_backends(wanted.backends)
        for number, listener in wanted.listeners.items():
            if now.listeners.get(number) != listener:
                program.put("listeners", tables.index(number), listener.packed())
        self._put_pools(wanted.pools)
        self._put_rows(now.routes, wanted.routes)
        self._put_rows(now.services, wanted.services)
        self._drop_rows(now.services, wanted.services)
        self._drop_rows(now.routes, wanted.routes)
        self._forget(wanted)
        self._now = wanted

    def _put_backends(self, backends: Mapping[int, tables.Backend]) -> None:
        """why usable 0 for new ones: the packet process knows it 20 ms later."""
        for number, backend in backends.items():
            if self._now.backends.get(number) != backend:
                before = tables.Backend.unpacked(self._get("backends", number))
                same = before is not None and before.identity == backend.identity
                usable = before.usable if before is not None and same else 0
                row = backend._replace(usable=usable)
                self._program.put("backends", tables.index(number), row.packed())

    def _put_pools(self, pools: Mapping[int, tables.Pool]) -> None:
        for number, pool in pools.items():
            if self._now.pools.get(number) != pool:
                self._program.put("pools", tables.index(number), pool.packed())

    def _put_rows(self, now: Rows, rows: Rows) -> None:
        for (name, key), value in rows.items():
            if now.get((name, key)) != value:
                self._program.put(name, key, value)

    def _drop_rows(self, now: Rows, rows: Rows) -> None:
        for name, key in now.keys() - rows.keys():
            self._program.drop(name, key)

    def _forget(self, wanted: Wanted) -> None:
        """Takes the rows of the shared table from what is not needed any more."""
        for number, backend in self._now.backends.items():
            if number not in wanted.backends:
                gone = backend._replace(row=tables.NO_ROW)
                self._program.put("backends", tables.index(number), gone.packed())
        for number, listener in self._now.listeners.items():
            if number not in wanted.listeners:
                gone_listener = listener._replace(row=tables.NO_ROW)
                self._program.put("listeners", tables.index(number), gone_listener.packed())
        for number, pool in self._now.pools.items():
            if number not in wanted.pools:
                self._program.put(
                    "pools", tables.index(number), pool._replace(row=tables.NO_ROW).packed()
                )
