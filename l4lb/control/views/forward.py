"""Forward proxies as the dashboard shows them: what the policy process has counted
(l4lb/policy/counts.py). It is read where that process writes it, so it stays while it is away."""

from __future__ import annotations

from typing import Any

from l4lb import tally
from l4lb.policy.counts import REFUSED

Map = dict[str, Any]
OF_PROCESS = ("pid", "asked", "answered", "waiting", "results")


def shown(fd: int, now_ms: int) -> Map:
    """Returns the keys forwards, lists and policy. fd: of the policy's tally; -1: there is none.
    policy: the process; None: it never ran. age_ms: since it was last seen."""
    told = tally.read(fd) if fd >= 0 else {}
    forwards = [
        {
            "forward": name,
            "requests": sum(verdicts.values()),
            "refused": sum(verdicts.get(word, 0) for word in REFUSED),
            "verdicts": verdicts,
        }
        for name, verdicts in told.get("requests", {}).items()
    ]
    hits = told.get("hits", {})
    lists = [
        {"list": name, **one, "hits": hits.get(name, 0)}
        for name, one in told.get("lists", {}).items()
    ]
    if "pid" not in told:
        return {"forwards": forwards, "lists": lists, "policy": None}
    process = {key: told[key] for key in OF_PROCESS} | {"age_ms": now_ms - told["at_ms"]}
    return {"forwards": forwards, "lists": lists, "policy": process}
