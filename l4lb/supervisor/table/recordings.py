"""The rules about records as rows that workers read (csrc/shm/http_routes.h)."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.config.model import Config, Listener
from l4lb.config.tables.record import RecordRule
from l4lb.http import routes
from l4lb.supervisor.table import http_filter

Key = tuple[str, str, int]


def rules_of(listener: Listener) -> tuple[RecordRule, ...]:
    """Returns the rules of a listener about records."""
    return listener.http.record if listener.http is not None else ()


def key_of(listener: str, rule: RecordRule) -> Key:
    """Returns what makes the count of a rule the same after a reload. No route and no rule of a
    filter has such a name: names have no spaces."""
    return listener, f"record {rule.name}", 1


def keys_of(name: str, listener: Listener) -> list[Key]:
    """Returns all keys of a listener."""
    return [key_of(name, rule) for rule in rules_of(listener)]


def compiled(
    name: str, listener: Listener, config: Config, slots: Mapping[Key, int]
) -> list[routes.Route]:
    """Returns the rules of a listener."""
    return [
        routes.Route(
            pool=routes.Rule("record", 0),
            slot=slots[key_of(name, rule)],
            hosts=rule.host or (),
            conditions=tuple(http_filter.conditions(rule)),
            percent=rule.percent,
            name=rule.name,
            recording=routes.Recording(rule.record, config.record[rule.record].max_body),
        )
        for rule in rules_of(listener)
    ]
