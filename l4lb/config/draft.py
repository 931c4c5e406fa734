"""The readable part of a configuration that may be invalid.

Checks between values use it, so that their errors and the model's errors are reported at once.
Values that cannot be read are left out here; the model reports them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from l4lb.config.address import Address, BindRange, parse_backend, parse_bind
from l4lb.config.bounds import ARRAY_MAX
from l4lb.config.model import Limits
from l4lb.config.position import Path
from l4lb.config.tables.listener import transport
from l4lb.config.wide import is_wide

Table = Mapping[str, Any]


@dataclass
class Backend:
    """The readable part of a backend; name is None if the backend has no name of its own."""

    path: Path
    name: str | None
    address: Address | None
    weight: object
    server_id: str | None = None


@dataclass
class Pool:
    """The readable part of a pool."""

    path: Path
    name: str
    table: Table
    backends: list[Backend]


@dataclass
class Listener:
    """The readable part of a listener."""

    path: Path
    table: Table
    protocol: str
    pool: object
    forward: object
    binds: list[tuple[Path, BindRange]]
    routes: list[tuple[Path, Table]] = field(default_factory=list)

    @property
    def transport(self) -> str:
        """The protocol of its sockets."""
        return transport(self.protocol)


@dataclass
class Draft:
    """The readable part of a configuration."""

    data: Table
    listeners: list[Listener] = field(default_factory=list)
    pools: list[Pool] = field(default_factory=list)

    def limit(self, name: str) -> int:
        """Returns a value of [limits], or its default."""
        value = table(self.data, "limits").get(name)
        default: int = Limits.model_fields[name].default
        return value if isinstance(value, int) else default


def read(data: Table) -> Draft:
    """Reads everything of data that has the right shape."""
    draft = Draft(data)
    for name, below in table(data, "listeners").items():
        if isinstance(below, dict):
            packet = isinstance(table(data, "process").get("packet"), dict)
            draft.listeners.append(_listener(("listeners", name), below, packet=packet))
    for name, below in table(data, "pools").items():
        if isinstance(below, dict):
            draft.pools.append(_pool(("pools", name), name, below))
    return draft


def table(data: Table, key: str) -> Table:
    """Returns the table at a key; an empty table if there is none."""
    value = data.get(key)
    return value if isinstance(value, dict) else {}


def _array(data: Table, key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) and len(value) <= ARRAY_MAX else []


def _listener(path: Path, data: Table, *, packet: bool) -> Listener:
    protocol = data.get("protocol", "tcp")
    protocol = protocol if isinstance(protocol, str) else ""
    binds = []
    for index, text in enumerate(_array(data, "bind")):
        with contextlib.suppress(ValueError):
            span = parse_bind(text)
            how = transport(protocol), data.get("mptcp"), data.get("data_path", "proxy")
            whole = packet and is_wide(span, *how)
            binds.append(((*path, "bind", index), replace(span, is_whole=whole)))
    routes: list[tuple[Path, Table]] = [
        ((*path, "routes", index), one)
        for index, one in enumerate(_array(data, "routes"))
        if isinstance(one, dict)
    ]
    return Listener(path, data, protocol, data.get("pool"), data.get("forward"), binds, routes)


def _pool(path: Path, name: str, data: Table) -> Pool:
    backends = []
    for index, one in enumerate(_array(data, "backends")):
        one = {"address": one} if isinstance(one, str) else one
        if isinstance(one, dict):
            backends.append(_backend((*path, "backends", index), one))
    return Pool(path, name, data, backends)


def _backend(path: Path, data: Table) -> Backend:
    address, name = None, data.get("name")
    with contextlib.suppress(ValueError):
        address = parse_backend(data.get("address"))
    server_id = data.get("server_id")
    return Backend(
        path,
        name if isinstance(name, str) else None,
        address,
        data.get("weight", 1),
        server_id if isinstance(server_id, str) else None,
    )
