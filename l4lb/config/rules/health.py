"""Checks between the values of a pool's health checks; see checks.py."""

from __future__ import annotations

import os
from collections.abc import Iterator

from l4lb.config.draft import Draft, table
from l4lb.config.origin import Finding
from l4lb.config.units import shown

Findings = Iterator[Finding]

STREAMS = ("tcp", "tls", "http", "https")
# The types of check that use a key. A key that is not here is for all types.
FOR = {
    "send_proxy": (*STREAMS, "udp", "dns"),
    "send": ("tcp", "tls", "udp"),
    "expect": ("tcp", "tls", "udp"),
    "steps": ("tcp", "tls"),
    "reply": ("udp",),
    "method": ("http", "https"),
    "path": ("http", "https"),
    "host": ("http", "https"),
    "headers": ("http", "https"),
    "status": ("http", "https"),
    "body": ("http", "https"),
    "sni": ("tls", "https"),
    "verify": ("tls", "https"),
    "ca": ("tls", "https"),
    "query": ("dns",),
    "record": ("dns",),
    "rcode": ("dns",),
    "command": ("exec",),
    "source": (*STREAMS, "udp", "dns"),
}


def _keys_of_the_type(draft: Draft) -> Findings:
    for pool in draft.pools:
        health = table(pool.table, "health")
        kind = health.get("type", "tcp")
        if not isinstance(kind, str):
            continue
        for key, kinds in FOR.items():
            if key in health and kind not in kinds:
                message = f"a check of type {shown(kind)} has no {key}"
                yield Finding((*pool.path, "health", key), message, f"for {', '.join(kinds)}")


def _what_it_needs(draft: Draft) -> Findings:
    for pool in draft.pools:
        health = table(pool.table, "health")
        path = (*pool.path, "health")
        if health.get("type") == "exec" and "command" not in health:
            hint = 'add command = ["/path/of/a/program", ...]'
            yield Finding(path, "a check of type exec needs a command", hint)
        if health.get("send_proxy") == "v1" and health.get("type") in ("udp", "dns"):
            message = "a PROXY header of version 1 is not for datagrams"
            yield Finding((*path, "send_proxy"), message, 'write "v2"')
        if "steps" in health and ("send" in health or "expect" in health):
            message = "steps cannot stand beside send or expect"
            yield Finding((*path, "steps"), message, "make them a step")


def _no_datagrams_to_unix(draft: Draft) -> Findings:
    for pool in draft.pools:
        health = table(pool.table, "health")
        unix = [one.address for one in pool.backends if one.address and one.address.path]
        if unix and health.get("type") in ("udp", "dns"):
            message = f"{unix[0]} is a unix socket and has no {health['type']} check"
            yield Finding((*pool.path, "health", "type"), message)


def _program_is_there(draft: Draft) -> Findings:
    for pool in draft.pools:
        for where in (("health", "command"), ("alert",)):
            below = table(pool.table, "health") if len(where) > 1 else pool.table
            command = below.get(where[-1])
            if isinstance(command, (list, tuple)) and command and isinstance(command[0], str):
                program = command[0]
                if "/" in program and not os.access(program, os.X_OK):
                    yield Finding((*pool.path, *where), f"{shown(program)} cannot be run here")


def _datagrams_checked_as_streams(draft: Draft) -> Findings:
    """Finds a pool that only UDP listeners use and that is checked over TCP at its own port."""
    protocols: dict[object, set[object]] = {}
    for listener in draft.listeners:
        if isinstance(listener.pool, str):
            protocols.setdefault(listener.pool, set()).add(listener.protocol)
    for pool in draft.pools:
        health = table(pool.table, "health")
        kind = health.get("type", "tcp") if "health" in pool.table else None
        if protocols.get(pool.name) == {"udp"} and kind in STREAMS and "port" not in health:
            message = f"a check of type {shown(kind)} goes to the port that clients reach by udp"
            hint = 'type = "udp" or "dns", or a port of its own'
            yield Finding((*pool.path, "health"), message, hint)


RULES = (_keys_of_the_type, _what_it_needs, _no_datagrams_to_unix)
ADVICE = (_program_is_there, _datagrams_checked_as_streams)
