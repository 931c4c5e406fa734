"""The rules about engines as rows that workers read (csrc/shm/http_routes.h)."""

from __future__ import annotations

from collections.abc import Mapping

from l4lb.config.model import Config, Listener
from l4lb.config.tables.icap import Icap, Inspect
from l4lb.config.values import icap
from l4lb.http import routes
from l4lb.supervisor.table import http_filter

Key = tuple[str, str, int]


def rules_of(listener: Listener) -> tuple[Inspect, ...]:
    """Returns the rules of a listener about engines."""
    return listener.http.inspect if listener.http is not None else ()


def key_of(listener: str, rule: Inspect, verdict: str = "") -> Key:
    """Returns what makes the count of a verdict the same after a reload. No route and no rule of a
    filter has such a name: names have no spaces."""
    return listener, f"inspect {rule.name} {verdict}", 1


def keys_of(name: str, listener: Listener) -> list[Key]:
    """Returns all keys of a listener."""
    return [
        key_of(name, rule, verdict) for rule in rules_of(listener) for verdict in routes.VERDICTS
    ]


def compiled(
    name: str, listener: Listener, config: Config, slots: Mapping[Key, int]
) -> list[routes.Route]:
    """Returns the rules of a listener."""
    return [
        _rule(rule, config.icap[rule.icap], [slots[key_of(name, rule, v)] for v in routes.VERDICTS])
        for rule in rules_of(listener)
    ]


def _rule(rule: Inspect, engine: Icap, slots: list[int]) -> routes.Route:
    service = icap.service(engine.url)
    return routes.Route(
        pool=routes.Rule("inspect", 0),
        slot=slots[0],
        hosts=rule.host or (),
        conditions=tuple(http_filter.conditions(rule)),
        name=rule.name,
        inspection=routes.Inspection(
            what=sum(routes.INSPECTED[what] for what in set(rule.what)),
            fails_open=rule.on_failure == "allow",
            large_goes_on=engine.too_large == "allow",
            timeout_ms=engine.timeout_ms,
            body_ms=engine.max_time_ms,
            max_body=engine.max_body,
            slots=tuple(slots),
            ip=service.ip,
            port=service.port,
            host=service.host,
            path=service.path,
            name=engine.name,
        ),
    )
