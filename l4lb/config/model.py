"""The configuration as all other modules use it: frozen, typed, checked.

The names in a file are the aliases; the attributes have units in their names: the key `idle_timeout
= "10m"` is `pool.idle_timeout_ms == 600_000`. Each table is a file in tables/. The types of fields
check single values; rules/checks.py checks values against each other; rules/supported.py lists
features that this version lacks. The text under each field is its documentation, which
docs/configuration.md and the JSON Schema contain.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, PrivateAttr, model_validator

from l4lb.config import bounds
from l4lb.config.address import Address, Bind, BindRange, HostPort
from l4lb.config.defaults import default_admin_path
from l4lb.config.origin import Origin
from l4lb.config.tables.admission import rows_of_routes
from l4lb.config.tables.base import Model
from l4lb.config.tables.cache import Cache
from l4lb.config.tables.forward import DomainList, Forward, pool_name
from l4lb.config.tables.health import Health, Passive
from l4lb.config.tables.icap import Icap
from l4lb.config.tables.listener import Listener
from l4lb.config.tables.pool import Backend, Pool
from l4lb.config.tables.process import Limits, Log, Process
from l4lb.config.tables.record import Record
from l4lb.config.tables.sticky import Sticky
from l4lb.config.units import wrong
from l4lb.config.values import caches, common
from l4lb.config.values.forward import ForwardName
from l4lb.errors import Problem

__all__ = [
    "Address", "Backend", "Bind", "BindRange", "Cache", "Config", "DomainList", "Forward", "Health",
    "HostPort", "Limits", "Listener", "Log", "Passive", "Pool", "Process", "Sticky",
    "default_admin_path",
]  # fmt: skip


def _few_routes(listeners: Mapping[str, Listener]) -> Mapping[str, Listener]:
    others = [one.routes for one in listeners.values() if one.protocol != "http"]
    rows = sum(map(rows_of_routes, others))
    if rows > bounds.ROUTES_MAX:
        maximum = f"more than {bounds.ROUTES_MAX}"
        raise wrong(f"have {rows} routes, {maximum}, each name and network counted")
    of_http = sum(
        len(one.routes) + (one.filter.rows if one.filter else 0) + _rows_of_http(one)
        for one in listeners.values()
        if one.protocol == "http"
    )
    if of_http > bounds.HTTP_ROUTES_MAX:
        raise wrong(
            f"have {of_http} HTTP routes and filter rules, more than {bounds.HTTP_ROUTES_MAX}"
        )
    return listeners


def _rows_of_http(listener: Listener) -> int:
    http = listener.http
    return bounds.INSPECT_ROWS * len(http.inspect) + len(http.record) if http else 0


def _few_engines(engines: Mapping[str, Icap]) -> Mapping[str, Icap]:
    if len(engines) > bounds.ICAP_MAX:
        raise wrong(f"are {len(engines)} engines, more than {bounds.ICAP_MAX}")
    return engines


def _few_records(records: Mapping[str, Record]) -> Mapping[str, Record]:
    if len(records) > bounds.RECORDS_MAX:
        raise wrong(f"are {len(records)} records, more than {bounds.RECORDS_MAX}")
    return records


def _few_caches(caches: Mapping[str, Cache]) -> Mapping[str, Cache]:
    if len(caches) > bounds.CACHES_MAX:
        raise wrong(f"are {len(caches)} caches, more than {bounds.CACHES_MAX}")
    return caches


def _few_forwards(forwards: Mapping[str, Forward]) -> Mapping[str, Forward]:
    if len(forwards) > bounds.FORWARDS_MAX:
        raise wrong(f"are {len(forwards)} forward proxies, more than {bounds.FORWARDS_MAX}")
    return forwards


def _few_lists(lists: Mapping[str, DomainList]) -> Mapping[str, DomainList]:
    if len(lists) > bounds.LISTS_MAX:
        raise wrong(f"are {len(lists)} lists, more than {bounds.LISTS_MAX}")
    return lists


class Config(Model):
    """The whole configuration of a service. Two configurations are equal if their values are,
    wherever they were read from."""

    include: tuple[str, ...] = Field(
        default=(), exclude=True, json_schema_extra={"x-l4lb-default": "none"}
    )
    """Further files of the configuration, as patterns (`*`), relative to this file."""
    process: Process = Field(default_factory=lambda: Process())
    limits: Limits = Limits()
    listeners: Annotated[Mapping[common.Name, Listener], AfterValidator(_few_routes)] = Field(
        default_factory=dict
    )
    pools: Mapping[common.PoolName, Pool] = Field(default_factory=dict)
    forward: Annotated[Mapping[ForwardName, Forward], AfterValidator(_few_forwards)] = Field(
        default_factory=dict
    )
    lists: Annotated[Mapping[common.Name, DomainList], AfterValidator(_few_lists)] = Field(
        default_factory=dict
    )
    icap: Annotated[Mapping[common.Name, Icap], AfterValidator(_few_engines)] = Field(
        default_factory=dict
    )
    record: Annotated[Mapping[common.Name, Record], AfterValidator(_few_records)] = Field(
        default_factory=dict
    )
    cache: Annotated[Mapping[caches.CacheName, Cache], AfterValidator(_few_caches)] = Field(
        default_factory=dict
    )

    _origin: Origin = PrivateAttr(default_factory=Origin)
    _warnings: tuple[Problem, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _give_names(self) -> Config:
        hidden = {pool_name(name): one.pool() for name, one in self.forward.items()}
        # why: the model is frozen, and nobody has seen it yet.
        self.__dict__["pools"] = {**self.pools, **hidden}
        of_process = (self.lists, self.cache, self.icap, self.record)
        for tables in (self.listeners, self.pools, self.forward, *of_process):
            for name, table in tables.items():
                table.called(name)
        return self

    @property
    def origin(self) -> Origin:
        """The configuration's origin, which turns a path into a file and a line."""
        return self._origin

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """Settings that are probably not intended, and are not errors."""
        return self._warnings

    def came_from(self, origin: Origin, warnings: tuple[Problem, ...]) -> Config:
        """Returns this configuration with another origin and other warnings."""
        copy = self.model_copy()
        copy._origin, copy._warnings = origin, warnings  # noqa: SLF001 - of this class
        return copy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]
