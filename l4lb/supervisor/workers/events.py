"""Events of workers and of the checker for operators: all in the log, some also as events."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

import l4lb.log
from l4lb.native.rows import Event
from l4lb.supervisor.process.reactor import Reactor

GOOD_NEWS = ("backend_up", "backend_returned", "backend_fast", "backend_unknown", "pool_up")
QUIET_MS = 60_000  # a lasting condition is logged once in this time
FAMILY_SHIFT = 24  # csrc/shm/layout.h: L4_EVENT_SHED
STATUS_SHIFT = 8  # csrc/shm/layout.h: L4_EVENT_ENGINE
ENGINE_FAULTS = (
    "", "it cannot be reached", "it closed the connection before its answer was whole",
    "it did not answer in time", "its answer is not valid", "its answer is too large",
    "it answered with the status", "its service does not do that",
    "there is no memory for its answer",
)  # fmt: skip
"""enum l4_icap_fault (csrc/http/icap.h)."""
LOG = l4lb.log.get("supervisor")


def log_health(event: Mapping[str, Any]) -> None:
    """Logs an event of the checker."""
    fields = {str(key): value for key, value in event.items() if key != "at_ms"}
    kind = str(fields.pop("kind", "event"))
    (LOG.info if kind in GOOD_NEWS else LOG.warning)(kind, **fields)


class WorkerEvents:
    """Handles the events of workers. tell: keeps an event and passes it to those who follow
    events. engine_of: the listener, the rule and the engine that a slot stands for."""

    def __init__(
        self,
        reactor: Reactor,
        tell: Callable[[str, Mapping[str, Any]], None],
        engine_of: Callable[[int], Mapping[str, str] | None],
    ) -> None:
        self._reactor = reactor
        self._tell = tell
        self._engine_of = engine_of
        self._told: set[tuple[str, int]] = set()

    def take(self, index: int, event: Event) -> None:
        """Handles an event of worker `index`, if it is one for operators."""
        if event.kind == "accept_paused":
            self.paused(index, event.a, event.b)
        elif event.kind == "secrets_failed":
            self.secrets_failed(index, event.a)
        elif event.kind == "shed":
            self.shed(index, event.a, event.b)
        elif event.kind == "portless":
            self.portless(index)
        elif event.kind == "engine":
            self.engine(index, event.a, event.b)

    def _is_new(self, what: str, index: int) -> bool:
        """Returns whether to log this. It is logged once in QUIET_MS: a worker at its limit sends
        many."""
        if (what, index) in self._told:
            return False
        self._told.add((what, index))
        self._reactor.after(QUIET_MS, lambda: self._told.discard((what, index)))
        return True

    def secrets_failed(self, index: int, error: int) -> None:
        LOG.error(
            "a worker could not load new certificates; it goes on with those before",
            worker=index,
            reason=os.strerror(error),
        )

    def paused(self, index: int, error: int, sessions: int) -> None:
        if not self._is_new("paused", index):
            return
        reason = os.strerror(error) if error else "its limit of connections is reached"
        LOG.warning(
            "a worker does not accept for now; clients wait in the kernel's queue",
            worker=index,
            reason=reason,
            connections=sessions,
            remedy="raise the limit on open files (LimitNOFILE=, ulimit -n) or max_connections",
        )

    def portless(self, index: int) -> None:
        if self._is_new("portless", index):
            LOG.warning(
                "connects find no free local port towards a backend; clients wait for one",
                worker=index,
                remedy="give the pool more source addresses (source), widen"
                " net.ipv4.ip_local_port_range, or add backends",
            )

    def engine(self, index: int, slot: int, bits: int) -> None:
        """An engine has begun to fail, or is well again, says a worker."""
        which = self._engine_of(slot)
        if which is None:  # a reload has removed the rule
            return
        fault, status = bits & 0xFF, bits >> STATUS_SHIFT
        if not fault:
            LOG.info("an engine is well again", worker=index, **which)
            self._tell("engine_well", {"worker": index, **which})
            return
        words = ENGINE_FAULTS[fault] if fault < len(ENGINE_FAULTS) else "it fails"
        why = f"{words} {status}" if status else words
        LOG.warning(
            "an engine fails; requests and answers are refused or go on without an inspection, as"
            " their rules say",
            worker=index,
            why=why,
            **which,
        )
        self._tell("engine_fails", {"worker": index, "why": why, **which})

    def shed(self, index: int, a: int, b: int) -> None:
        source, sessions = shed_source(a >> FAMILY_SHIFT, b), a & ((1 << FAMILY_SHIFT) - 1)
        self._tell("shed", {"worker": index, "source": source, "sessions": sessions})
        if self._is_new("shed", index):
            LOG.warning(
                "clients find no room; the longest idle sessions of the biggest source are ended",
                worker=index,
                source=source,
                remedy="raise max_connections or the limit on open files, limit connections of"
                " each source (connections_per_source), or see [limits] shed",
            )


def shed_source(family: int, bits: int) -> str:
    """Returns the source in an event as `talkers` shows it: an IPv4 address, an IPv6 /64, or
    unix:."""
    if family == socket.AF_INET:
        return str(ipaddress.IPv4Address(bits & 0xFFFFFFFF))
    if family == socket.AF_INET6:
        return f"{ipaddress.IPv6Address(bits << 64)}/64"
    return "unix:"
