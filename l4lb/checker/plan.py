"""The checker's orders for each pool: made from the configuration, sent over a channel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import msgpack

from l4lb.checker.types import Settings, Way
from l4lb.config.model import Config, Pool
from l4lb.config.tables.health import Health
from l4lb.config.tables.tls import PoolTls

MESSAGE_BYTES = 24 << 10  # of plans in one message, unless one plan is larger


@dataclass(frozen=True)
class Agent:
    """How a pool's agents are asked: HAProxy's agent-check. port: at each backend's host."""

    port: int
    interval_ms: int
    timeout_ms: int
    send: str | None = None
    way: Way = field(default_factory=Way)


@dataclass(frozen=True)
class Plan:
    """One pool's health checks. slow_factor: how many times the others' median response time costs
    weight; None: never. alert: the program to run at each change; (): none. names: the host names
    that backends' addresses were looked up by, where checks need them."""

    checks: Settings | None = None
    agent: Agent | None = None
    on_down: str = "keep"
    alert: Sequence[str] = ()
    slow_factor: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_map(cls, values: Mapping[str, Any]) -> Plan:
        """Reads the plain map that comes over the channel. Raises TypeError."""
        known = {one.name: values[one.name] for one in fields(cls) if one.name in values}
        if known.get("checks") is not None:
            known["checks"] = Settings.from_map(known["checks"])
        if known.get("agent") is not None:
            agent = known["agent"]
            known["agent"] = Agent(**{**agent, "way": Way.from_map(agent.get("way", {}))})
        return cls(**known)


def _header_of_sessions(pool: Pool, health: Health) -> str:
    """Returns the PROXY header that sessions send to backends."""
    if health.type in ("udp", "dns"):
        return "off" if pool.proxy_protocol_udp == "off" else "v2"
    return pool.send_proxy


def plan(pool: Pool) -> Plan:
    """Returns a pool's plan."""
    checks = agent = None
    if pool.health is not None:
        elsewhere = pool.health.port is not None or pool.health.address is not None
        header = "off" if elsewhere else _header_of_sessions(pool, pool.health)
        values = dict(pool.health) | {
            "way": Way((pool.health.source,) if pool.health.source else pool.source, pool.options),
            "send_proxy": pool.health.send_proxy or header,
        }
        if pool.tls is not None and not elsewhere:
            values |= _secured(pool.health, pool.tls)
        values["steps"] = [
            {key: value for key, value in dict(step).items() if value is not None}
            for step in pool.health.steps or ()
        ]
        checks = Settings.from_map(values)
    if pool.agent is not None:
        agent = Agent(**dict(pool.agent), way=Way(pool.source, pool.options))
    slow = pool.passive.slow if pool.passive is not None else None
    factor = slow.factor if slow is not None else None
    return Plan(checks, agent, pool.on_down or "keep", pool.alert or (), factor, _names(pool))


def _names(pool: Pool) -> dict[str, str]:
    """Returns the names of the backends' hosts for TLS and HTTP, by backend."""
    if pool.health is None or pool.health.type not in ("tls", "http", "https"):
        return {}
    return {one.name: one.address.asked for one in pool.backends if one.address.asked}


def _secured(health: Health, tls: PoolTls) -> dict[str, Any]:
    """Returns the TLS settings that checks take over from the pool's sessions: those that the
    checks do not set."""
    verify = health.verify
    if verify is None:
        verify = tls.verify or health.ca is not None
    return {
        "verify": verify,
        "ca": health.ca or tls.ca,
        "sni": health.sni or tls.server_name,
        "as_sessions": True,
        "cert": tls.cert,
        "key": tls.key,
    }


def plans(config: Config) -> dict[str, Plan]:
    """Every pool's plan, by its name."""
    return {name: plan(pool) for name, pool in config.pools.items()}


def messages(known: Mapping[str, Plan]) -> Iterator[dict[str, Any]]:
    """Yields the plans as messages for a running checker; the last one puts them into force.

    Only values that differ from the defaults are sent, in few messages: the channel's buffer has
    room for a thousand pools. A supervisor that cannot send them all kills the checker; the next
    checker has the plans from the fork.
    """
    part: dict[str, Any] = {}
    size = 0
    for name, one in known.items():
        said = _said(one)
        size += len(msgpack.packb({name: said}))
        if part and size > MESSAGE_BYTES:
            yield {"op": "plans", "pools": part}
            part, size = {}, 0
        part[name] = said
    yield {"op": "plans", "pools": part, "count": len(known)}


def _said(one: Any) -> Any:
    """Returns a dataclass as a map of the values that differ from their defaults, and other values
    unchanged."""
    if not isinstance(one, (Plan, Settings, Agent, Way)):
        return list(one) if isinstance(one, tuple) else one
    said = {}
    for known in fields(one):
        default = known.default_factory() if callable(known.default_factory) else known.default
        value = getattr(one, known.name)
        if value != default:
            said[known.name] = _said(value)
    return said
